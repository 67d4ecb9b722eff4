"""What a picture says about a node: its name, the small second line, and the full text.

Rules of this file: pure functions from a definition node to words; the SVG and the Mermaid picture share them.
Nothing here is escaped or cut; that is the business of whoever draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    LoopNode,
    Node,
    RouteNode,
    SignalNode,
    TaskNode,
)

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of one node.

    Args:
        name: the short name.
        line: the second line; may be empty.
        full: everything, for a tooltip.
    """

    name: str
    line: str
    full: str


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> duration(90), duration(0.25), duration(172800)
    ('1 min 30 s', '250 ms', '2 d')
    """
    if not math.isfinite(seconds) or seconds < 0:
        return f"{seconds:g} s"
    if 0 < seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    rest = round(seconds * 1000)
    if 1000 < rest < 60_000:
        return f"{rest / 1000:.2f}".rstrip("0").rstrip(".") + " s"
    parts = []
    for size, unit in _UNITS:
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount} {unit}")
        if len(parts) == 2 or (parts and unit == "s"):
            break
    return " ".join(parts) or "0 s"


def plural(count: int, word: str, many: str | None = None) -> str:
    """Return a count with its noun.

    >>> plural(1, "retry", "retries"), plural(2, "key")
    ('1 retry', '2 keys')
    """
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def short_id(full: str, scope: str) -> str:
    """Return the id as it is written inside the child workflow `scope` ("" at the top).

    >>> short_id("child_0/task", "child_0")
    'task'
    """
    return full.removeprefix(f"{scope}/") if scope else full


def task_caption(task: TaskNode, scope: str, role: str = "") -> Caption:
    """Return the words of a task; `role` opens the second line."""
    data = task.metadata
    name = data.display_name or short_id(task.id, scope)
    facts = [role] if role else []
    if data.timeout_secs is not None:
        facts.append(f"timeout {duration(data.timeout_secs)}")
    if data.retries is not None and data.retries.max_retries:
        facts.append(plural(data.retries.max_retries, "retry", "retries"))
    if data.isolation:
        facts.append(f"own {data.isolation}")
    line = " · ".join(facts)
    about = [task.id, data.display_name or "", data.description or "", line]
    return Caption(name, line, "\n".join(filter(None, dict.fromkeys(about))))


def route_name(route: RouteNode, scope: str) -> str:
    """Return the name of a route's key function; an id made by the builder says less than the function's own name."""
    key = route.key
    if key.metadata.display_name:
        return key.metadata.display_name
    if not key.id.endswith("::key_fn"):
        return short_id(key.id, scope)
    name = getattr(key.function, "__name__", "<lambda>")
    return short_id(route.id, scope) if name == "<lambda>" else str(name)


def fork_name(fork: ForkNode, scope: str) -> str:
    """Return the fork's id, or "Fork" if the id only repeats the names of its branches."""
    name = short_id(fork.id, scope)
    return "Fork" if name == "||".join(branch.name for branch in fork.branches) else name


def route_key(branch: Branch) -> str:
    """Return the label of a route's edge."""
    return "default" if branch.key is None else branch.key


def signal_line(node: SignalNode) -> str:
    """Return which signal a node waits for, and for how long."""
    line = f"signal {node.signal}"
    return line if node.timeout_secs is None else f"{line} · timeout {duration(node.timeout_secs)}"


def route_line(node: RouteNode) -> str:
    """Return how many ways a route knows."""
    keys = plural(sum(branch.key is not None for branch in node.branches), "key")
    return keys if node.default is None else f"{keys} · default"


def caption(node: Node, scope: str = "") -> Caption:
    """Return the words of a node that stands in the child workflow `scope`."""
    name = short_id(node.id, scope)
    match node:
        case TaskNode():
            return task_caption(node, scope)
        case DelayNode():
            line = "delay" if math.isnan(node.seconds) else f"delay {duration(node.seconds)}"  # of a stored definition
        case SignalNode():
            line = signal_line(node)
        case LoopNode():
            line = f"loop · max {plural(node.max_iterations, 'iteration')}"
        case ForkNode():
            name = fork_name(node, scope)
            line = plural(len(node.branches), "branch", "branches")
        case RouteNode():
            name = route_name(node, scope)
            line = route_line(node)
        case ChildNode():
            name, line = node.workflow_id, f"child workflow · {name}"
    return Caption(name, line, f"{node.id}\n{line}")
