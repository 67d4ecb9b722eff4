"""A tall picture in a page: cut between nodes only, nothing lost, nothing twice, and still one image with a name."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.graph import Graph, LoopNode, TaskNode
from sayiir.picture import NodeState, bands, to_inline, to_svg
from sayiir.picture.bands import BAND
from sayiir.picture.layout import Edge, Picture, layout
from sayiir.picture.svg import _path, _tip

SVG = "{http://www.w3.org/2000/svg}"


def task(name: str) -> TaskNode:
    return TaskNode(name, lambda value: value)


def chain(count: int) -> Graph:
    return Graph("chain", tuple(task(f"t{number}") for number in range(count)))


def check(picture: Picture) -> None:
    found = bands.bands(picture)
    assert [found[0].top, found[-1].bottom] == [0, picture.height]
    assert all(upper.bottom == lower.top for upper, lower in pairwise(found))
    assert len(found) == 1 or all(band.bottom - band.top >= BAND for band in found)
    assert sorted(map(id, (box for band in found for box in band.picture.boxes))) == sorted(map(id, picture.boxes))
    assert sum(len(band.picture.frames) for band in found) == len(picture.frames)
    assert sum(len(band.picture.pills) for band in found) == len(picture.pills)
    for band in found:
        for block in (*band.picture.frames, *band.picture.boxes):
            assert band.top <= block.y
            assert block.bottom <= band.bottom
        for pill in band.picture.pills:
            assert band.top <= pill.y - 10 <= pill.y + 10 <= band.bottom
        # A line is in every band that it runs through, and in no other.
        assert band.picture.edges == [edge for edge in picture.edges if runs_through(edge, band.top, band.bottom)]


def runs_through(edge: Edge, top: int, bottom: int) -> bool:
    heights = [y for _, y in edge.points]
    return min(heights) < bottom and top < max(heights)


def test_a_chain_is_cut_between_its_nodes() -> None:
    picture = layout(chain(200), {})
    assert len(bands.bands(picture)) > 5
    check(picture)


@given(data=st.data())
def test_no_picture_is_cut_through_a_node(graphs: Any, data: st.DataObject) -> None:
    graph = data.draw(graphs)
    many = Graph("many", (*graph.nodes, *chain(60).nodes, LoopNode("last", task("body"))))
    check(layout(many, {}))
    check(layout(graph))


def test_a_page_has_one_image_of_all_nodes_and_lines() -> None:
    graph = chain(200)
    states = {f"t{number}": NodeState("completed" if number < 50 else "pending") for number in range(200)}
    root = ET.fromstring(to_inline(graph, states=states, title="Instance <7>"))
    assert (root.tag, root.get("role")) == ("div", "img")
    assert root.get("aria-label") == "Instance <7>: Workflow picture with 200 nodes; 50 completed, 150 pending."
    assert [group.get("data-node") for group in root.iter(f"{SVG}g") if group.get("data-node")] == [f"t{n}" for n in range(200)]
    drawn = {(path.get("class"), path.get("d")) for path in root.iter(f"{SVG}path")}
    for edge in layout(graph, states).edges:
        hush = "" if edge.source in ("", *list(states)[:49]) and edge.target != "t50" else " sy-quiet"
        assert any(name == f"sy-edge{hush}" and _path(edge) in line for name, line in drawn if line)
        assert any(name == f"sy-tip{hush}" and _tip(edge) in line for name, line in drawn if line)
    widths = {svg.get("width") for svg in root.iter(f"{SVG}svg")}
    assert len(widths) == 1


def test_a_low_picture_is_one_svg_as_ever() -> None:
    assert to_inline(chain(3)).startswith("<svg ")
    assert "<style>" not in to_inline(chain(3))


def test_a_picture_for_itself_is_never_cut() -> None:
    assert to_svg(chain(200)).count("<svg ") == 1


def test_what_can_be_read_on_a_node_is_not_said_again() -> None:
    text = to_svg(Graph("g", (task("short"), task("long" * 40))), states={})
    assert text.count("<title>long") == 1
    assert "<title>short" not in text
