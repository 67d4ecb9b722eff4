"""What a simulation does, as data: settings, flows, commands of clients, faults. A seed draws it, JSON carries it.

Faults and commands are lists so that any part of them can be played again, which is how a failing plan is shrunk. A fault
strikes an actor at a *moment*, counted for each actor: before and after each call of the store, before and after the code
of each task. Every seed leaves out a random half of everything ("swarm"): what never happens cannot hide what does.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from random import Random
from typing import Any, Literal, TypeAlias

import msgspec

from sayiir.testing import flows
from sayiir.testing.flows import Await, Choice, Line, Nested, Part, Pause, Sketch, Split, Step, Turns

FaultKind: TypeAlias = Literal[
    "crash", "stop", "presumed", "locked", "rolled_back", "doubt", "slow", "jump", "leave", "quit"
]
"""`crash`: killed, started again later. `stop`: stands still for a while. `presumed`: the store takes the living for dead.
`locked`, `rolled_back`: a write fails before, or after, its statements; nothing is written. `doubt`: it is written, and an
error is raised. `slow`: a call takes long. `jump`: its own clock jumps. `leave`, `quit`: a shutdown, with grace or at once.
"""
FAULTS: tuple[FaultKind, ...] = (
    "crash", "stop", "presumed", "locked", "rolled_back", "doubt", "slow", "jump", "leave", "quit",
)  # fmt: skip
POINTS = (
    "after claim_due", "after claim_due", "before checkpoint", "after checkpoint", "before task", "after task",
    "after heartbeat", "before release",
)  # fmt: skip
HINT_MODES = ("sound", "lost", "doubled", "late", "none")
CommandKind: TypeAlias = Literal[
    "submit", "signal", "cancel", "pause", "unpause", "retry", "retry_from", "purge", "replace"
]
COMMANDS: tuple[CommandKind, ...] = (
    "signal", "cancel", "pause", "unpause", "retry", "retry_from", "purge", "replace",
)  # fmt: skip


class Fault(msgspec.Struct, frozen=True):
    """What befalls an actor at a moment of its life, and for how long."""

    actor: str
    moment: int
    kind: FaultKind
    seconds: float = 0.0
    at: str = "busy"
    """Which moments are counted: "" all, "busy" those at which the actor holds claims (a client's are all), else those of
    the latter whose names begin so."""


class Command(msgspec.Struct, frozen=True):
    """What a client asks, and when (virtual seconds); `number` chooses the signal, task or policy."""

    at: float
    client: str
    kind: CommandKind
    target: int
    number: int = 0


class Settings(msgspec.Struct, frozen=True):
    """How the world is made."""

    store: Literal["memory", "sqlite"]
    workers: int
    clients: int
    sync: int
    coroutines: int
    claim_ttl: float
    max_crashes: int
    retention: float | None
    hints: str
    latency: float
    """Seconds that a call of the store takes at most."""
    task_secs: float
    """What a task takes, about."""
    moment: float
    """The unit of the flows' delays, in seconds."""
    skews: tuple[int, ...]
    """By how many seconds each worker's own clock is wrong."""
    tags: tuple[tuple[str, ...] | None, ...] = ()
    """What each worker has; None, or nothing here: it takes every task. One always does."""
    ahead: bool = False
    """Whether workers claim beyond their slots what they will soon get to."""


class Target(msgspec.Struct, frozen=True):
    """An instance: which flow, and its input."""

    flow: int
    input: Any


class Plan(msgspec.Struct, frozen=True):
    """A whole simulation.

    >>> plan = draw(7)
    >>> read(write(plan)) == plan
    True
    """

    seed: int
    settings: Settings
    flows: tuple[dict[str, Any], ...]
    targets: tuple[Target, ...]
    commands: tuple[Command, ...]
    faults: tuple[Fault, ...]

    def sketch(self, target: int) -> Sketch:
        """Return the flow and input of an instance."""
        chosen = self.targets[target]
        return Sketch(_line(self.flows[chosen.flow]["line"]), chosen.input)


def write(plan: Plan) -> str:
    """Return a plan as JSON."""
    return json.dumps(msgspec.to_builtins(plan))


def read(text: str) -> Plan:
    """Return the plan that a JSON text holds."""
    return msgspec.convert(json.loads(text), Plan)


# --- flows as data ------------------------------------------------------------------------------------------------


def _data(value: Any) -> Any:
    """Return a part of a sketch as JSON: {"Step": {…}}."""
    if isinstance(value, tuple):
        return [_data(item) for item in value]
    if isinstance(value, Step | Pause | Await | Turns | Split | Choice | Nested):
        return {type(value).__name__: {field.name: _data(getattr(value, field.name)) for field in fields(value)}}
    return value


def _line(data: list[Any]) -> Line:
    return tuple(_part(item) for item in data)


def _part(data: dict[str, Any]) -> Part:
    ((name, given),) = data.items()
    facts = dict(given)
    if "branches" in facts:
        facts["branches"] = tuple(map(_line, facts["branches"]))
    if "line" in facts:
        facts["line"] = _line(facts["line"])
    if "join" in facts:
        facts["join"] = _part(facts["join"])
    part: Part = getattr(flows, name)(**facts)
    return part


# --- drawing ------------------------------------------------------------------------------------------------------


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    chance = Random(seed)
    settings = _settings(chance)
    signals = chance.random() < 0.6
    lines = [_draw_line(chance, chance.choice((0, 1, 1, 2)), signals=signals) for _ in range(chance.choice((1, 1, 2)))]
    targets = [
        Target(chance.randrange(len(lines)), _draw_value(chance)) for _ in range(chance.choice((1, 2, 3, 6, 10)))
    ]
    # Of their own, so that the seeds of before stay what they were as far as may be.
    more = Random(f"{seed} more")
    settings = msgspec.structs.replace(settings, tags=_tags(more, settings.workers), ahead=more.random() < 0.25)
    if settings.tags:
        lines = [_tagged(line, more) for line in lines]
    return Plan(
        seed, settings, tuple({"line": _data(line)} for line in lines), tuple(targets),
        tuple(_commands(chance, settings, len(targets))), tuple(_faults(chance, settings)),
    )  # fmt: skip


def _settings(chance: Random) -> Settings:
    workers = chance.choice((1, 1, 2, 2, 3))
    return Settings(
        store=chance.choice(("memory", "memory", "sqlite")),
        workers=workers,
        clients=chance.choice((1, 2)),
        sync=chance.choice((1, 2, 8)),
        coroutines=chance.choice((1, 2, 8)),
        claim_ttl=chance.choice((2.0, 5.0, 15.0)),
        max_crashes=chance.choice((1, 2, 3, 50)),
        retention=chance.choice((None, None, 1.0)),
        hints=chance.choice(("sound", "sound", *HINT_MODES)),
        latency=chance.choice((0.0, 0.002, 0.1)),
        task_secs=chance.choice((0.0, 0.01, 0.5, 4.0)),
        moment=chance.choice((0.001, 0.2, 3.0)),
        skews=tuple(chance.choice((0, 0, -3600, 3600, 60)) for _ in range(workers)),
    )


def _tags(chance: Random, workers: int) -> tuple[tuple[str, ...] | None, ...]:
    if chance.random() < 0.7:
        return ()
    tags: list[tuple[str, ...] | None] = [chance.choice((("a",), ("b",), ("a", "b"))) for _ in range(workers)]
    tags[chance.randrange(workers)] = None  # or some task would have nowhere to go
    return tuple(tags)


def _tagged(line: Line, chance: Random) -> Line:
    """Return a line some of whose tasks want a tag."""
    return tuple(_part_tagged(part, chance) for part in line)


def _part_tagged(part: Part, chance: Random) -> Part:
    match part:
        case Step():
            return replace(part, tag=chance.choice(("", "", "a", "b")))
        case Split():
            return replace(part, branches=tuple(_tagged(line, chance) for line in part.branches))
        case Choice():
            return replace(part, branches=tuple(_tagged(line, chance) for line in part.branches))
        case Nested():
            return replace(part, line=_tagged(part.line, chance))
        case _:
            return part


def _draw_line(chance: Random, depth: int, *, signals: bool) -> Line:
    line = [_draw_part(chance, depth, signals=signals) for _ in range(chance.choice((1, 2, 3)))]
    if chance.random() < 0.06:
        line.append(Step(0, failures=9))
    return tuple(line)


def _draw_part(chance: Random, depth: int, *, signals: bool) -> Part:
    kinds = ["step", "step", "step", "turns", "pause"] + ["await", "await"] * signals
    kind = chance.choice(kinds + ["split", "split", "choice", "nested"] * bool(depth))
    if kind == "step":
        return Step(chance.randrange(10), chance.random() < 0.4, chance.choice((0, 0, 0, 1, 2)))
    if kind == "turns":
        return Turns(chance.randrange(1, 4), chance.randrange(1, 4), chance.random() < 0.4)
    if kind == "pause":
        return Pause(chance.randrange(3))
    if kind == "await":
        return Await(_draw_value(chance), chance.random() < 0.7, chance.random() < 0.3)
    if kind == "nested":
        return Nested(_draw_line(chance, depth - 1, signals=signals))
    branches = tuple(_draw_line(chance, depth - 1, signals=signals) for _ in range(chance.choice((1, 2, 2, 3))))
    if kind == "split":
        return Split(branches, Step(chance.randrange(10), chance.random() < 0.4))
    return Choice(chance.randrange(4), branches, chance.random() < 0.4)


def _draw_value(chance: Random) -> Any:
    return chance.choice((None, True, 0, chance.randrange(1000), 2**70, "é", [1, "a"], {"k": [None]}, chance.random()))


def _commands(chance: Random, settings: Settings, targets: int) -> list[Command]:
    span = chance.choice((0.05, 1.0, 5.0, 15.0))
    kinds: list[CommandKind] = [kind for kind in COMMANDS if chance.random() < 0.6]
    clients = [f"client{index}" for index in range(settings.clients)]
    commands = [
        Command(round(chance.choice((0.0, chance.random() * span)), 4), chance.choice(clients), "submit", target,
                chance.randrange(1, 6))
        for target in range(targets)
    ]  # fmt: skip
    if "signal" in kinds:  # in time, while there are faults
        for target in range(targets):
            for _ in range(chance.choice((0, 1, 3))):
                at = round(chance.random() * span, 4)
                commands.append(Command(at, chance.choice(clients), "signal", target, chance.randrange(6)))
    for _ in range(chance.choice((0, 2, 6, 16)) if kinds else 0):
        kind, at = chance.choice(kinds), round(chance.random() * span * 1.5, 4)
        commands.append(Command(at, chance.choice(clients), kind, chance.randrange(targets), chance.randrange(6)))
    return sorted(commands, key=lambda command: command.at)


def _faults(chance: Random, settings: Settings) -> list[Fault]:
    kinds: list[FaultKind] = [kind for kind in FAULTS if chance.random() < 0.4]
    actors = [f"worker{index}" for index in range(settings.workers)] * 3
    actors += [f"client{index}" for index in range(settings.clients)]
    faults = []
    for _ in range(chance.choice((0, 1, 4, 8, 20)) if kinds else 0):
        kind = chance.choice(kinds)
        long = settings.claim_ttl * 1.5
        seconds = chance.choice((0.05, 1.0, long, long) if kind == "stop" else (0.0, 0.05, 1.0, long))
        if kind == "jump":
            seconds = chance.choice((-3600.0, -1.0, 1.0, 86_400.0))
        at = chance.choice(("", "busy", "busy", *POINTS))
        moment = int(math.exp(chance.random() * (2.5 if at in POINTS else 5)))
        faults.append(Fault(chance.choice(actors), moment, kind, seconds, at))
    return faults
