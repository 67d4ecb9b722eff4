"""Where everything stands: sizes bottom-up, then places top-down.

Rules of this file: pure integer geometry of a series-parallel tree, in linear time and without recursion. Every
block has an axis on which the line enters at its top and leaves at its bottom, so a sequence is blocks set axis
under axis. Groups are frames with a header; a fork's header is its split, each branch hangs straight from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sayiir.core.graph import Graph
from sayiir.picture.blocks import Block, open_tree, set_states
from sayiir.picture.state import NodeState
from sayiir.picture.text import cut, one_line, text_width

Point: TypeAlias = tuple[int, int]

NAME_SIZE, LINE_SIZE, PILL_SIZE = 13.5, 11.5, 11.0
TEXT_LIMIT, DIAMOND_LIMIT, PILL_LIMIT = 250, 180, 150
TEXT_LEFT, TEXT_RIGHT, STATUS_ICON = 50, 16, 18
MIN_WIDTH = 160
CARD_HEIGHTS = {1: 46, 2: 56, 3: 74}
ROUND_SIZE: Point = (68, 30)
GAP = 34
"""Between two nodes of a sequence."""
SIDE_GAP = 28
"""Between two branches."""
PAD = 20
"""Between a frame and what it holds."""
FORK_LEAD, ROUTE_LEAD, LOOP_LEAD = 64, 80, 40
"""From a split to the first node below it."""
ROUTE_TURN = 20
"""From a diamond to where its lines part."""
JOIN_MERGE, ROUTE_MERGE = 44, 32
"""From the longest branch to the join, or to the point where a route's branches meet."""
LOOP_SIDE = 40
MARGIN = 32


@dataclass(frozen=True, slots=True)
class Edge:
    """A line through points.

    `source` and `target` are the ids of the nodes it joins, where there is one at that end.
    """

    points: tuple[Point, ...]
    arrow: bool = True
    source: str = ""
    target: str = ""
    kind: Literal["flow", "again"] = "flow"
    idle: bool = False
    """Known not to have been taken, though both its ends were."""


@dataclass(frozen=True, slots=True)
class Pill:
    """A small label on a line, around its middle."""

    text: str
    full: str
    x: int
    y: int
    width: int


@dataclass(slots=True)
class Picture:
    """A laid-out definition."""

    width: int
    height: int
    frames: list[Block] = field(default_factory=list)
    boxes: list[Block] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    pills: list[Pill] = field(default_factory=list)


def layout(graph: Graph, states: Mapping[str, NodeState] | None = None) -> Picture:
    """Return the picture of a definition; with `states` every node has room for a line about its state."""
    blocks = open_tree(graph)
    if states is not None:
        set_states(blocks, states)
    for block in reversed(blocks):
        _measure(block)
    whole = blocks[0]
    whole.x = whole.y = MARGIN
    picture = Picture(whole.width + 2 * MARGIN, whole.height + 2 * MARGIN)
    for block in blocks:
        _place(block, picture)
    return picture


def card_lines(block: Block) -> list[str]:
    """Return the texts of a card, uncut: its name, its second line and its state, as far as it has them."""
    if block.words is None:
        return []
    line = block.words.line
    if block.kind == "route" and block.state is not None:
        line = ""  # A diamond has room for two lines.
    texts = [one_line(block.words.name) or "(no name)", one_line(line)]
    return [text for text in texts if text] + ([one_line(block.state.words)] if block.state else [])


def text_limit(block: Block) -> int:
    """Return the room for a line of text, beyond which it is cut."""
    return DIAMOND_LIMIT if block.kind == "route" else TEXT_LIMIT


# -- sizes


def _measure(block: Block) -> None:
    match block.kind:
        case "start" | "end":
            block.width, block.height = ROUND_SIZE
            block.axis = block.width // 2
        case "sequence":
            _measure_sequence(block)
        case "route":
            _measure_route(block)
        case "fork":
            _measure_fork(block)
        case "loop":
            _measure_loop(block)
        case "child":
            _measure_child(block)
        case _:
            _measure_card(block)


def _text_room(block: Block) -> tuple[int, int]:
    """Return the width of the widest line of a card and the number of its lines."""
    texts, limit = card_lines(block), text_limit(block)
    widest = text_width(cut(texts[0], NAME_SIZE, limit), NAME_SIZE) if texts else 0
    for index, text in enumerate(texts[1:], 1):
        icon = STATUS_ICON if block.state and index == len(texts) - 1 else 0
        widest = max(widest, icon + text_width(cut(text, LINE_SIZE, limit - icon), LINE_SIZE))
    return widest, max(1, len(texts))


