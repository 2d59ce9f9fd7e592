"""The page /validator in a real browser: paste, choose, drop; the offending line is marked; nothing else is loaded."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests import message_samples as samples
from tests.servers import Server, serving

pytestmark = pytest.mark.component

WRONG = samples.pretty(samples.submitted(hash="zz"))
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "dropped.xml"));
for (const name of ["dragenter", "dragover", "drop"]) {
  document.getElementById("drop").dispatchEvent(
    new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("validator") / "data", "--profile", "open") as running:
        yield running


def program(*names: str) -> str:
    """A program of the machine, or a skip (a failure where nothing may be skipped)."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no {names[0]} on this machine"
        if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def options(folder: Path, *, scripts: bool = True) -> webdriver.ChromeOptions:
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server",
                     "--disable-background-networking", f"--user-data-dir={folder}"):  # fmt: skip
        chosen.add_argument(argument)
    chosen.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    if not scripts:
        chosen.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    return chosen


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    service = webdriver.ChromeService(executable_path=program("chromedriver"))
    driver = webdriver.Chrome(options=options(tmp_path_factory.mktemp("browser")), service=service)
    yield driver
    driver.quit()


def result(browser: Any) -> dict[str, Any]:
    """What the page shows, as soon as it shows something."""
    WebDriverWait(browser, 60).until(lambda one: one.find_elements(By.ID, "verdict"))
    marked = browser.find_elements(By.CSS_SELECTOR, "#source tr.marked mark")
    return {
        "kind": browser.find_element(By.ID, "kind-found").text,
        "verdict": browser.find_element(By.ID, "verdict").text,
        "marked": [one.text.strip() for one in marked],
        "colours": [one.value_of_css_property("background-color") for one in marked],
    }


def expected(colour: str = "rgba(255, 215, 215, 1)") -> dict[str, Any]:
    return {
        "kind": "ebRIM message: SubmitObjectsRequest",
        "verdict": "Not valid.",
        "marked": ['<rim:Slot name="hash">'],
        "colours": [colour],
    }


def test_a_message_is_pasted(server: Server, browser: webdriver.Chrome) -> None:
    browser.get(f"{server.base_url}/validator")
    area = browser.find_element(By.ID, "text")
    # To the clipboard first, as who copies it from elsewhere.
    browser.execute_script("arguments[0].value = arguments[1]", area, WRONG.decode())
    area.send_keys(Keys.CONTROL, "a")
    area.send_keys(Keys.CONTROL, "x")
    assert area.get_property("value") == ""
    area.send_keys(Keys.CONTROL, "v")
    assert area.get_property("value").strip() == WRONG.decode().strip()
    browser.find_element(By.ID, "judge").click()
    assert result(browser) == expected()


def test_a_file_is_dropped(server: Server, browser: webdriver.Chrome) -> None:
    browser.get(f"{server.base_url}/validator")
    browser.execute_script(DROP, base64.b64encode(WRONG).decode())
    assert result(browser) == expected()
    assert browser.find_element(By.CSS_SELECTOR, "#result h2").text == "dropped.xml"


def test_a_file_is_chosen(server: Server, browser: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "chosen.xml").write_bytes(WRONG)
    browser.get(f"{server.base_url}/validator")
    browser.find_element(By.ID, "file").send_keys(str(tmp_path / "chosen.xml"))
    assert result(browser) == expected()


def test_a_finding_leads_to_its_line(server: Server, browser: webdriver.Chrome) -> None:
    browser.get(f"{server.base_url}/validator")
    browser.execute_script(DROP, base64.b64encode(WRONG).decode())
    result(browser)
    link = browser.find_element(By.CSS_SELECTOR, "#findings a")
    row = browser.find_element(By.ID, f"L{link.text}")
    assert row.get_attribute("class") == "marked error"


def test_nothing_is_loaded_from_elsewhere_and_the_policy_holds(server: Server, browser: webdriver.Chrome) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(f"{server.base_url}/validator")
    browser.execute_script(
        DROP, base64.b64encode(b"<x onload='alert(1)'><script src='http://x.example/'/></x>").decode()
    )
    result(browser)
    asked = [json.loads(one["message"])["message"] for one in browser.get_log("performance")]
    urls = {one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"}
    assert urls
    assert all(url.startswith(f"{server.base_url}/") for url in urls), urls
    said = [one["message"] for one in browser.get_log("browser") if "favicon" not in one["message"]]
    assert said == []


def test_without_scripts_a_file_is_chosen_and_sent(server: Server, tmp_path: Path) -> None:
    (tmp_path / "chosen.xml").write_bytes(WRONG)
    service = webdriver.ChromeService(executable_path=program("chromedriver"))
    driver = webdriver.Chrome(options=options(tmp_path / "browser", scripts=False), service=service)
    try:
        driver.get(f"{server.base_url}/validator")
        assert not driver.find_element(By.CLASS_NAME, "scripted").is_displayed()
        driver.find_element(By.ID, "file").send_keys(str(tmp_path / "chosen.xml"))
        driver.find_element(By.ID, "judge").click()
        assert result(driver) == expected()
    finally:
        driver.quit()
