"""How many requests a second a server answers: by wrk, or by a small client of our own where wrk cannot be used.

wrk bears no client certificate, so servers that ask for one are measured with our own client, both sides.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import ROOT, Server, python

CONNECTIONS = 16
_SCRIPT = """
local bodies = {%s}
local headers = {["Content-Type"] = "application/soap+xml; charset=UTF-8"}
local requests, at = {}, 0
init = function()
  for i, name in ipairs(bodies) do
    local file = io.open(name, "rb")
    requests[i] = wrk.format("POST", "%s", headers, file:read("*a"))
    file:close()
  end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
done = function(summary)
  local e = summary.errors
  print(string.format("result %%d %%d %%d", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """Sends each of the messages in turn over some connections for some seconds."""

    messages: Sequence[Path]
    path: str
    seconds: float
    folder: Path
    pki: Path | None = None
    """where the client's certificate is; None for plain HTTP"""

    @property
    def client(self) -> str:
        """Which client it is."""
        return "wrk" if self.pki is None and shutil.which("wrk") else "tests.bench.client"

    def rate(self, server: Server) -> float:
        """Requests a second; every answer must be a success."""
        count, seconds, errors = self._wrk(server) if self.client == "wrk" else self._own(server)
        if errors or not count:
            raise RuntimeError(f"{count} requests, {errors} errors at {server.url}")
        return count / seconds

    def measure(self, server: Server) -> Callable[[], float]:
        """For rounds."""
        return lambda: self.rate(server)

    def _wrk(self, server: Server) -> tuple[int, float, int]:
        script = self.folder / "post.lua"
        names = ", ".join(json.dumps(str(file)) for file in self.messages)
        script.write_text(_SCRIPT % (names, self.path))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds:.0f}s", "-s", script, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=self.seconds + 30)
        found = re.search(r"^result (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"wrk said:\n{done.stdout}{done.stderr}")
        return int(found[1]), int(found[2]) / 1e6, int(found[3])

    def _own(self, server: Server) -> tuple[int, float, int]:
        command = python("tests.bench.client", "--port", str(server.port), "--path", self.path)
        command += ["--seconds", str(self.seconds), "--connections", str(CONNECTIONS)]
        if self.pki is not None:
            command += ["--pki", self.pki]
        done = subprocess.run(
            [*map(str, command), *map(str, self.messages)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            timeout=self.seconds + 60,
        )
        count, seconds, errors = done.stdout.split()
        return int(count), float(seconds), int(errors)