def _measure_card(block: Block) -> None:
    widest, lines = _text_room(block)
    # Multiples of eight make neighbours of about the same length equal.
    width = max(MIN_WIDTH, -(-(TEXT_LEFT + widest + TEXT_RIGHT) // 8) * 8)
    block.width, block.height, block.axis = width, CARD_HEIGHTS[lines], width // 2


def _span(block: Block, parts: list[tuple[int, int]]) -> None:
    """Set width and axis so that parts (their width, their own axis) stand axis under axis."""
    block.axis = max((axis for _, axis in parts), default=0)
    block.width = block.axis + max((width - axis for width, axis in parts), default=0)


def _lead(block: Block) -> int:
    """Return the height of the line above the first node of a branch."""
    return ROUTE_LEAD if block.kind == "route" else FORK_LEAD


def _pill_width(label: str) -> int:
    return text_width(cut(label, PILL_SIZE, PILL_LIMIT), PILL_SIZE) + 18


def _measure_sequence(block: Block) -> None:
    cards = [child for child in block.children if child.kind in ("task", "delay", "signal")]
    widest = max((card.width for card in cards), default=0)
    for card in cards:
        card.width, card.axis = widest, widest // 2
    parts = [(child.width, child.axis) for child in block.children]
    if block.label is not None:
        pill = _pill_width(one_line(block.label))
        parts.append((pill, pill // 2))
    _span(block, parts)
    block.height = sum(child.height for child in block.children) + GAP * max(0, len(block.children) - 1)


def _measure_branches(block: Block, lanes: list[Block]) -> tuple[int, int, int]:
    """Set branches side by side; return their common width, the axis between them, and the height."""
    left = 0
    for lane in lanes:
        lane.head = _lead(block)
        lane.height += lane.head
        lane.x = left  # Relative, until the parent has its place.
        left += lane.width + SIDE_GAP
    if not lanes:
        return 0, 0, 0
    axis = (lanes[0].axis + lanes[-1].x + lanes[-1].axis) // 2
    # With an odd number of branches the line goes straight down the middle one, if that is nearly the middle.
    middle = lanes[len(lanes) // 2].x + lanes[len(lanes) // 2].axis
    if len(lanes) % 2 and abs(middle - axis) < 60:
        axis = middle
    return left - SIDE_GAP, axis, max(lane.height for lane in lanes)


def _shift(block: Block, lanes: list[Block], axis: int) -> None:
    for lane in lanes:
        lane.x += block.axis - axis


def _frame(block: Block, parts: list[tuple[int, int]]) -> None:
    """Set a frame's header, width and axis around what it holds."""
    widest, lines = _text_room(block)
    block.head = CARD_HEIGHTS[lines]
    _span(block, parts)
    block.axis += PAD
    block.width += 2 * PAD
    missing = max(0, TEXT_LEFT + widest + TEXT_RIGHT - block.width)
    block.width += missing
    block.axis += missing // 2


def _measure_fork(block: Block) -> None:
    *lanes, join = block.children
    width, axis, height = _measure_branches(block, lanes)
    _frame(block, [(width, axis), (join.width, join.axis)])
    _shift(block, lanes, axis)
    block.height = block.head + height + JOIN_MERGE + join.height + PAD


def _measure_route(block: Block) -> None:
    texts = card_lines(block)
    widest, _ = _text_room(block)
    # At the height of its text a diamond has half of its full width.
    diamond = max(168, -(-(widest + 12) // 4) * 8)
    block.head = 96 if len(texts) > 1 else 76
    width, axis, height = _measure_branches(block, block.children)
    _span(block, [(diamond, diamond // 2), (width, axis)])
    _shift(block, block.children, axis)
    block.height = block.head + height + (ROUTE_MERGE if block.children else 0)
    block.diamond = diamond


def _measure_loop(block: Block) -> None:
    (body,) = block.children
    right = LOOP_SIDE + _pill_width("again") // 2
    _frame(block, [(body.width + right, body.axis)])
    block.height = block.head + LOOP_LEAD + body.height + LOOP_LEAD


def _measure_child(block: Block) -> None:
    (inner,) = block.children
    _frame(block, [(inner.width, inner.axis)])
    block.height = block.head + (GAP + inner.height + PAD if inner.children else 0)


# -- places


def _place(block: Block, picture: Picture) -> None:
    match block.kind:
        case "sequence":
            _place_sequence(block, picture)
        case "fork":
            _place_fork(block, picture)
        case "route":
            _place_route(block, picture)
        case "loop":
            _place_loop(block, picture)
        case "child":
            _place_child(block, picture)
        case _:
            picture.boxes.append(block)


def _stand(child: Block, middle: int, top: int) -> None:
    child.x, child.y = middle - child.axis, top


def _line(picture: Picture, x: int, span: tuple[int, int], ends: tuple[str, str], *, arrow: bool = True) -> None:
    """Draw a plumb line from `span[0]` down to `span[1]`, between the nodes `ends`."""
    picture.edges.append(Edge(((x, span[0]), (x, span[1])), arrow, *ends))


def _place_sequence(block: Block, picture: Picture) -> None:
    top, before = block.y + block.head, ""
    for index, child in enumerate(block.children):
        _stand(child, block.middle, top)
        if index:
            _line(picture, block.middle, (top - GAP, top), (before, child.id))
        top += child.height + GAP
        before = child.id


def _drop(picture: Picture, parent: Block, lane: Block, start: list[Point], *, idle: bool = False) -> None:
    """Draw the line from a split to the first node of a branch, with the branch's name on it."""
    first = lane.children[0].id if lane.children else ""
    end = (lane.middle, lane.y + lane.head)
    picture.edges.append(Edge((*start, end), bool(lane.children), parent.id, first, idle=idle))
    label = one_line(lane.label or "")
    if label:
        text = cut(label, PILL_SIZE, PILL_LIMIT)
        picture.pills.append(Pill(text, label, lane.middle, lane.y + lane.head - GAP, _pill_width(label)))


def _merge(picture: Picture, lane: Block, end: Point, ends: tuple[str, str], *, idle: bool = False) -> None:
    """Draw the line from the end of a branch to where all branches meet: at a join, or in the open."""
    source, join = ends
    turn = end[1] - (JOIN_MERGE if join else ROUTE_MERGE) // 2
    points = ((lane.middle, lane.bottom), (lane.middle, turn), (end[0], turn), end)
    picture.edges.append(Edge(points, bool(join), source, join, idle=idle))


def _place_fork(block: Block, picture: Picture) -> None:
    picture.frames.append(block)
    *lanes, join = block.children
    top = block.y + block.head
    _stand(join, block.middle, block.bottom - PAD - join.height)
    for lane in lanes:
        lane.x, lane.y = block.x + lane.x, top
        _drop(picture, block, lane, [(lane.middle, top)])
        _merge(picture, lane, (block.middle, join.y), (_last(lane, block), join.id))
    if not lanes:
        _line(picture, block.middle, (top, join.y), (block.id, join.id))
    _line(picture, block.middle, (join.bottom, block.bottom), (join.id, ""), arrow=False)


def _place_route(block: Block, picture: Picture) -> None:
    picture.boxes.append(block)
    top = block.y + block.head
    # An empty branch has no state to tell by; that another one was entered does.
    taken = any(_reached(lane.children[0]) for lane in block.children if lane.children)
    for lane in block.children:
        lane.x, lane.y = block.x + lane.x, top
        turn, idle = top + ROUTE_TURN, taken and not lane.children
        _drop(picture, block, lane, [(block.middle, top), (block.middle, turn), (lane.middle, turn)], idle=idle)
        _merge(picture, lane, (block.middle, block.bottom), (_last(lane, block), ""), idle=idle)


def _last(lane: Block, parent: Block) -> str:
    return lane.children[-1].id if lane.children else parent.id


def _reached(block: Block) -> bool:
    return block.state is not None and block.state.status not in ("pending", "skipped")


def _place_loop(block: Block, picture: Picture) -> None:
    picture.frames.append(block)
    (body,) = block.children
    _stand(body, block.middle, block.y + block.head + LOOP_LEAD)
    x, side = block.middle, body.x + body.width + LOOP_SIDE
    over, under = body.y - LOOP_LEAD // 2 - 2, body.bottom + LOOP_LEAD // 2
    _line(picture, x, (block.y + block.head, body.y), (block.id, body.id))
    _line(picture, x, (body.bottom, block.bottom), (body.id, ""), arrow=False)
    back = ((x, under), (side, under), (side, over), (x, over))
    picture.edges.append(Edge(back, source=body.id, target=body.id, kind="again"))
    picture.pills.append(Pill("again", "again", side, (over + under) // 2, _pill_width("again")))


def _place_child(block: Block, picture: Picture) -> None:
    picture.frames.append(block)
    (inner,) = block.children
    top = block.y + block.head
    _stand(inner, block.middle, top + GAP)
    if inner.children:
        first, last = inner.children[0].id, inner.children[-1].id
        _line(picture, block.middle, (top, top + GAP), (block.id, first))
        _line(picture, block.middle, (block.bottom - PAD, block.bottom), (last, ""), arrow=False)
