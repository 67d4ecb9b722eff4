"""The Mermaid text: its syntax, its edges, and that user text cannot become syntax."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    Graph,
    LoopNode,
    RouteNode,
    SignalNode,
    TaskNode,
    walk,
)
from sayiir.picture import to_mermaid
from sayiir.picture.text import one_line

# A label holds nothing that ends it, and nothing that Mermaid could read: only text, codes and our own line break.
LABEL = r'"(?:[\w ,·./-]|#\d+;|<br/>)+"'
NODE = re.compile(
    rf"(n\d+)(?:\(\(|\(\[|\[\[|\[/|\[\\|\{{\{{|\(|\{{|>)({LABEL})(?:\)\)|\]\)|\]\]|\\\]|/\]|\}}\}}|\)|\}}|\])"
)
EDGE = re.compile(rf"(n\d+) (-->|-\.->)(?:\|({LABEL})\|)? (n\d+)")
GROUP = re.compile(rf"subgraph (n\d+)\[{LABEL}\]")


def read(text: str) -> tuple[dict[str, str], list[tuple[str, str | None, str]], list[str]]:
    """Return nodes with labels, edges and subgraphs; fail on any line that is none of them."""
    first, *lines = text.removesuffix("\n").split("\n")
    assert first == "flowchart TD"
    nodes: dict[str, str] = {}
    edges: list[tuple[str, str | None, str]] = []
    groups: list[str] = []
    depth = 0
    for line in map(str.strip, lines):
        if found := EDGE.fullmatch(line):
            edges.append((found[1], plain(found[3]) if found[3] else None, found[4]))
        elif found := GROUP.fullmatch(line):
            groups.append(found[1])
            depth += 1
        elif line == "end":
            depth -= 1
        else:
            found = NODE.fullmatch(line)
            assert found, line
            assert found[1] not in nodes
            nodes[found[1]] = plain(found[2])
    assert depth == 0
    return nodes, edges, groups


def plain(label: str) -> str:
    return re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label[1:-1].replace("<br/>", "\n"))


def task(name: str) -> TaskNode:
    return TaskNode(name, lambda value: value)


def test_an_empty_definition_goes_from_start_to_end() -> None:
    nodes, edges, _ = read(to_mermaid(Graph("empty", ())))
    assert list(nodes.values()) == ["Start", "End"]
    assert edges == [("n0", None, "n1")]


def test_kinds_have_their_shapes() -> None:
    text = to_mermaid(
        Graph(
            "shapes",
            (
                task("work"),
                DelayNode("nap", 90),
                SignalNode("ask", "approve", 3600),
                ForkNode("split", (Branch("one", (task("a"),)), Branch("two", ())), task("merge")),
                RouteNode("r", task("pick"), ("k",), (Branch("k", (task("b"),), "k"), Branch("default", ()))),
                LoopNode("spin", task("turn"), 7),
                ChildNode("sub", "flow", (task("sub/inner"),)),
                ChildNode("hollow", "flow", ()),
            ),
        )
    )
    for part in (
        '("work")',
        '(["nap<br/>delay 1 min 30 s"])',
        '>"ask<br/>signal approve · timeout 1 h"]',
        '[/"split<br/>2 branches"\\]',
        '[\\"merge<br/>join"/]',
        '{"pick<br/>1 key · default"}',
        '{{"spin<br/>loop · max 7 iterations"}}',
        '["flow · child workflow · sub"]',
        '("inner")',
        '[["flow<br/>child workflow · hollow"]]',
    ):
        assert part in text


def test_edges_of_a_fork_carry_branch_names_and_an_empty_branch_leads_to_the_join() -> None:
    fork = ForkNode("split", (Branch("one", (task("a"),)), Branch("two", ())), task("merge"))
    nodes, edges, _ = read(to_mermaid(Graph("fork", (fork,))))
    named = [(nodes[source].split("\n")[0], label, nodes[target].split("\n")[0]) for source, label, target in edges]
    assert ("split", "one", "a") in named
    assert ("split", "two", "merge") in named
    assert ("a", None, "merge") in named


def test_edges_of_a_route_carry_keys_and_all_lead_on() -> None:
    route = RouteNode(
        "r", task("pick"), ("k", "l"), (Branch("k", (task("b"),), "k"), Branch("d", ()), Branch("l", (), "l"))
    )
    nodes, edges, _ = read(to_mermaid(Graph("route", (route, task("next")))))
    named = [(nodes[source].split("\n")[0], label, nodes[target].split("\n")[0]) for source, label, target in edges]
    assert ("pick", "k", "b") in named
    assert ("pick", "default", "next") in named
    assert ("pick", "l", "next") in named
    assert ("b", None, "next") in named


def test_a_loop_leads_back_from_its_body() -> None:
    nodes, edges, _ = read(to_mermaid(Graph("loop", (LoopNode("spin", task("turn"), 7),))))
    names = {name: label.split("\n")[0] for name, label in nodes.items()}
    assert ("turn", "again, max 7 iterations", "spin") in [(names[a], label, names[b]) for a, label, b in edges]


def test_no_edge_stands_inside_a_subgraph() -> None:
    # An edge inside would draw the node before the child workflow into it.
    lines = to_mermaid(Graph("g", (task("before"), ChildNode("c", "flow", (task("c/x"), task("c/y")))))).split("\n")
    first = next(index for index, line in enumerate(lines) if "-->" in line)
    assert first > max(index for index, line in enumerate(lines) if line.strip() == "end")


def test_hostile_text_stays_text(hostile_graph: Graph, hostile: str) -> None:
    text = to_mermaid(hostile_graph)
    text.encode()  # No lone surrogate is left.
    nodes, edges, _ = read(text)
    wanted = one_line(hostile)
    assert nodes["n1"].strip() == wanted or (not hostile and nodes["n1"] == "a")
    assert any(label is not None and label.strip() == wanted for _, label, _ in edges)


@given(data=st.data())
def test_every_node_is_written_once_and_reached(graphs: Any, data: st.DataObject) -> None:
    graph = data.draw(graphs)
    nodes, edges, groups = read(to_mermaid(graph))
    # A route and its key function are one diamond; start and end come on top.
    routes = sum(isinstance(node, RouteNode) for node in walk(graph.nodes))
    assert len(nodes) + len(groups) == sum(1 for _ in walk(graph.nodes)) - routes + 2
    last = max(nodes, key=lambda name: int(name[1:]))
    assert {source for source, _, _ in edges} == set(nodes) - {last}
    assert {target for _, _, target in edges} == set(nodes) - {"n0"}


@pytest.mark.parametrize("name", ["chain", "wide", "deep"])
def test_large_definitions(name: str, request: pytest.FixtureRequest) -> None:
    graph = request.getfixturevalue(name)
    text = to_mermaid(graph)
    assert text.count("-->") >= len(graph.nodes)
    assert text == to_mermaid(graph)
