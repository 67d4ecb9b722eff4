"""The definition as a standalone, accessible SVG.

Rules of this file: pure; the same input gives the same bytes; every user-given text passes through `xml`. Only
classes and geometry attributes are used, never `style="…"`, so that a strict content security policy can show it.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from sayiir.core.graph import Graph
from sayiir.picture.bands import bands
from sayiir.picture.blocks import Block, BlockKind
from sayiir.picture.icons import KIND_ICONS, STATUS_ICONS
from sayiir.picture.layout import (
    LINE_SIZE,
    NAME_SIZE,
    STATUS_ICON,
    TEXT_LEFT,
    TEXT_LIMIT,
    Edge,
    Picture,
    Pill,
    Point,
    card_lines,
    layout,
    text_limit,
)
from sayiir.picture.state import STATUS_WORDS, NodeState, Status, status_counts
from sayiir.picture.style import PICTURE_CSS
from sayiir.picture.text import clean, cut, text_width, xml
from sayiir.picture.words import plural

_BASELINES = {1: (28,), 2: (24, 41), 3: (24, 41, 60)}
_CORNER = 10


def to_svg(graph: Graph, *, states: Mapping[str, NodeState] | None = None, title: str | None = None) -> str:
    """Return the picture of a workflow as one SVG document.

    Args:
        graph: the definition.
        states: state by full node id; a node without one is pending, a group takes it from its nodes. None draws
            the plain definition.
        title: accessible name; the workflow's name if not given.
    """
    return draw(layout(graph, states), graph.name if title is None else title, standalone=True)


def to_inline(graph: Graph, *, states: Mapping[str, NodeState] | None = None, title: str | None = None) -> str:
    """Return the same for the midst of a page, which has the style sheet: SVG, or a column of it (see `to_svg`)."""
    return draw(layout(graph, states), graph.name if title is None else title, standalone=False)


def draw(picture: Picture, title: str, *, standalone: bool) -> str:
    """Return a laid-out picture as SVG; not `standalone` leaves out style sheet and ground, which the page has.

    A tall picture for a page is a column of bands, each an SVG of its own (see `picture.bands`).
    """
    about = describe(picture)
    if not standalone and len(cut_up := bands(picture)) > 1:
        still = _still(picture)
        column = "\n".join(
            f'<div class="sy-band">{_open(band.picture, band.top, band.bottom)}>\n'
            + "\n".join((*_parts(band.picture, still), "</svg></div>"))
            for band in cut_up
        )
        label = f'role="img" aria-label="{xml(title)}: {xml(about)}"'
        return f'<div class="sy-pic sy-theme sy-bands" {label}>\n{column}\n</div>\n'
    # Ids must differ between pictures of one page; equal pictures may share them.
    key = hashlib.sha256(clean(f"{title}\n{about}").encode()).hexdigest()[:8]
    label = f'role="img" aria-labelledby="sy-t-{key} sy-d-{key}"'
    parts = [
        f'{_open(picture, 0, picture.height)} class="sy-pic sy-theme" {label}>',
        f'<title id="sy-t-{key}">{xml(title)}</title>',
        f'<desc id="sy-d-{key}">{xml(about)}</desc>',
    ]
    if standalone:
        parts.append(f"<style>{xml_css(PICTURE_CSS)}</style>")
        parts.append(f'<rect class="sy-bg" width="{picture.width}" height="{picture.height}" rx="16"/>')
    return "\n".join((*parts, *_parts(picture, _still(picture)), "</svg>")) + "\n"


def _open(picture: Picture, top: int, bottom: int) -> str:
    """Return the begin of an SVG that shows what of a picture lies between two heights."""
    size = f'width="{picture.width}" height="{bottom - top}" viewBox="0 {top} {picture.width} {bottom - top}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}'


def _parts(picture: Picture, still: _Still) -> Iterator[str]:
    yield from map(_frame, picture.frames)
    yield from _edges(picture, still)
    yield from map(_box, picture.boxes)
    yield from map(_pill, picture.pills)


def xml_css(css: str) -> str:
    """Return the style sheet as XML text; quotes may stand as they are."""
    return css.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def describe(picture: Picture) -> str:
    """Return one sentence about the picture, for those who cannot see it.

    It counts the nodes, and says how many have which status.
    """
    words = ", ".join(f"{count:,} {STATUS_WORDS[status].lower()}" for status, count in counts_of(picture))
    return f"Workflow picture with {plural(len(nodes_of(picture)), 'node')}" + (f"; {words}." if words else ".")


def counts_of(picture: Picture) -> list[tuple[Status, int]]:
    """Return how many nodes have which status; groups do not count, they only repeat their nodes."""
    return status_counts(block.state.status for block in picture.boxes if block.state)


def nodes_of(picture: Picture) -> list[Block]:
    """Return the drawn nodes of the definition: frames, then boxes without start and end."""
    return picture.frames + [block for block in picture.boxes if block.kind not in ("start", "end")]


class _Still(NamedTuple):
    """Nodes whose lines control has not taken.

    Args:
        ids: not reached, or passed by; no line from or to them.
        inside: not completed; no line from them to the end of what they are in, which has no id.
    """

    ids: frozenset[str]
    inside: frozenset[str]


def _still(picture: Picture) -> _Still:
    states = [(block.id, block.state.status) for block in nodes_of(picture) if block.state]
    return _Still(
        frozenset(name for name, status in states if status in ("pending", "skipped")),
        frozenset(name for name, status in states if status != "completed"),
    )


# -- nodes


def _box(block: Block) -> str:
    match block.kind:
        case "start" | "end":
            return _round(block)
        case "route":
            return _diamond(block)
        case _:
            card = _furniture(block.kind, block.width, block.height, block.height, "")
            return _group(block, card + _texts(block))


def _frame(block: Block) -> str:
    frame = _furniture(block.kind, block.width, block.height, block.head, "frame")
    return _group(block, frame + _texts(block))


def _group(block: Block, parts: str) -> str:
    """Return a node as a group, in whose corner its own coordinates begin."""
    status = block.state.status if block.state else None
    kind = f"sy-node sy-{block.kind}" + (f" sy-{status}" if status else "")
    data = f'data-node="{xml(block.key_id or block.id)}"' + (f' data-status="{status}"' if status else "")
    place = f'transform="translate({block.x} {block.y})"'
    group = f'<g class="{kind}" {data} {place}>{_more(block, parts)}{parts}</g>'
    # The diamond is two nodes in one: the route around its key function.
    return f'<g class="sy-choice" data-node="{xml(block.id)}">{group}</g>' if block.key_id else group


def _more(block: Block, parts: str) -> str:
    """Return what a node says beyond what can be read on it, to hover over."""
    words = block.words.full.split("\n") if block.words else [block.id]
    words += [block.state.words] if block.state else []
    if all(f">{line}<" in parts for line in map(xml, words)):
        return ""
    return f"<title>{'&#10;'.join(map(xml, words))}</title>"


@functools.lru_cache(maxsize=1024)
def _furniture(kind: BlockKind, width: int, height: int, head: int, shape: Literal["", "frame"]) -> str:
    """Return card or frame with tile and icon: the same for all nodes of a kind and a size."""
    top = (head - 28) // 2
    tile = f'<rect class="sy-tile" x="12" y="{top}" width="28" height="28" rx="8"/>{_icon(kind, 18, top + 6)}'
    if not shape:
        return f'<rect class="sy-card" width="{width}" height="{height}" rx="12"/>{tile}'
    group = f'<rect class="sy-group" width="{width}" height="{height}" rx="16"/>'
    if height == head:
        return f'{group}<rect class="sy-head" width="{width}" height="{head}" rx="16"/>{tile}'
    return f'{group}<path class="sy-head" d="M0 {head}V16a16 16 0 0 1 16-16H{width - 16}a16 16 0 0 1 16 16V{head}z"/>{tile}'


def _icon(kind: BlockKind, x: int, y: int) -> str:
    return f'<path class="sy-icon" transform="translate({x} {y})" d="{KIND_ICONS[kind]}"/>'


def _texts(block: Block) -> str:
    """Return the texts at the left of a card or of a frame's header."""
    texts = card_lines(block)
    found = ""
    for index, (text, base) in enumerate(zip(texts, _BASELINES[max(1, len(texts))], strict=False)):
        if block.state and index == len(texts) - 1:
            found += _status(block.state, text, TEXT_LEFT, base)
        elif index:
            found += f'<text class="sy-line" x="{TEXT_LEFT}" y="{base}">{_fit(text, LINE_SIZE)}</text>'
        else:
            found += f'<text class="sy-name" x="{TEXT_LEFT}" y="{base}">{_fit(text, NAME_SIZE)}</text>'
    return found


