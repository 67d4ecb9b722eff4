"""The marks of a definition: which of its values are secret, made (`marks_of`), added up (`together`) and read (`Marks`).

What they look like is told in `secrets`. Rules of this file: pure. A value that goes from one task to the next is secret
where either says so; marks that were stored once are never taken back, since old values stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from sayiir.core.graph import ChildNode, DelayNode, ForkNode, LoopNode, Node, RouteNode, SignalNode, TaskNode
from sayiir.core.secrets import Finder, Shape, either, live
from sayiir.core.values import input_annotation, output_annotation

NONE = "[]"
_KEPT = 20
"""Of the marks of one definition the newest so many are kept."""


def marks_of(nodes: tuple[Node, ...]) -> str:
    """Return the marks of a definition as a JSON text: an array with one document, or with none."""
    flow = _Flow()
    flow.same["$end"] = flow.sequence(nodes, ("",))
    given = {place: flow.value(place) for place in ("", *flow.given, *flow.same)}
    taken = {place: either(map(flow.value, places)) for place, places in flow.taken.items()}
    taken["$end"] = given.pop("$end")
    types = flow.finder.types
    told = [{place: live(shape, types) for place, shape in side.items()} for side in (taken, given)]
    sides = [{place: shape for place, shape in side.items() if shape is not None} for side in told]
    if not any(sides):
        return NONE
    kept = {name: shape for name, one in types.items() if (shape := live(one, types)) is not None}
    return msgspec.json.encode([{"in": sides[0], "out": sides[1], "types": kept}]).decode()


def together(stored: str, given: str) -> str:
    """Return the marks of two registrations of one definition; "" and `NONE` say nothing."""
    if given in ("", NONE, stored):
        return stored
    found = msgspec.json.decode(stored)
    news = [document for document in msgspec.json.decode(given) if document not in found]
    return msgspec.json.encode([*found, *news][-_KEPT:]).decode() if news else stored


class _Flow:
    """Follows the values through the nodes: `given` are shapes by the node that gives the value."""

    def __init__(self) -> None:
        self.finder = Finder()
        self.given: dict[str, list[Shape]] = defaultdict(list)
        self.made: dict[str, dict[str, tuple[str, ...]]] = {}
        """Objects made of other values: node → key → whose values."""
        self.same: dict[str, tuple[str, ...]] = {}
        self.taken: dict[str, tuple[str, ...]] = {}

    def value(self, place: str) -> Shape:
        """Return what of a value is secret, whoever says so."""
        parts = {key: either(map(self.value, places)) for key, places in self.made.get(place, {}).items()}
        inside = {"fields": {key: shape for key, shape in parts.items() if shape is not None}}
        passed = (self.value(one) for one in self.same.get(place, ()))
        return either([*self.given.get(place, ()), *passed, inside if inside["fields"] else None])

    def sequence(self, nodes: tuple[Node, ...], places: tuple[str, ...]) -> tuple[str, ...]:
        """Follow nodes from where their input comes; return where their output comes from."""
        for node in nodes:
            places = self._node(node, places)
        return places

    def _node(self, node: Node, places: tuple[str, ...]) -> tuple[str, ...]:
        match node:
            case TaskNode():
                return self._task(node, places)
            case DelayNode():
                self.taken[node.id] = self.same[node.id] = places
                return places
            case SignalNode():
                self.taken[node.id] = places
                self.given[node.id].append(self.finder.shape(node.type))
                return (node.id, *places) if node.on_timeout == "continue" else (node.id,)
            case LoopNode():
                body = self._task(node.body, (*places, node.body.id))
                self.taken[node.id], self.same[node.id] = places, body
                return body
            case ChildNode():
                self.taken[node.id] = places
                self.same[node.id] = self.sequence(node.nodes, places)
                return self.same[node.id]
            case RouteNode():
                self._task(node.key, places)
                ends = [end for branch in node.branches for end in self.sequence(branch.nodes, places)]
                return self._composed(node.id, places, {"result": tuple(ends)})
            case ForkNode():
                ends_of = {branch.name: self.sequence(branch.nodes, places) for branch in node.branches}
                self.same |= {f"{node.id}::{name}": ends for name, ends in ends_of.items()}
                return self._task(node.join, self._composed(node.id, places, ends_of))
            case _:
                assert_never(node)

    def _composed(self, node_id: str, places: tuple[str, ...], parts: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        self.taken[node_id], self.made[node_id] = places, parts
        self.given[node_id].append(None)
        return (node_id,)

    def _task(self, node: TaskNode, places: tuple[str, ...]) -> tuple[str, ...]:
        self.taken[node.id] = places
        self.given[node.id].append(self.finder.shape(output_annotation(node.function)))
        wanted = self.finder.shape(input_annotation(node.function))
        if wanted is not None:
            for place in places:
                self._push(place, wanted)
        return (node.id,)

    def _push(self, place: str, shape: Shape) -> None:
        """Say of a value what one that takes it says."""
        self.given[place].append(shape)
        for key, sources in self.made.get(place, {}).items():
            for inner in _inside([(shape, self.finder.types)], key):
                for source in sources:
                    self._push(source, inner[0])


Place = tuple[Shape, dict[str, Shape]]


class Marks:
    """The marks of a definition, to be asked.

    Args:
        texts: JSON texts, as stored.

    >>> marks = Marks(['[{"in":{},"out":{"":{"fields":{"card":true}}},"types":{}}]'])
    >>> marks.output("").key("card").is_secret, marks.output("other").key("card").is_secret
    (True, False)
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._documents = [document for text in texts for document in msgspec.json.decode(text)]

    def input(self, node_id: str) -> Veil:
        """Return what of a node's input is secret; of the instance's output for "$end"."""
        return self._veil("in", node_id)

    def output(self, node_id: str) -> Veil:
        """Return what of a node's output is secret; of the instance's input for ""."""
        return self._veil("out", node_id)

    @property
    def givers(self) -> list[str]:
        """The nodes of whose outputs something is secret."""
        return list(dict.fromkeys(name for document in self._documents for name in document["out"] if name))

    def _veil(self, side: str, node_id: str) -> Veil:
        found = [(document[side].get(node_id), document["types"]) for document in self._documents]
        return Veil(_flat(found)) if any(shape is not None for shape, _ in found) else NO_VEIL


