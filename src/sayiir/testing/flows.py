"""Random flows for property tests: drawn as plain data, built through the public builder, predicted independently.

A `Sketch` is a tree of small values that says what a flow does; hypothesis draws, shrinks and prints it. `build()`
makes the workflow of it, `expected()` says what it must give, without the engine. Nodes are named by their place in the
tree. Tasks are pure functions of their input, except that some fail in their first attempts. Waits and pauses last
moments, so that flows without signals run in memory in real time too.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hypothesis import strategies as st

from sayiir.core.loop import LoopResult
from sayiir.core.retry import RetryPolicy
from sayiir.flow.builder import Flow
from sayiir.flow.task import task
from sayiir.flow.workflow import Workflow
from sayiir.runtime.context import get_task_context

MOMENT_SECS = 0.001
MAX_RETRIES = 2
LONG_SECS = 30 * 86_400.0


class HiccupError(Exception):
    """What a failing task of a sketch raises."""


@dataclass(frozen=True, slots=True)
class Step:
    """A task: what it does by `salt`, in how many attempts it fails first (9: in all), and what its worker must have."""

    salt: int
    is_async: bool = False
    failures: int = 0
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """A delay of some moments."""

    moments: int


@dataclass(frozen=True, slots=True)
class Await:
    """A wait for a signal, which is sent with this payload, or (`sent=False`) never comes and is given up."""

    payload: Any
    sent: bool = True
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Turns:
    """A loop of so many turns, cut after `limit` of them."""

    turns: int
    limit: int
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """A fork of branches."""

    branches: tuple[Line, ...]
    join: Step


@dataclass(frozen=True, slots=True)
class Choice:
    """A route that takes one of its branches; the last one is the default."""

    taken: int
    branches: tuple[Line, ...]
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class Nested:
    """A child flow."""

    line: Line


Part: TypeAlias = Step | Pause | Await | Turns | Split | Choice | Nested
Line: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A whole flow and its input.

    >>> sketch = Sketch((Step(1), Pause(2), Nested((Turns(3, 9),))), 5)
    >>> from sayiir import run_workflow
    >>> run_workflow(sketch.build(), sketch.input) == sketch.expected()
    True
    """

    line: Line
    input: Any = 0

    def build(self, moment: float = MOMENT_SECS) -> Workflow[Any, Any]:
        """Return the workflow; a moment of it lasts so many seconds."""
        return _build(self.line, "n", moment)

    def expected(self) -> Any:
        """Return the output that the workflow must give.

        Raises:
            HiccupError: it must fail with this.
        """
        return _expect(self.line, self.input, "n")

    def signals(self) -> dict[str, list[Any]]:
        """Return what must be sent, by signal name."""
        return {f"s_{path}": [part.payload] for path, part in self.parts() if isinstance(part, Await) and part.sent}

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Yield every part with its place, taken or not."""
        return _walk(self.line, "n")


# --- what tasks do ------------------------------------------------------------------------------------------------


def mix(value: Any, salt: int) -> Any:
    """Return something that depends on all of a value: a number, text, list or dict by the salt."""
    number = zlib.crc32(f"{salt} {json.dumps(value, sort_keys=True)}".encode())
    return (number, {"n": number, "é": [None, True]}, [number, "x" * (number % 5)], str(number))[salt % 4]


def _turn(value: Any, turns: int, path: str) -> tuple[bool, Any]:
    """Return whether the loop goes on, and with what."""
    turn = value["turn"] + 1 if isinstance(value, dict) and value.get("loop") == path else 1
    following = {"loop": path, "turn": turn, "of": zlib.crc32(json.dumps(value, sort_keys=True).encode())}
    return turn < turns, following


def _task(
    function: Callable[[Any], Any],
    name: str,
    *,
    is_async: bool = False,
    failures: int = 0,
    moment: float = MOMENT_SECS,
    tag: str = "",
) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        context = get_task_context()
        if context is not None and context.attempt <= failures:
            raise HiccupError(name)
        return function(value)

    async def coroutine(value: Any) -> Any:
        return checked(value)

    retries = RetryPolicy(min(failures, MAX_RETRIES), moment, 2.0) if failures else None
    return task(name=name, retries=retries, tags=[tag] if tag else None)(coroutine if is_async else checked)


# --- building -----------------------------------------------------------------------------------------------------


def _build(line: Line, path: str, moment: float) -> Workflow[Any, Any]:
    flow: Any = Flow(f"flow_{path}")
    for place, part in _placed(line, path):
        match part:
            case Step():
                flow = flow.then(_step(part, place, moment))
            case Pause():
                flow = flow.delay(place, part.moments * moment)
            case Await():
                timeout = moment if not part.sent else LONG_SECS if part.limited else None
                on_timeout: Literal["fail", "continue"] = "fail" if part.sent else "continue"
                flow = flow.wait_for_signal(f"s_{place}", name=place, timeout=timeout, on_timeout=on_timeout)
            case Turns():
                body = _task(functools.partial(_body, part.turns, place), place, is_async=part.is_async)
                flow = flow.loop(body, max_iterations=part.limit, on_max="exit_with_last")
            case Split():
                fork = flow.fork()
                for inner, branch in _branches(part.branches, place):
                    fork = fork.branch(*_steps(branch, inner, moment), name=inner)
                flow = fork.join(_step(part.join, f"{place}j", moment))
            case Choice():
                flow = _route(flow, part, place, moment)
            case Nested():
                flow = flow.then_flow(_build(part.line, place, moment))
    built: Workflow[Any, Any] = flow.build()
    return built


def _body(turns: int, path: str, value: Any) -> Any:
    again, following = _turn(value, turns, path)
    if turns % 2:  # the dict form means the same
        return {"_loop": "again" if again else "done", "value": following}
    return LoopResult.again(following) if again else LoopResult.done(following)


def _step(step: Step, path: str, moment: float) -> Callable[[Any], Any]:
    function = functools.partial(_mixed, step.salt)
    return _task(function, path, is_async=step.is_async, failures=step.failures, moment=moment, tag=step.tag)


def _mixed(salt: int, value: Any) -> Any:
    return mix(value, salt)


def _steps(line: Line, path: str, moment: float) -> list[Any]:
    """Return a branch's steps: its tasks, or a workflow of its own when it is more than tasks."""
    if all(isinstance(part, Step) for part in line):
        return [_step(part, place, moment) for place, part in _placed(line, path) if isinstance(part, Step)]
    return [_build(line, path, moment)]


