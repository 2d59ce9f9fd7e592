"use strict";
// A file that is dropped is given to the form as if it had been chosen; a choice is sent at once.
const form = document.getElementById("form");
const file = document.getElementById("file");
const drop = document.getElementById("drop");

document.documentElement.classList.add("scripts");
file.addEventListener("change", () => { if (file.files.length) { form.requestSubmit(); } });
for (const event of ["dragenter", "dragover"]) {
  document.addEventListener(event, (drag) => { drag.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (drag) => { if (!drag.relatedTarget) { drop.classList.remove("over"); } });
document.addEventListener("drop", (drag) => {
  drag.preventDefault();
  drop.classList.remove("over");
  if (drag.dataTransfer.files.length) {
    file.files = drag.dataTransfer.files;
    form.requestSubmit();
  }
});
const marked = document.querySelector("#source .marked");
if (marked) { marked.scrollIntoView({ block: "center" }); }
