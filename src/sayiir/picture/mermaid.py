"""The definition as Mermaid text, for READMEs and notebooks.

Rules of this file: node ids are generated, labels are quoted and escaped by an allow-list, so no user text can be
read as syntax, directive, Markdown or icon. An explicit stack walks the tree: length and depth are free. Mermaid
itself refuses more than 500 edges unless its `maxEdges` is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    Graph,
    LoopNode,
    Node,
    RouteNode,
    SignalNode,
    TaskNode,
)
from sayiir.picture.text import clean, one_line
from sayiir.picture.words import Caption, caption, plural, route_key, task_caption

# Opening and closing of each shape.
_ROUNDED, _STADIUM, _FLAG, _DIAMOND = ("(", ")"), ("([", "])"), (">", "]"), ("{", "}")
_SPLIT, _JOIN, _HEXAGON, _BOXED, _ROUND = ("[/", "\\]"), ("[\\", "/]"), ("{{", "}}"), ("[[", "]]"), ("((", "))")


@dataclass(slots=True)
class _Exit:
    """An end of a line that waits for its next node."""

    source: str
    label: str = ""


@dataclass(slots=True)
class _Writer:
    """The text so far, and what it has to remember."""

    lines: list[str] = field(default_factory=lambda: ["flowchart TD"])
    edges: list[str] = field(default_factory=list)
    """All come at the end: a subgraph would take in every node that an edge inside it names."""
    indent: int = 1
    count: int = 0

    def put(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def new_id(self) -> str:
        self.count += 1
        return f"n{self.count - 1}"

    def node(self, words: Caption | str, shape: tuple[str, str], exits: list[_Exit]) -> list[_Exit]:
        """Write a node and the edges into it; return the one exit from it."""
        name = self.new_id()
        self.put(f"{name}{shape[0]}{_label(words)}{shape[1]}")
        for item in exits:
            arrow = f"-->|{_label(item.label)}|" if item.label else "-->"
            self.edges.append(f"    {item.source} {arrow} {name}")
        return [_Exit(name)]


@dataclass(slots=True)
class _Level:
    """A sequence that is being written, and what to do at its end."""

    nodes: Iterator[Node]
    exits: list[_Exit]
    scope: str = ""
    group: _Group | None = None
    boxed: bool = False


@dataclass(slots=True)
class _Group:
    """A fork or a route between its split and its end."""

    split: str
    branches: Iterator[Branch]
    join: TaskNode | None
    scope: str
    exits: list[_Exit] = field(default_factory=list)


def to_mermaid(graph: Graph) -> str:
    """Return the workflow as a Mermaid `flowchart TD`."""
    out = _Writer()
    levels = [_Level(iter(graph.nodes), out.node("Start", _ROUND, []))]
    exits = levels[0].exits
    while levels:
        level = levels[-1]
        node = next(level.nodes, None)
        if node is not None:
            _open(out, levels, node)
            continue
        levels.pop()
        exits = level.exits
        if level.boxed:
            out.indent -= 1
            out.put("end")
            levels[-1].exits = exits
        elif level.group is not None:
            level.group.exits += exits
            _next_branch(out, levels, level.group)
    out.node("End", _ROUND, exits)
    return "\n".join(out.lines + out.edges) + "\n"


def _open(out: _Writer, levels: list[_Level], node: Node) -> None:
    """Write one node; what has nodes of its own becomes a new level on the stack."""
    level = levels[-1]
    words = caption(node, level.scope)
    match node:
        case TaskNode():
            level.exits = out.node(words, _ROUNDED, level.exits)
        case DelayNode():
            level.exits = out.node(words, _STADIUM, level.exits)
        case SignalNode():
            level.exits = out.node(words, _FLAG, level.exits)
        case LoopNode():
            _loop(out, level, node, words)
        case ForkNode():
            (split,) = out.node(words, _SPLIT, level.exits)
            _next_branch(out, levels, _Group(split.source, iter(node.branches), node.join, level.scope))
        case RouteNode():
            (split,) = out.node(words, _DIAMOND, level.exits)
            group = _Group(split.source, iter(node.branches), None, level.scope)
            group.exits = [] if node.branches else [split]
            _next_branch(out, levels, group)
        case ChildNode():
            _child(out, levels, node, words)


def _next_branch(out: _Writer, levels: list[_Level], group: _Group) -> None:
    """Begin the group's next branch, or end the group."""
    branch = next(group.branches, None)
    if branch is not None:
        label = route_key(branch) if group.join is None else branch.name
        # A blank label is still a label: an edge of a route must show that it has a key.
        start = [_Exit(group.split, one_line(label) or " ")]
        levels.append(_Level(iter(branch.nodes), start, group.scope, group))
        return
    exits = group.exits
    if group.join is not None:
        exits = out.node(task_caption(group.join, group.scope, "join"), _JOIN, exits or [_Exit(group.split)])
    levels[-1].exits = exits


def _loop(out: _Writer, level: _Level, loop: LoopNode, words: Caption) -> None:
    (head,) = out.node(words, _HEXAGON, level.exits)
    (body,) = level.exits = out.node(task_caption(loop.body, level.scope), _ROUNDED, [head])
    again = _label(f"again, max {plural(loop.max_iterations, 'iteration')}")
    out.edges.append(f"    {body.source} -.->|{again}| {head.source}")


def _child(out: _Writer, levels: list[_Level], child: ChildNode, words: Caption) -> None:
    level = levels[-1]
    if not child.nodes:  # An empty subgraph cannot stand on a line.
        level.exits = out.node(words, _BOXED, level.exits)
        return
    # On one line, as the edge into the subgraph runs through a second one.
    out.put(f"subgraph {out.new_id()}[{_label(f'{words.name} · {words.line}')}]")
    out.indent += 1
    levels.append(_Level(iter(child.nodes), level.exits, child.id, boxed=True))


# -- labels


def _label(words: Caption | str) -> str:
    if isinstance(words, str):
        return f'"{escape(words) or " "}"'  # An empty label is a syntax error.
    name = escape(words.name) or " "
    return f'"{name}<br/>{escape(words.line)}"' if words.line else f'"{name}"'


def escape(text: str) -> str:
    """Return text for a quoted Mermaid label: all but letters, digits and harmless marks as character codes.

    >>> escape('say "hi" # 1')
    'say #34;hi#34; #35; 1'
    """
    # Blanks and controls were made spaces, so the neighbours of a mark decide whether Markdown could see it.
    line = one_line(clean(text))
    return "".join(_char(line, index) for index in range(len(line)))


def _char(line: str, index: int) -> str:
    char = line[index]
    if char.isalnum() or char in " ,":
        return char
    inside = 0 < index < len(line) - 1 and line[index - 1].isalnum() and line[index + 1].isalnum()
    if inside and char in "_-./":
        return char
    return char if char == "·" else f"#{ord(char)};"
