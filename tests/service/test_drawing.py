"""Pictures of stored definitions and of large ones: what is stored is drawn whole, large groups are folded, none is endless."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from sayiir import Flow
from sayiir.core.graph import walk
from sayiir.core.structure import structure
from sayiir.picture import NodeState
from sayiir.service.drawing import MAX_DRAWN, MAX_OPEN, folded, picture
from sayiir.service.sketch import sketch
from tests.service.test_service import ADD, GATE

INNER = Flow("inner").then(lambda x: x, name="a b").delay('wait: of="x"', "1h").build()
ODD = (
    Flow('odd "flow"').then_flow(INNER).loop(lambda x: x, max_iterations=7, on_max="exit_with_last", name="again")
    .route(lambda _: "k", keys=["k", 'l "of"=']).branch("k", lambda x: x, name="one").branch('l "of"=', lambda x: x, name="two")
    .default_branch(lambda x: x, name="three").done().wait_for_signal("sig nal", name="gate").build()
)  # fmt: skip


def same(x):
    return x


def wide(groups, each):
    """Return a flow of forks with so many tasks each."""
    flow = Flow("wide")
    for group in range(groups):
        fork = flow.fork()
        for place in range(each):
            fork = fork.branch(same, name=f"t{group}-{place}")
        flow = fork.join(same, name=f"j{group}")
    return flow.build()


@pytest.mark.parametrize("workflow", [ADD, GATE, INNER, ODD, wide(2, 3)], ids=lambda one: one.workflow_id)
def test_what_is_stored_is_drawn_whole(workflow):
    text = workflow.program.definition.structure
    drawn = sketch(text)
    assert [(type(node), node.id) for node in walk(drawn.nodes)] == [(type(node), node.id) for node in walk(workflow.graph.nodes)]
    # Names, nesting, keys and limits are all there: only what is no part of a definition is missing.
    kept = [line for line in text.splitlines() if "version=" not in line and "on_max" not in line]
    assert [line for line in structure(drawn).splitlines() if "on_max" not in line] == kept
    ET.fromstring(picture(drawn, {}))


def test_small_ones_are_drawn_as_they_are():
    assert folded(GATE.graph, None) == (GATE.graph, None)


def grouped(nodes):
    """Return a flow of exactly so many nodes: a child flow of 100 tasks, and the rest one after the other."""
    inner = Flow("inner")
    for place in range(100):
        inner = inner.then(same, name=f"in{place}")
    flow = Flow("grouped").then_flow(inner.build())
    for place in range(nodes - 101):
        flow = flow.then(same, name=f"out{place}")
    return flow.build().graph


def test_300_nodes_are_drawn_in_full_and_of_301_the_groups_are_folded():
    full, folding = grouped(300), grouped(301)
    assert [len(list(walk(graph.nodes))) for graph in (full, folding)] == [300, 301]
    assert folded(full, None) == (full, None)
    assert "in99" in picture(full, None)
    drawn, _ = folded(folding, None)
    assert len(list(walk(drawn.nodes))) == 201, "200 tasks, and one for the group"
    assert "100 nodes" in drawn.nodes[0].metadata.display_name
    assert "in99" not in picture(folding, None)


def test_2000_nodes_are_drawn_and_none_beyond():
    flow = Flow("long")
    for place in range(2000):
        flow = flow.then(same, name=f"t{place}")
    drawn, _ = folded(flow.build().graph, None)
    assert [node.id for node in drawn.nodes] == [f"t{place}" for place in range(2000)]
    drawn, _ = folded(flow.then(same, name="one_more").build().graph, None)
    assert [node.id for node in drawn.nodes[-2:]] == ["t1999", "…"]
    assert drawn.nodes[-1].metadata.display_name == "… and 1 more nodes"


def test_large_groups_are_folded_with_what_is_in_them():
    workflow = wide(10, 60)
    states = {f"t0-{place}": NodeState("completed") for place in range(60)} | {"t1-5": NodeState("failed")}
    drawn, shown = folded(workflow.graph, states)
    nodes = list(walk(drawn.nodes))
    assert len(nodes) <= MAX_OPEN
    first, second = drawn.nodes[0].id, drawn.nodes[1].id
    assert shown[second].status == "failed"
    assert shown[first].detail == "60 of 61 nodes done"
    assert "61 nodes" in drawn.nodes[0].metadata.display_name
    assert "t0-0" in states and first not in states, "what was given is left alone"
    ET.fromstring(picture(workflow.graph, states))


def test_only_the_deepest_groups_are_folded_where_that_is_enough():
    flow = Flow("deep").fork().branch(same, name="left").branch(wide(6, 60), name="right").join(same, name="join").build()
    drawn, _ = folded(flow.graph, None)
    assert {"left", "join"} <= {node.id for node in walk(drawn.nodes)}
    assert len(list(walk(drawn.nodes))) <= MAX_OPEN


def test_an_endless_line_is_cut():
    flow = Flow("long")
    for place in range(MAX_DRAWN + 50):
        flow = flow.then(same, name=f"t{place}")
    drawn, _ = folded(flow.build().graph, None)
    assert len(drawn.nodes) == MAX_DRAWN + 1
    assert drawn.nodes[-1].metadata.display_name == "… and 50 more nodes"
