"""The service's pictures as the pages show them: inline, and as readable as the place allows.

Rules of this file: a picture is the service's own markup, made of escaped text; only here it is passed on unescaped.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

_WIDTH = re.compile(r'<svg [^>]*?\bwidth="(\d+)"')
_STEPS = (3, 4, 5, 6, 8, 10, 14, 20, 30)
_SMALLEST = 0.7
_ROOM = 760
"""Pixels that the narrowest usual place has."""


def drawn(svg: str, zoom: str) -> dict[str, Any]:
    """Return what a template needs to show a picture.

    A wide picture shrinks, but not so far that it cannot be read any more; then it scrolls. `zoom` asks for its full size.

    >>> drawn('<svg class="sy-pic" width="1000">', "")["least"]
    6
    """
    found = _WIDTH.search(svg)
    width = int(found[1]) if found else 0
    least = max((step for step in _STEPS if step * 100 <= width * _SMALLEST), default=0)
    return {"svg": Markup(svg), "least": least, "wide": width > _ROOM, "zoom": bool(zoom)}  # noqa: S704 -- ours, see above