def _fit(text: str, size: float, limit: int = TEXT_LIMIT) -> str:
    return xml(cut(text, size, limit))


def _status(state: NodeState, text: str, left: int, base: int) -> str:
    # The icon is drawn for 16 units; at 13 it stands well beside text of this size.
    place = f'transform="translate({left} {base - 10.5}) scale(.8125)"'
    words = _fit(text, LINE_SIZE, TEXT_LIMIT - STATUS_ICON)
    return (
        f'<path class="sy-mark" {place} d="{STATUS_ICONS[state.status]}"/>'
        f'<text class="sy-word" x="{left + STATUS_ICON}" y="{base}">{words}</text>'
    )


def _diamond(block: Block) -> str:
    middle, half = block.axis, block.diamond // 2
    texts = card_lines(block)
    name, line = (*texts, "")[:2]
    base = block.head // 2 + (0 if line else 6)
    limit = text_limit(block)
    parts = [
        f'<path class="sy-card" d="{_diamond_path(middle, 0, half, block.head // 2)}"/>',
        _icon(block.kind, middle - 8, base - 33),
        f'<text class="sy-name" x="{middle}" y="{base}" text-anchor="middle">{_fit(name, NAME_SIZE, limit)}</text>',
    ]
    if block.state:
        text = cut(line, LINE_SIZE, limit - STATUS_ICON)
        left = middle - (text_width(text, LINE_SIZE) + STATUS_ICON) // 2
        parts.append(_status(block.state, text, left, base + 19))
    elif line:
        place = f'x="{middle}" y="{base + 17}" text-anchor="middle"'
        parts.append(f'<text class="sy-line" {place}>{_fit(line, LINE_SIZE, limit)}</text>')
    return _group(block, "".join(parts))