class Veil:
    """What of one value is secret."""

    __slots__ = ("_places", "is_secret")

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self.is_secret = any(shape is True for shape, _ in places)
        """All of it."""

    def key(self, name: str) -> Veil:
        """Return what is secret of what an object has under a key."""
        return Veil(_inside(self._places, name)) if self._places else self

    def item(self, index: int) -> Veil:
        """Return what is secret of an item of an array."""
        return Veil(_inside(self._places, index)) if self._places else self

    def __or__(self, other: Veil) -> Veil:
        """Return what either says."""
        return Veil([*self._places, *other._places])


NO_VEIL = Veil(())


def _inside(places: Iterable[Place], key: str | int) -> list[Place]:
    found: list[Place] = []
    for shape, types in _flat(places):
        if shape is True:
            found.append((True, types))
            continue
        (word, inside), *_ = shape.items()
        if word == "each":
            found.append((inside, types))
        elif word == "fields" and isinstance(key, str):
            found.append((inside.get(key), types))
        elif word == "at" and isinstance(key, int) and key < len(inside):
            found.append((inside[key], types))
    return _flat(found)


def _flat(places: Iterable[Place]) -> list[Place]:
    """Return shapes with references followed and alternatives side by side, without those that say nothing."""
    found, todo, seen = list[Place](), list(places), set[tuple[str, int]]()
    while todo:
        shape, types = todo.pop()
        if shape is None:
            continue
        if shape is True:
            found.append((True, types))
        elif "any" in shape:
            todo += [(one, types) for one in shape["any"]]
        elif "ref" not in shape:
            found.append((shape, types))
        elif (mark := (shape["ref"], id(types))) not in seen:
            seen.add(mark)
            todo.append((types.get(shape["ref"]), types))
    return found
