"""Files that cases and plans name: those of their own folders, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from .templates import TemplateError


def inside(path: Path, *folders: Path) -> Path:
    """The path, where it and what it links to lie in one of the folders; TemplateError where they do not."""
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise TemplateError(f"{path} lies outside of {', '.join(map(str, folders))}")
    return path
