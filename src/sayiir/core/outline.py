"""The stored text of a definition, read back as a tree: for readers that have no workflow object at hand."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Item(msgspec.Struct, eq=False):
    """One line of the text. `word` is flow, task, delay, signal, loop, fork, branch, default, join, route, key, child."""

    word: str
    name: str
    parent: Item | None = None
    items: list[Item] = []
    number: int = 0
    """For a fork's branch: the number of its token."""

    @property
    def record_name(self) -> str:
        """The node id that records of this item carry; "" for a route's branch, which has none."""
        if self.word in ("branch", "default"):
            return f"{self.parent.name}::{self.name}" if self.number and self.parent is not None else ""
        return self.name

    def walk(self) -> Iterator[Item]:
        """Yield this item and all below it, in the order of the text."""
        stack: list[Item] = [self]
        while stack:
            item = stack.pop()
            yield item
            stack.extend(reversed(item.items))

    def path(self) -> list[Item]:
        """Return the items from the flow down to this one."""
        found: list[Item] = []
        item: Item | None = self
        while item is not None:
            found.append(item)
            item = item.parent
        return found[::-1]


def outline(text: str) -> Item:
    """Return the tree of a structure's text (see `core.structure`), its fork branches numbered as the compiler does."""
    import json

    root, stack = Item("flow", ""), list[Item]()
    for line in text.splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        word, _, rest = line.strip().partition(" ")
        name = json.JSONDecoder().raw_decode(rest)[0] if rest.startswith('"') else ""
        if word == "flow":
            root = Item(word, name)
            stack = [root]
            continue
        parent = stack[depth - 1]
        item = Item(word, name, parent)
        parent.items.append(item)
        del stack[depth:]
        stack.append(item)
    number = 0
    for fork in root.walk():
        if fork.word == "fork":
            for branch in fork.items:
                if branch.word == "branch":
                    number += 1
                    branch.number = number
    return root


def result_ids(root: Item, *, step: bool = False) -> dict[str, str]:
    """Return the full ids under which results are asked for, each with the node id that the records carry.

    Args:
        root: the definition.
        step: whether a fork branch's name means its first task's own result instead of the branch's output.
    """
    items = list(root.walk())
    found = {item.name: item.name for item in items if item.word not in ("flow", "branch", "default")}
    for branch in items:
        if branch.number and branch.parent is not None:
            name = branch.parent.name[: branch.parent.name.rfind("/") + 1] + branch.name
            first = branch.items[0]
            if step:
                while first.word == "child":
                    first = first.items[0]
                found.setdefault(name, first.name)
            elif len(branch.items) > 1 or first.name != name:
                # A branch of one task is named like the task, and the task's output is the branch's.
                found[name] = branch.record_name
    return found


def downstream(item: Item) -> set[str]:
    """Return the ids of everything that comes after a node in the flow, itself and what encloses it included.

    Branches beside it are not after it.
    """
    found = {node.record_name for node in item.walk()}
    while (parent := item.parent) is not None:
        after = parent.items[parent.items.index(item) + 1 :]
        if parent.word in ("fork", "route") and item.word in ("branch", "default"):
            after = [node for node in after if node.word == "join"]
        for node in after:
            found |= {inner.record_name for inner in node.walk()}
        if item.number:
            found.add(item.record_name)
        if parent.word in ("route", "loop", "child") or (parent.word == "fork" and item.word != "join"):
            found.add(parent.name)
        item = parent
    return found - {""}
