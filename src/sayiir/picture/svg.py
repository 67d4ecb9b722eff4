"""The definition as a standalone, accessible SVG.

Rules of this file: pure; the same input gives the same bytes; every user-given text passes through `xml`. Only
classes and geometry attributes are used, never `style="…"`, so that a strict content security policy can show it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from sayiir.core.graph import Graph
from sayiir.picture.blocks import Block
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


def draw(picture: Picture, title: str, *, standalone: bool) -> str:
    """Return a laid-out picture as SVG; not `standalone` leaves out style sheet and ground, which the page has."""
    about = describe(picture)
    # Ids must differ between pictures of one page; equal pictures may share them.
    key = hashlib.sha256(clean(f"{title}\n{about}").encode()).hexdigest()[:8]
    size = f'width="{picture.width}" height="{picture.height}" viewBox="0 0 {picture.width} {picture.height}"'
    label = f'role="img" aria-labelledby="sy-t-{key} sy-d-{key}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sy-pic sy-theme" {size} {label}>',
        f'<title id="sy-t-{key}">{xml(title)}</title>',
        f'<desc id="sy-d-{key}">{xml(about)}</desc>',
    ]
    if standalone:
        parts.append(f"<style>{xml_css(PICTURE_CSS)}</style>")
        parts.append(f'<rect class="sy-bg" width="{picture.width}" height="{picture.height}" rx="16"/>')
    parts.extend(map(_frame, picture.frames))
    parts.extend(_edges(picture))
    parts.extend(map(_box, picture.boxes))
    parts.extend(map(_pill, picture.pills))
    return "\n".join((*parts, "</svg>")) + "\n"


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


def _quiet_ids(picture: Picture) -> frozenset[str]:
    """Return the nodes that control has not reached, or passed by."""
    return frozenset(b.id for b in nodes_of(picture) if b.state and b.state.status in ("pending", "skipped"))


# -- nodes


def _box(block: Block) -> str:
    match block.kind:
        case "start" | "end":
            return _round(block)
        case "route":
            return _diamond(block)
        case _:
            place = f'x="{block.x}" y="{block.y}" width="{block.width}" height="{block.height}"'
            return _group(block, [f'<rect class="sy-card" {place} rx="12"/>', *_card(block, block.height)])


def _frame(block: Block) -> str:
    place = f'x="{block.x}" y="{block.y}" width="{block.width}"'
    parts = [f'<rect class="sy-group" {place} height="{block.height}" rx="16"/>']
    if block.height == block.head:
        parts.append(f'<rect class="sy-head" {place} height="{block.head}" rx="16"/>')
    else:
        right, low = block.x + block.width, block.y + block.head
        parts.append(
            f'<path class="sy-head" d="M{block.x} {low}V{block.y + 16}a16 16 0 0 1 16-16H{right - 16}'
            f'a16 16 0 0 1 16 16V{low}z"/>'
        )
    return _group(block, [*parts, *_card(block, block.head)])


def _group(block: Block, parts: list[str]) -> str:
    status = block.state.status if block.state else None
    kind = f"sy-node sy-{block.kind}" + (f" sy-{status}" if status else "")
    data = f'data-node="{xml(block.key_id or block.id)}"' + (f' data-status="{status}"' if status else "")
    words = block.words.full if block.words else block.id
    if block.state:
        words += f"\n{block.state.words}"
    group = f'<g class="{kind}" {data}><title>{xml(words)}</title>{"".join(parts)}</g>'
    # The diamond is two nodes in one: the route around its key function.
    return f'<g class="sy-choice" data-node="{xml(block.id)}">{group}</g>' if block.key_id else group


def _icon(block: Block, x: int, y: int) -> str:
    return f'<path class="sy-icon" transform="translate({x} {y})" d="{KIND_ICONS[block.kind]}"/>'


def _card(block: Block, height: int) -> Iterator[str]:
    """Yield tile, icon and texts at the left of a card or of a frame's header."""
    top = block.y + (height - 28) // 2
    yield f'<rect class="sy-tile" x="{block.x + 12}" y="{top}" width="28" height="28" rx="8"/>'
    yield _icon(block, block.x + 18, top + 6)
    texts = card_lines(block)
    places = _BASELINES[max(1, len(texts))]
    left = block.x + TEXT_LEFT
    for index, (text, base) in enumerate(zip(texts, places, strict=False)):
        if block.state and index == len(texts) - 1:
            yield _status(block.state, text, left, block.y + base)
        elif index:
            yield f'<text class="sy-line" x="{left}" y="{block.y + base}">{_fit(text, LINE_SIZE)}</text>'
        else:
            yield f'<text class="sy-name" x="{left}" y="{block.y + base}">{_fit(text, NAME_SIZE)}</text>'


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
    middle, top, half = block.middle, block.y, block.diamond // 2
    texts = card_lines(block)
    name, line = (*texts, "")[:2]
    base = top + block.head // 2 + (0 if line else 6)
    limit = text_limit(block)
    parts = [
        f'<path class="sy-card" d="{_diamond_path(middle, top, half, block.head // 2)}"/>',
        _icon(block, middle - 8, base - 33),
        f'<text class="sy-name" x="{middle}" y="{base}" text-anchor="middle">{_fit(name, NAME_SIZE, limit)}</text>',
    ]
    if block.state:
        text = cut(line, LINE_SIZE, limit - STATUS_ICON)
        left = middle - (text_width(text, LINE_SIZE) + STATUS_ICON) // 2
        parts.append(_status(block.state, text, left, base + 19))
    elif line:
        place = f'x="{middle}" y="{base + 17}" text-anchor="middle"'
        parts.append(f'<text class="sy-line" {place}>{_fit(line, LINE_SIZE, limit)}</text>')
    return _group(block, parts)


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


def _edges(picture: Picture) -> Iterator[str]:
    """Yield the lines; those that control has not taken first, so that taken ones lie on top of them."""
    quiet = _quiet_ids(picture)
    hushed = [edge.idle or edge.source in quiet or edge.target in quiet for edge in picture.edges]
    pairs = list(zip(picture.edges, hushed, strict=True))
    yield from (_edge(edge, " sy-quiet") for edge, hush in pairs if hush)
    yield from (_edge(edge, "") for edge, hush in pairs if not hush)


def _edge(edge: Edge, hush: str) -> str:
    kind = " sy-again" if edge.kind == "again" else ""
    line = f'<path class="sy-edge{kind}{hush}" d="{_path(edge)}"/>'
    return line + (f'<path class="sy-tip{hush}" d="{_tip(edge)}"/>' if edge.arrow else "")


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
