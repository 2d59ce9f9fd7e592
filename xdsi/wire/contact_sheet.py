"""A sheet of small pictures with a line under each (PNG); no patient is named on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageDraw

SIDE = 160
_GAP, _LINE = 8, 14


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture of at most SIDE x SIDE pixels (empty where none could be made), and what it says underneath."""

    picture: bytes
    caption: str


def write_contact_sheet(thumbnails: Sequence[Thumbnail], destination: BinaryIO) -> tuple[int, int]:
    """Write the sheet and say how large it is."""
    columns = min(8, max(1, math.ceil(math.sqrt(len(thumbnails)))))
    rows = max(1, math.ceil(len(thumbnails) / columns))
    cell = SIDE + _GAP, SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "black")
    draw = ImageDraw.Draw(sheet)
    for number, one in enumerate(thumbnails):
        left, top = _GAP + number % columns * cell[0], _GAP + number // columns * cell[1]
        if one.picture:
            picture = Image.open(BytesIO(one.picture)).convert("RGB")
            sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
        else:
            draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), outline="dimgray")
        draw.text((left, top + SIDE), one.caption[:26].encode("latin-1", "replace").decode("latin-1"), fill="white")
    sheet.save(destination, "PNG")
    return sheet.size