def _diamond_path(x: int, top: int, wide: int, high: int) -> str:
    """Return a diamond with softened corners."""
    dx, dy = 14, round(14 * high / wide, 1)
    y = top + high
    return (
        f"M{x - dx} {top + dy}Q{x} {top - 1} {x + dx} {top + dy}L{x + wide - dx} {y - dy}Q{x + wide} {y} "
        f"{x + wide - dx} {y + dy}L{x + dx} {y + high - dy}Q{x} {y + high + 1} {x - dx} {y + high - dy}"
        f"L{x - wide + dx} {y + dy}Q{x - wide} {y} {x - wide + dx} {y - dy}z"
    )


def _round(block: Block) -> str:
    place = f'x="{block.x}" y="{block.y}" width="{block.width}" height="{block.height}" rx="{block.height // 2}"'
    text = f'<text class="sy-round-text" x="{block.middle}" y="{block.y + 19}">{block.kind.title()}</text>'
    return f'<g class="sy-{block.kind}"><rect class="sy-round" {place}/>{text}</g>'


# -- lines


def _edges(picture: Picture, still: _Still) -> Iterator[str]:
    """Yield the lines, all that look alike as one path; those that control has not taken lie below the taken ones."""
    lines = defaultdict[str, list[str]](list)
    for edge in picture.edges:
        way_out = not edge.target and edge.source in still.inside
        hush = " sy-quiet" if edge.idle or way_out or not still.ids.isdisjoint((edge.source, edge.target)) else ""
        lines[f"sy-edge{' sy-again' if edge.kind == 'again' else ''}{hush}"].append(_path(edge))
        if edge.arrow:
            lines[f"sy-tip{hush}"].append(_tip(edge))
    for hush in (" sy-quiet", ""):
        for name in (f"sy-edge{hush}", f"sy-edge sy-again{hush}", f"sy-tip{hush}"):
            if name in lines:
                yield f'<path class="{name}" d="{"".join(lines[name])}"/>'


def _path(edge: Edge) -> str:
    """Return the line with its corners rounded."""
    points = [point for i, point in enumerate(edge.points) if i == 0 or point != edge.points[i - 1]]
    if edge.arrow and len(points) > 1:
        points[-1] = _towards(points[-1], points[-2], 5)
    text = f"M{points[0][0]} {points[0][1]}"
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        near = min(_CORNER, _far(before, here) // 2, _far(here, after) // 2)
        start, end = _towards(here, before, near), _towards(here, after, near)
        text += f"L{start[0]} {start[1]}Q{here[0]} {here[1]} {end[0]} {end[1]}"
    return f"{text}L{points[-1][0]} {points[-1][1]}"


def _far(one: Point, other: Point) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(here: Point, there: Point, way: int) -> Point:
    """Return the point `way` further from here to there, which are level or plumb with each other."""
    far = max(1, _far(here, there))
    return here[0] + (there[0] - here[0]) * way // far, here[1] + (there[1] - here[1]) * way // far


def _tip(edge: Edge) -> str:
    (x, y), before = edge.points[-1], edge.points[-2]
    if before[0] == x:
        return f"M{x} {y - 1}l-4-7h8z"
    return f"M{x + 2} {y}l7-4v8z"


def _pill(pill: Pill) -> str:
    left, top = pill.x - pill.width // 2, pill.y - 10
    place = f'x="{left}" y="{top}" width="{pill.width}" height="20" rx="10"'
    text = f'<text class="sy-pill-text" x="{pill.x}" y="{pill.y + 4}">{xml(pill.text)}</text>'
    return f'<g><title>{xml(pill.full)}</title><rect class="sy-pill" {place}/>{text}</g>'
