"""How a picture is to look: the parameters of rendered resources (DICOM PS3.18 section 8.3.5)."""

from __future__ import annotations

import math

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.wado import View
from xdsi.wire.http import HttpRequest

MAX_SIDE = 8192
FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}


def read_view(http: HttpRequest, media_type: str) -> View:
    """The view that the parameters of WADO-RS describe; MalformedMessage for one that cannot be followed."""
    if http.one("annotation"):
        raise MalformedMessage("annotations are not drawn", location="annotation", expected="no such parameter")
    width = height = None
    viewport = [text.strip() for text in http.one("viewport").split(",")] if http.one("viewport") else []
    if viewport:
        if len(viewport) not in (2, 6) or any(viewport[2:]):
            raise MalformedMessage("regions of the image are not cut out", location="viewport", expected="width,height")
        width, height = (side(text, "viewport") for text in viewport[:2])
    window: tuple[float, float] | None = None
    function = "LINEAR"
    if http.one("window"):
        center, _, rest = http.one("window").partition(",")
        extent, _, named = rest.partition(",")
        window = window_of(center, extent, "window")
        if named and named.lower() not in FUNCTIONS:
            raise MalformedMessage(f"no function {named!r}", location="window", expected=", ".join(FUNCTIONS))
        function = FUNCTIONS[named.lower()] if named else function
    return View(
        media_type=media_type,
        width=width,
        height=height,
        window=window,
        window_function=function,
        quality=quality(http.one("quality"), "quality"),
    )


def side(text: str, name: str) -> int:
    """The length of a side in pixels."""
    if not (text.isdecimal() and text.isascii() and len(text) < 6 and 0 < int(text) <= MAX_SIDE):
        raise MalformedMessage(f"{text!r} is not a length", location=name, expected=f"1 to {MAX_SIDE}")
    return int(text)


def window_of(center: str, width: str, name: str) -> tuple[float, float]:
    """Center and width of a window."""
    try:
        window = float(center), float(width)
    except ValueError as error:
        raise MalformedMessage(f"{center!r} and {width!r} are no window", location=name) from error
    if not all(math.isfinite(value) for value in window) or window[1] <= 0:
        raise MalformedMessage("a window has a width above 0", location=name)
    return window


def quality(text: str, name: str) -> int:
    """The quality of a JPEG."""
    if not text:
        return View().quality
    if not (text.isdecimal() and text.isascii() and len(text) < 4 and 1 <= int(text) <= 100):
        raise MalformedMessage(f"{text!r} is not a quality", location=name, expected="1 to 100")
    return int(text)
