"""Transcodes an instance in a process of its own, under limits: decoders are fed with what others wrote.

The result is complete before the status of an answer is written (RAD TF-2 4.69.4.2). As a module it is that process.
"""

from __future__ import annotations

import resource
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from xdsi.domain.errors import Refused, Unavailable, XdsiError
from xdsi.domain.imaging import Instance
from xdsi.domain.submission import Document
from xdsi.storage.files import chunks_of
from xdsi.wire.transcode import choose, transcode

_SECONDS = 60
_MEMORY = 4 * 1024**3


class Temporary:
    """A file that goes when nobody can read it any more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Iterator[bytes]:
        """Its bytes; who reads them keeps it."""
        yield from chunks_of(self.path)

    def __del__(self) -> None:
        self.path.unlink(missing_ok=True)


class SubprocessTranscoder:
    """`file_of` brings an instance's file; results lie in `folder` until the answer has left."""

    def __init__(self, file_of: Callable[[Instance], AbstractContextManager[Path]], folder: Path) -> None:
        self._file_of = file_of
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def transcode(self, instance: Instance, transfer_syntaxes: Sequence[str]) -> Document:
        """The instance in one of the transfer syntaxes; raises Refused where none can be made."""
        choose(instance.transfer_syntax_uid, transfer_syntaxes)  # no process for what cannot be
        target = self._folder / secrets.token_hex(16)
        result = Temporary(target)
        # -P: nothing is imported from the folder that the server was started in.
        module = [sys.executable, "-P", "-m", "xdsi.storage.transcoding"]
        try:
            # It is left only where the file, which the process opens by its name, is still the one that was judged.
            with self._file_of(instance) as file:
                command = [*module, str(file), str(target), *transfer_syntaxes]
                done = subprocess.run(  # noqa: S603 - our own module and paths; UIDs are arguments, never a shell's
                    command, capture_output=True, timeout=_SECONDS, check=False
                )
            if done.returncode != 0:
                reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise Refused(reason or f"the process ended with {done.returncode}")
            return Document(open=result.open, size=target.stat().st_size)
        except subprocess.TimeoutExpired as error:
            raise Refused(f"took longer than {_SECONDS} s") from error
        except OSError as error:
            raise Unavailable(f"transcoding: {error}") from error


def limit() -> None:
    """Bound this process; it does so itself, because nothing is safe between fork and exec of a threaded one."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))


def main(arguments: Sequence[str]) -> int:
    """SOURCE TARGET SYNTAX...: write the source in one of the transfer syntaxes."""
    source, target, *transfer_syntaxes = arguments
    try:
        with Path(source).open("rb") as read, Path(target).open("wb") as write:
            transcode(read, write, transfer_syntaxes)
    except XdsiError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the process's only way to say why
        return 1
    return 0


if __name__ == "__main__":
    limit()
    sys.exit(main(sys.argv[1:]))