def _route(flow: Any, choice: Choice, path: str, moment: float) -> Any:
    keys = [f"k{index}" for index in range(max(1, len(choice.branches) - 1))]
    key = _key(choice)
    route = flow.route(_task(lambda _: key, f"{path}k", is_async=choice.is_async), keys=keys)
    for index, (inner, branch) in enumerate(_branches(choice.branches, path)):
        steps = _steps(branch, inner, moment)
        is_last = index == len(choice.branches) - 1
        route = route.default_branch(*steps) if is_last else route.branch(keys[index], *steps)
    return route.done()


def _key(choice: Choice) -> str:
    return "other" if choice.taken >= len(choice.branches) - 1 else f"k{choice.taken}"


def _placed(line: Line, path: str) -> Iterator[tuple[str, Part]]:
    return ((f"{path}_{index}", part) for index, part in enumerate(line))


def _branches(branches: tuple[Line, ...], path: str) -> Iterator[tuple[str, Line]]:
    return ((f"{path}{'abcdefgh'[index]}", branch) for index, branch in enumerate(branches))


# --- predicting ---------------------------------------------------------------------------------------------------


def _expect(line: Line, value: Any, path: str) -> Any:
    for place, part in _placed(line, path):
        value = _expect_part(part, value, place)
    return value


def _expect_part(part: Part, value: Any, place: str) -> Any:
    match part:
        case Step():
            if part.failures > MAX_RETRIES:
                raise HiccupError(place)
            return mix(value, part.salt)
        case Pause():
            return value
        case Await():
            return part.payload if part.sent else value
        case Turns():
            return _expect_turns(part, value, place)
        case Split():
            outputs = {inner: _expect(branch, value, inner) for inner, branch in _branches(part.branches, place)}
            return mix(outputs, part.join.salt)
        case Choice():
            inner, branch = list(_branches(part.branches, place))[min(part.taken, len(part.branches) - 1)]
            return {"branch": _key(part), "result": _expect(branch, value, inner)}
        case Nested():
            return _expect(part.line, value, place)


def _expect_turns(part: Turns, value: Any, place: str) -> Any:
    for _ in range(part.limit):
        again, value = _turn(value, part.turns, place)
        if not again:
            break
    return value


def _walk(line: Line, path: str) -> Iterator[tuple[str, Part]]:
    for place, part in _placed(line, path):
        yield place, part
        if isinstance(part, Nested):
            yield from _walk(part.line, place)
        elif isinstance(part, Split | Choice):
            for inner, branch in _branches(part.branches, place):
                yield from _walk(branch, inner)


# --- drawing ------------------------------------------------------------------------------------------------------

_STEPS = st.builds(Step, st.integers(0, 9), st.booleans(), st.sampled_from((0, 0, 0, 1, 2)))
_PLAIN = st.builds(Step, st.integers(0, 9), st.booleans())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_TURNS = st.builds(Turns, st.integers(1, 4), st.integers(1, 4), st.booleans())
_PAUSES = st.builds(Pause, st.integers(0, 2))
_AWAITS = st.builds(Await, _JSON, st.booleans(), st.booleans())


def sketches(
    *, depth: int = 3, width: int = 3, signals: bool = True, failing: bool = True
) -> st.SearchStrategy[Sketch]:
    """Return the strategy of random flows.

    Args:
        depth: how deep forks, routes and child flows may be nested.
        width: the most parts of a sequence and branches of a fork.
        signals: whether flows may wait for signals.
        failing: whether some end with a task that fails for good.
    """
    lines = _lines(depth, width, signals=signals)
    if failing:
        end = st.sampled_from((None, None, None, None, Step(0, failures=9), Step(1, is_async=True, failures=9)))
        lines = st.builds(lambda line, last: line if last is None else (*line, last), lines, end)
    return st.builds(Sketch, lines, _JSON)


def _lines(depth: int, width: int, *, signals: bool) -> st.SearchStrategy[Line]:
    parts: list[st.SearchStrategy[Any]] = [_STEPS, _STEPS, _TURNS, _PAUSES]
    if signals:
        parts.append(_AWAITS)
    if depth > 0:
        inner = _lines(depth - 1, max(1, width - 1), signals=signals)
        branches = st.lists(inner, min_size=1, max_size=width).map(tuple)
        parts += [
            st.builds(Split, branches, _PLAIN),
            st.builds(Choice, st.integers(0, 3), branches, st.booleans()),
            st.builds(Nested, inner),
        ]
    return st.lists(st.one_of(parts), min_size=1, max_size=width).map(tuple)
