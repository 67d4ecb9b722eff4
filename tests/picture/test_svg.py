"""The SVG: well formed, complete, deterministic, and laid out so that nothing lies on anything else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.graph import Branch, ChildNode, ForkNode, Graph, LoopNode, RouteNode, TaskMetadata, TaskNode, walk
from sayiir.core.retry import RetryPolicy
from sayiir.picture import NodeState, Status, to_svg
from sayiir.picture.blocks import Block
from sayiir.picture.layout import Picture, layout
from sayiir.picture.state import STATUS_WORDS
from sayiir.picture.text import clean, cut, text_width

SVG = "{http://www.w3.org/2000/svg}"
STATUSES: tuple[Status, ...] = get_args(Status)


def task(name: str, **data: Any) -> TaskNode:
    return TaskNode(name, lambda value: value, metadata=TaskMetadata(**data))


def parse(text: str) -> ET.Element:
    # Bytes, as a file holds them: a lone surrogate would fail here.
    return ET.fromstring(text.encode())


def node_ids(root: ET.Element) -> set[str]:
    return {found for group in root.iter(f"{SVG}g") if (found := group.get("data-node")) is not None}


def group_of(root: ET.Element, node: str) -> ET.Element:
    return next(g for g in root.iter(f"{SVG}g") if g.get("data-node") == node and "sy-node" in (g.get("class") or ""))


def texts(element: ET.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


# -- the document


def test_it_is_an_accessible_standalone_document() -> None:
    root = parse(to_svg(Graph("orders", (task("a"), task("b")))))
    assert root.get("role") == "img"
    title, desc, style = root[0], root[1], root[2]
    assert (title.tag, title.text) == (f"{SVG}title", "orders")
    assert (desc.tag, desc.text) == (f"{SVG}desc", "Workflow picture with 2 nodes.")
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert style.text is not None
    assert "prefers-color-scheme:dark" in style.text
    assert not [element for element in root.iter() if element.get("style")]


def test_the_title_can_be_given() -> None:
    assert parse(to_svg(Graph("orders", ()), title="Instance 7"))[0].text == "Instance 7"


def test_an_empty_definition_has_start_and_end() -> None:
    assert texts(parse(to_svg(Graph("empty", ())))) == ["Start", "End"]


def test_a_task_shows_its_name_and_its_limits() -> None:
    root = parse(to_svg(Graph("g", (task("t", display_name="Take money", timeout_secs=90, retries=RetryPolicy(3)),))))
    assert texts(group_of(root, "t")) == ["Take money", "timeout 1 min 30 s · 3 retries"]


def test_a_child_workflow_frames_its_tasks_under_their_short_names() -> None:
    root = parse(to_svg(Graph("g", (ChildNode("child_0", "shipping", (task("child_0/pack"),)),))))
    assert texts(group_of(root, "child_0")) == ["shipping", "child workflow · child_0"]
    assert texts(group_of(root, "child_0/pack")) == ["pack"]


def test_a_route_is_the_diamond_of_its_key_function() -> None:
    def choose(value: str) -> str:
        return value

    key = TaskNode("branch_0::key_fn", choose)
    branches = (Branch("x", (task("a"),), "x"), Branch("y", (), "y"), Branch("default", (task("b"),)))
    root = parse(to_svg(Graph("g", (RouteNode("branch_0", key, ("x", "y"), branches),))))
    assert texts(group_of(root, "branch_0::key_fn")) == ["choose", "2 keys · default"]
    assert "branch_0" in node_ids(root)
    pills = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "sy-pill-text"]
    assert pills == ["x", "y", "default"]


def test_long_names_are_cut_and_kept_in_the_title() -> None:
    name = "a_very_long_name_" * 20
    group = group_of(parse(to_svg(Graph("g", (task(name),)))), name)
    assert texts(group)[0].endswith("…")
    assert name in (group[0].text or "")


# -- states


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_colour_icon_and_word(status: Status) -> None:
    graph = Graph("g", (task("t"),))
    root = parse(to_svg(graph, states={"t": NodeState(status, "2 attempts · 1.2 s")}))
    group = group_of(root, "t")
    assert group.get("data-status") == status
    assert f"sy-{status}" in (group.get("class") or "").split()
    assert f"{STATUS_WORDS[status]} · 2 attempts · 1.2 s" in texts(group)
    assert [path for path in group.iter(f"{SVG}path") if path.get("class") == "sy-mark"]


@pytest.mark.parametrize("status", STATUSES)
def test_the_line_to_the_end_is_taken_by_what_has_completed(status: Status) -> None:
    inner = task("child_0/t")
    for nodes in ((inner,), (ChildNode("child_0", "inner", (inner,)),)):
        drawn = to_svg(Graph("g", nodes), states={"child_0/t": NodeState(status)})
        quiet = [name.endswith("sy-quiet") for name in re.findall(r'class="(sy-tip[^"]*)"', drawn)]
        taken = drawn.count('class="sy-edge sy-quiet"') == 0
        assert taken == (status == "completed"), nodes
        assert quiet == ([False] if taken else [True] if status in ("pending", "skipped") else [True, False]), nodes


def test_without_states_nothing_has_a_status() -> None:
    text = to_svg(Graph("g", (task("t"),)))
    assert "data-status" not in text
    assert "Pending" not in text


def test_nodes_without_a_state_are_pending() -> None:
    assert group_of(parse(to_svg(Graph("g", (task("t"),)), states={})), "t").get("data-status") == "pending"


def test_groups_take_their_state_from_their_nodes() -> None:
    fork = ForkNode("f", (Branch("x", (task("a"),)), Branch("y", (task("b"),))), task("j"))
    loop = LoopNode("l", task("body"))
    states = {"a": NodeState("completed"), "b": NodeState("failed"), "body": NodeState("running")}
    root = parse(to_svg(Graph("g", (fork, loop)), states=states))
    assert group_of(root, "f").get("data-status") == "failed"
    assert group_of(root, "l").get("data-status") == "running"
    given_state = parse(to_svg(Graph("g", (fork,)), states={**states, "f": NodeState("cancelled")}))
    assert group_of(given_state, "f").get("data-status") == "cancelled"


def test_the_description_counts_statuses_of_nodes_but_not_of_groups() -> None:
    root = parse(to_svg(Graph("g", (LoopNode("l", task("body")), task("t"))), states={"body": NodeState("running")}))
    assert root[1].text == "Workflow picture with 3 nodes; 1 running, 1 pending."


# -- text from users


def test_hostile_text_stays_text(hostile_graph: Graph, hostile: str) -> None:
    states = {node.id: NodeState("failed", hostile) for node in walk(hostile_graph.nodes)}
    for root in (parse(to_svg(hostile_graph)), parse(to_svg(hostile_graph, states=states, title=hostile))):
        assert not [element for element in root.iter() if element.tag.removeprefix(SVG) in ("script", "img", "a")]
        assert root[0].text == (clean(hostile) or None)
        assert node_ids(root) == {clean(node.id) for node in walk(hostile_graph.nodes)}


@given(text=st.text(st.characters(exclude_categories=[]), max_size=40))
def test_any_text_gives_well_formed_xml(text: str) -> None:
    graph = Graph(text, (task(f"x{text}", display_name=text), ChildNode("c", text, ())))
    root = parse(to_svg(graph, states={"c": NodeState("waiting", text)}))
    assert node_ids(root) == {clean(f"x{text}"), "c"}


@given(text=st.text(max_size=80), limit=st.integers(20, 300))
def test_cut_text_fits(text: str, limit: int) -> None:
    assert text_width(cut(text, 12, limit), 12) <= limit + 1


# -- geometry


class Rect(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    def overlaps(self, other: Rect) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Rect) -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def rect(block: Block) -> Rect:
    if block.kind == "route":
        left = block.middle - block.diamond // 2
        return Rect(left, block.y, left + block.diamond, block.y + block.head)
    return Rect(block.x, block.y, block.x + block.width, block.bottom)


def inside(frame: Block) -> Rect:
    """Return what a frame has below its header."""
    return Rect(frame.x, frame.y + frame.head, frame.x + frame.width, frame.bottom)


def is_around(frame: Block, block: Block | None) -> bool:
    while block is not None:
        if block is frame:
            return True
        block = block.frame
    return False


def check(picture: Picture) -> None:
    whole = Rect(0, 0, picture.width, picture.height)
    boxes = [rect(block) for block in picture.boxes]
    pills = [Rect(p.x - p.width // 2, p.y - 10, p.x - p.width // 2 + p.width, p.y + 10) for p in picture.pills]
    assert all(whole.holds(item) for item in (*boxes, *pills, *map(rect, picture.frames)))
    assert not [pair for pair in combinations([*boxes, *pills], 2) if pair[0].overlaps(pair[1])]
    for block in picture.boxes + picture.frames:
        if block.frame is not None:
            assert inside(block.frame).holds(rect(block))
    for one, other in combinations(picture.frames, 2):
        if not is_around(one, other) and not is_around(other, one):
            assert not rect(one).overlaps(rect(other))
    check_lines(picture, boxes)


def check_lines(picture: Picture, boxes: list[Rect]) -> None:
    """Check that lines are level or plumb, stay on the picture, and run through no node."""
    headers = [Rect(f.x, f.y, f.x + f.width, f.y + f.head) for f in picture.frames]
    for edge in picture.edges:
        for (x1, y1), (x2, y2) in pairwise(edge.points):
            assert x1 == x2 or y1 == y2
            line = Rect(min(x1, x2), min(y1, y2), max(x1, x2) + 1, max(y1, y2))
            assert 0 <= line.left <= line.right <= picture.width + 1
            assert not [box for box in (*boxes, *headers) if box.overlaps(line)]


@given(data=st.data())
def test_nothing_overlaps_and_frames_hold_their_nodes(graphs: Any, data: st.DataObject) -> None:
    graph = data.draw(graphs)
    ids = [node.id for node in walk(graph.nodes)]
    check(layout(graph))
    some = data.draw(st.lists(st.tuples(st.sampled_from(STATUSES), st.text(max_size=50)), max_size=len(ids)))
    check(layout(graph, {name: NodeState(*state) for name, state in zip(ids, some, strict=False)}))


@given(data=st.data())
def test_every_node_is_drawn(graphs: Any, data: st.DataObject) -> None:
    graph = data.draw(graphs)
    assert node_ids(parse(to_svg(graph))) == {node.id for node in walk(graph.nodes)}
    assert to_svg(graph) == to_svg(graph)


def test_a_branch_without_nodes_is_a_line_beside_the_others() -> None:
    fork = ForkNode("f", (Branch("x", (task("a"),)), Branch("y", ()), Branch("z", ())), task("j"))
    check(layout(Graph("g", (fork, RouteNode("r", task("k"), (), ())))))


# -- size


def test_a_chain_of_ten_thousand_steps(chain: Graph) -> None:
    picture = layout(chain)
    places = [block.y for block in picture.boxes]
    assert len(places) == 10_002
    assert places == sorted(places)
    assert len({block.middle for block in picture.boxes}) == 1
    assert len(node_ids(parse(to_svg(chain)))) == 10_000


def test_a_fork_of_a_thousand_branches(wide: Graph) -> None:
    picture = layout(wide, {})
    lanes = sorted(rect(block) for block in picture.boxes if block.kind == "task")
    assert len(lanes) == 1000
    assert all(left.right <= right.left for left, right in pairwise(lanes))
    assert len(node_ids(parse(to_svg(wide, states={})))) == 1002


def test_three_hundred_nested_children(deep: Graph) -> None:
    picture = layout(deep)
    for block in picture.boxes + picture.frames:
        assert block.frame is None or inside(block.frame).holds(rect(block))
    assert len(node_ids(parse(to_svg(deep)))) == 301
