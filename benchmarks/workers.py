"""Workers on PostgreSQL, in processes of their own: throughput, reactions, delays, history; beside other engines."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.environments import ENGINES, OURS, Engine, Peer
from benchmarks.measure import Budget, Case, Group
from benchmarks.postgres import Scales
from benchmarks.setting import Setting

_STEPS = 4
_PATIENCE = 600.0


class Crew:
    """Programs of one engine on one database, ready to be asked; they end at the end of `with`."""

    def __init__(self, python: str, script: str, url: str, count: int) -> None:
        self._start = partial(Peer, python, script, url)
        self._count = count
        self._peers: list[Peer] = []

    def __enter__(self) -> list[Peer]:
        try:
            self._peers += [self._start() for _ in range(self._count)]
            for peer in self._peers:
                # One after the other: not every engine can be installed twice at the same time.
                peer.ask("ready")
        except BaseException:
            self.__exit__()
            raise
        return self._peers

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()


def _others(setting: Setting) -> list[tuple[Engine, str]]:
    return [(engine, python) for engine in ENGINES if (python := setting.peers.get(engine.environment)) is not None]


# --- throughput ---------------------------------------------------------------------------------------------------


def _rate(python: str, script: str, url: str, instances: int, processes: int = 1) -> float:
    """Return the steps a second of workers that find so many instances of four steps."""
    with Crew(python, script, url, processes) as crew:
        crew[0].ask(f"submit {instances}")
        return throughput(crew, instances)


def throughput(crew: list[Peer], instances: int) -> float:
    """Let a crew work on so many instances that were submitted, and return its steps a second."""
    began = time.monotonic()
    _work(crew, instances)
    return _STEPS * instances / (max(peer.ask("last") for peer in crew if peer.ask("done")) - began)


def _work(crew: list[Peer], instances: int) -> None:
    for peer in crew:
        peer.tell("work")
    for peer in crew:
        peer.answer("work")
    deadline = time.monotonic() + _PATIENCE
    while (done := sum(peer.ask("done") for peer in crew)) < instances:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{done:.0f} of {instances} instances have finished within {_PATIENCE:.0f} s")
        time.sleep(0.02)


def _throughput(setting: Setting) -> Group:
    scale = setting.scale

    def rate(python: str, script: str, instances: int, processes: int) -> float:
        return _rate(python, script, setting.database(), instances, processes)

    few, many = scale.foreign_instances, scale.instances
    cases = [
        Case("ours 1", f"one worker process, {many:,} instances", partial(rate, OURS, "ours", many, 1), "rate", None,
             (Budget(10_000, 20_000, at_least=True),)),
        Case("ours 2", f"two worker processes, {many:,} instances", partial(rate, OURS, "ours", many, 2), "rate", "ours 1",
             (Budget(1.0, to="ours 1", at_least=True),)),
        *(
            Case(engine.key, f"{engine.label}, {few:,} instances", partial(rate, python, engine.script, few, 1), "rate",
                 "ours 1")
            for engine, python in _others(setting)
        ),
    ]  # fmt: skip
    return Group(
        "workers",
        "Workers on PostgreSQL, four trivial steps an instance",
        "Steps per second of worker processes that find all instances submitted in an otherwise empty database, from the "
        "word to work until the last step of the last instance. Other engines: one process, at their best settings; "
        "PgQueuer has no steps, there each is a job that enqueues the next.",
        cases,
    )


def _weights(setting: Setting) -> Group:
    instances = setting.scale.weighed

    grown: list[float] = []

    def weigh(python: str, script: str) -> float:
        url = setting.database()
        with Crew(python, script, url, 1) as crew, Scales(url) as scales:
            before, wal = scales.tables(), scales.wal()
            crew[0].ask(f"submit {instances}")
            _work(crew, instances)
            time.sleep(0.2)  # the last steps are being committed
            grown.append((scales.tables() - before) / instances / _STEPS)
            return (scales.wal() - wal) / instances / _STEPS

    return Group(
        "worker-bytes",
        "Bytes a step of workers on PostgreSQL",
        f"The same with {instances:,} instances: what was written ahead from the first submit to the last step, and by how "
        "much our tables with their indexes have grown, divided by the steps.",
        [
            Case("ours", "WAL, one worker process", partial(weigh, OURS, "ours"), "bytes", None, (Budget(1_000, 700),)),
            Case("tables", "tables, one worker process", lambda: grown[-1], "bytes"),
            *(
                Case(engine.key, f"WAL, {engine.label}", partial(weigh, python, engine.script), "bytes", "ours")
                for engine, python in _others(setting)
            ),
        ],
    )


# --- reactions ----------------------------------------------------------------------------------------------------


class Reaction:
    """How soon the task of an idle worker begins: two processes, one that asks and one that works."""

    def __init__(self, setting: Setting, python: str, script: str, word: str = "pick_up") -> None:
        # As few with engines that poll slowly as show the tail.
        self._request = f"{word} {setting.scale.pings if python == OURS else max(2, setting.scale.pings // 4)}"
        self._crew = partial(Crew, python, script)
        self._setting = setting
        self._url: str | None = None
        self._late = 0.0

    def median(self) -> float:
        """Measure, and return the median in milliseconds."""
        self._url = self._url or self._setting.database()
        with self._crew(self._url, 2) as (client, worker):
            worker.ask(f"hear {client.ask('bell'):.0f}")
            worker.ask("work")
            middle = client.ask(self._request)
            self._late = client.ask("percentile 99")
        return middle

    def late(self) -> float:
        """Return the 99th percentile of what was measured last."""
        return self._late

    def cases(self, key: str, label: str, *, budgets: bool = False) -> list[Case]:
        """Return the two cases."""
        must: tuple[tuple[Budget, ...], ...] = ((Budget(3.0, 2.5),), (Budget(10.0, 5.0),)) if budgets else ((), ())
        floors = (None, None) if key == "raw" else ("raw p50", "raw p99")
        return [
            Case(f"{key} p50", f"{label}, p50", self.median, "millis", floors[0], must[0]),
            Case(f"{key} p99", f"{label}, p99", self.late, "millis", floors[1], must[1]),
        ]


def _reactions(setting: Setting) -> Group:
    cases = [
        *Reaction(setting, OURS, "raw").cases("raw", "by hand: a row and a notice"),
        *Reaction(setting, OURS, "ours").cases("ours", "`submit` to the task", budgets=True),
        *Reaction(setting, OURS, "ours", "signal").cases("ours signal", "`send_signal` to the task", budgets=True),
    ]
    for engine, python in _others(setting):
        cases += Reaction(setting, python, engine.script).cases(engine.key, engine.label)
    return Group(
        "pick-up",
        "Reactions of an idle worker on PostgreSQL",
        "Milliseconds from before the call until the first line of the task, in another process that was idle; one at a "
        "time, with a pause between them.",
        cases,
    )


def _delays(setting: Setting) -> Group:
    earliest: list[float] = []

    def latest() -> float:
        with Crew(OURS, "ours", setting.database(), 1) as (worker,):
            worker.ask(f"hear {worker.ask('bell'):.0f}")
            worker.ask("work")
            worker.ask(f"nap {setting.scale.naps}")
            earliest.append(worker.ask("percentile 0"))
            return worker.ask("percentile 100")

    return Group(
        "delays",
        "A delay of one second on PostgreSQL",
        f"Milliseconds from when it was due, by the database's clock, until the first line of the task behind it: the "
        f"latest and the earliest of {setting.scale.naps}.",
        [
            Case("ours latest", "the latest", latest, "millis", None, (Budget(50.0),)),
            Case("ours earliest", "the earliest", lambda: earliest[-1], "millis", None,
                 (Budget(0.0, at_least=True),)),
        ],
    )  # fmt: skip


# --- history ------------------------------------------------------------------------------------------------------


def _large(setting: Setting) -> Group:
    group = _history(replace(setting, scale=replace(setting.scale, finished=1_000_000, parked=100_000)))
    return replace(group, key="history-large", title="Workers on PostgreSQL, with a long history in the tables")


def _history(setting: Setting) -> Group:
    scale = setting.scale
    full = ""

    def with_history() -> float:
        nonlocal full
        if not full:
            full = setting.database()
            with Crew(OURS, "ours", full, 1) as (filler,):
                filler.ask(f"fill {scale.finished} {scale.parked}")
        return _rate(OURS, "ours", full, scale.instances)

    return Group(
        "history",
        "Workers on PostgreSQL, with history in the tables",
        f"Steps per second of one worker process, in an empty database and in one with {scale.finished:,} finished and "
        f"{scale.parked:,} parked instances of the same workflows.",
        [
            Case("ours empty", "empty tables", lambda: _rate(OURS, "ours", setting.database(), scale.instances), "rate"),
            Case("ours full", f"{scale.finished:,} finished, {scale.parked:,} parked", with_history, "rate", "ours empty",
                 (Budget(0.9, 0.97, to="ours empty", at_least=True),)),
        ],
    )  # fmt: skip


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "workers": _throughput, "worker-bytes": _weights, "pick-up": _reactions, "delays": _delays, "history": _history,
    "history-large": _large,
}  # fmt: skip
