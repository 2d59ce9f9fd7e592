"""Takes instances apart in a process of its own, under limits: decoders are fed with what others wrote.

The result is complete before the status of an answer is written. As a module it is that process.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from xdsi.domain.errors import Refused, Unavailable, XdsiError
from xdsi.domain.imaging import Instance
from xdsi.domain.submission import Document
from xdsi.domain.wado import View
from xdsi.storage.transcoding import Temporary, limit
from xdsi.wire import rendering

_SECONDS = 60
_NOT_THERE = 3


class SubprocessPictures:
    """`file_of` brings an instance's file; what is made of it lies in `folder` until the answer has left."""

    def __init__(self, file_of: Callable[[Instance], AbstractContextManager[Path]], folder: Path) -> None:
        self._file_of = file_of
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def rendered(self, instance: Instance, view: View) -> Document:
        """A picture of one frame."""
        ((_, document),) = self._made(instance, 1, {"render": dataclasses.asdict(view)})
        return document

    def frames(self, instance: Instance, numbers: Sequence[int], *, native: bool) -> Sequence[tuple[str, Document]]:
        """Frames with the transfer syntax of each."""
        return self._made(instance, len(numbers), {"frames": list(numbers), "native": native})

    def bulkdata(self, instance: Instance, path: Sequence[int]) -> Document:
        """The value of an element."""
        ((_, document),) = self._made(instance, 1, {"bulkdata": list(path)})
        return document

    def _made(self, instance: Instance, count: int, task: dict[str, Any]) -> list[tuple[str, Document]]:
        name = secrets.token_hex(16)
        targets = [Temporary(self._folder / f"{name}.{number}") for number in range(count)]
        # -P: nothing is imported from the folder that the server was started in.
        command = [sys.executable, "-P", "-m", "xdsi.storage.pictures", json.dumps(task)]
        try:
            # It is left only where the file, which the process opens by its name, is still the one that was judged.
            with self._file_of(instance) as file:
                done = subprocess.run(  # noqa: S603 - our own module and paths
                    [*command, str(file), *(str(target.path) for target in targets)],
                    capture_output=True, timeout=_SECONDS, check=False,
                )  # fmt: skip
            said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            if done.returncode == _NOT_THERE:
                raise LookupError(said)
            if done.returncode != 0:
                raise Refused(said or f"the process ended with {done.returncode}")
            syntax = done.stdout.decode().strip()
            return [(syntax, Document(open=one.open, size=one.path.stat().st_size)) for one in targets]
        except subprocess.TimeoutExpired as error:
            raise Refused(f"took longer than {_SECONDS} s") from error
        except OSError as error:
            raise Unavailable(f"pictures: {error}") from error


def main(arguments: Sequence[str]) -> int:
    """TASK SOURCE TARGET...: do what the task says."""
    task, source, *targets = arguments
    wanted = json.loads(task)
    try:
        with ExitStack() as files:
            read = files.enter_context(Path(source).open("rb"))
            written = [files.enter_context(Path(target).open("wb")) for target in targets]
            if "render" in wanted:
                rendering.render(read, written[0], View(**wanted["render"]))
            elif "frames" in wanted:
                print(rendering.frames(read, written, wanted["frames"], native=wanted["native"]))  # noqa: T201 - likewise
            else:
                rendering.bulkdata(read, written[0], wanted["bulkdata"])
    except LookupError as error:
        print(error.args[0], file=sys.stderr)  # noqa: T201 - the process's only way to say why
        return _NOT_THERE
    except XdsiError as error:
        print(error, file=sys.stderr)  # noqa: T201 - likewise
        return 1
    return 0


if __name__ == "__main__":
    limit()
    sys.exit(main(sys.argv[1:]))
