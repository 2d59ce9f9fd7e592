"""A folder for media: files in the tree of a File-set with their DICOMDIR (DICOM PS3.3 annex F, PS3.10 section 8)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.fileset import FileSet

from xdsi.domain.errors import MalformedMessage


def write_file_set(files: Sequence[Path], folder: Path) -> tuple[Path, list[tuple[Path, str]]]:
    """Copy files into a new folder with a DICOMDIR; where that is, and which could not be listed in it, each with why.

    MalformedMessage where the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise MalformedMessage(f"{folder} is not empty", expected="a new folder for the File-set")
    left_out: list[tuple[Path, str]] = []
    file_set = FileSet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for file in files:
                try:
                    file_set.add(dcmread(file))
                except Exception as error:  # a record needs attributes that not every instance has
                    left_out.append((file, f"{type(error).__name__}: {error}"))
            folder.mkdir(parents=True, exist_ok=True)
            file_set.write(folder)
        finally:
            staged = file_set._stage["t"]
            if staged is not None:
                staged.cleanup()
    return folder / "DICOMDIR", left_out
