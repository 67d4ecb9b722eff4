"""A tall picture cut into bands, so that a browser has to work only on those that are in sight.

Rules of this file: pure, in linear time; a cut runs through lines only, never through a node, a frame or a label, so a
picture that is one large group stays whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from sayiir.picture.layout import Picture

BAND = 2400
"""A band is at least so high; the style sheet says the same, for where a band is not drawn yet."""


@dataclass(frozen=True, slots=True)
class Band:
    """What of a picture lies between two heights; lines may go beyond."""

    top: int
    bottom: int
    picture: Picture


def bands(picture: Picture) -> list[Band]:
    """Return a picture's bands from top to bottom; of a picture that is not tall, or cannot be cut, one."""
    edges = [0, *_cuts(picture), picture.height]
    found = [Band(top, bottom, Picture(picture.width, picture.height)) for top, bottom in pairwise(edges)]
    inner = edges[1:-1]
    for frame in picture.frames:
        found[bisect_right(inner, frame.y)].picture.frames.append(frame)
    for box in picture.boxes:
        found[bisect_right(inner, box.y)].picture.boxes.append(box)
    for pill in picture.pills:
        found[bisect_right(inner, pill.y)].picture.pills.append(pill)
    for edge in picture.edges:
        heights = [y for _, y in edge.points]
        for band in found[bisect_right(inner, min(heights)) : bisect_left(inner, max(heights)) + 1]:
            band.picture.edges.append(edge)
    return found


def _cuts(picture: Picture) -> Iterator[int]:
    """Yield the heights at which bands meet."""
    spans = [(block.y, block.bottom) for block in (*picture.frames, *picture.boxes)]
    spans += [(pill.y - 10, pill.y + 10) for pill in picture.pills]
    last = reach = 0
    for top, bottom in sorted(spans):
        middle = (reach + top) // 2
        if top > reach and middle - last >= BAND and picture.height - middle >= BAND:
            last = middle
            yield last
        reach = max(reach, bottom)
