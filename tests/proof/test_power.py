"""The power fails at any moment: with full durability everything promised is there, without it the file is sound.

One tape of a busy store is made for each durability; it is then cut at many moments, and each time the real store opens
what is left.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sayiir import Flow, LoopResult, SqliteBackend, resume_workflow, run_durable_workflow
from sayiir.testing.life import LeapClock
from tests.proof.common import PROVE
from tests.proof.power import Disk, Event, Tape, TapedBackend, lay_out

CUTS = 1000 if PROVE else 150
RESUMED_EACH = 10
_QUICK = "/dev/shm" if os.path.isdir("/dev/shm") else None


def turn(value: int) -> Any:
    return LoopResult.again(value + 1) if value < 4 else LoopResult.done(value)


def flow() -> Any:
    """A fork, a loop, a signal, a delay, and a value that takes several pages."""
    made: Any = Flow("power").then(lambda x: x + 1, name="first")
    made = made.fork().branch(lambda x: x, name="l").branch(lambda x: x * 2, name="r").join(lambda d: d["l"], name="meet")
    made = made.loop(turn).then(lambda x: "x" * 20_000, name="big").wait_for_signal("go")
    return made.delay("rest", 1).then(lambda x: x, name="last").build()


def make_tape(folder: Path, durability: str) -> list[Event]:
    tape = Tape(folder / "runs.db")
    clock, workflow = LeapClock(), flow()
    with TapedBackend(tape, durability, clock) as store:
        store.private = True
        for number in range(4):
            name = f"i{number}"
            run_durable_workflow(workflow, name, number, store)
            store.send_signal(name, "go", b'"went"', "key")
            if number == 1:
                store.carry_over()
            resume_workflow(workflow, name, store)
            clock.advance(2)
            assert number == 3 or resume_workflow(workflow, name, store).is_completed()
            if number == 2:
                store.carry_over()
        store.request_cancel("i3", None, None)
    return tape.events


def facts_of(store: SqliteBackend) -> Any:
    """Return a function that tells whether a promise is kept."""
    instances = {name: view for name in ("i0", "i1", "i2", "i3") if (view := store.load(name)) is not None}
    by_number = {view.instance.number: view for view in instances.values()}
    records = {number: {r.ref: (r.status, r.output) for r in store.history(number)} for number in by_number}
    with closing(sqlite3.connect(store.path)) as connection:
        sent = {*connection.execute("SELECT instance_id, name, dedup_key FROM sayiir_signals")}

    def is_kept(fact: Any) -> bool:
        match fact:
            case ("instance", name):
                return name in instances
            case ("record", number, ref, status, output):
                return records.get(number, {}).get(ref) == (status, output)
            case ("signal", *what):
                return tuple(what) in sent
            case ("finished", number):
                return number in by_number and by_number[number].instance.status == "completed"
        raise AssertionError(fact)

    return is_kept


@pytest.mark.timeout(1800 if PROVE else 120)
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_power_cut_at_any_moment(durability: str, tmp_path: Path, record_property: Any) -> None:
    events = make_tape(tmp_path, durability)
    seed = int(os.environ.get("SAYIIR_SEED", "0")) or random.SystemRandom().randint(1, 2**32)
    print(f"SAYIIR_SEED={seed}")
    chance = random.Random(seed)
    moments = sorted(chance.choices(range(len(events) + 1), k=CUTS))
    disk, promised, played, kept_back = Disk(), [], 0, 0
    with tempfile.TemporaryDirectory(dir=_QUICK) as parent:
        folder = Path(parent)
        for number, moment in enumerate(moments):
            for event in events[played:moment]:
                disk.play(event)
                promised += [event.fact] if event.kind == "ack" else []
            played = max(played, moment)
            mode = chance.choice(("none", "all", "some", "some"))
            lay_out(disk.cut(chance, mode), folder)
            resume = number % RESUMED_EACH == 0
            kept = check(folder / "runs.db", promised, full=durability == "full", resume=resume)
            kept_back += len(promised) - kept
    record_property("prefixes", CUTS)
    if durability == "full":
        assert kept_back == 0
    else:
        assert kept_back > 0, "the cuts cut nothing off"
        record_property("older", kept_back)


def check(path: Path, promised: list[Any], *, full: bool, resume: bool) -> int:
    """Open what a cut left; return how many promises are kept."""
    clock = LeapClock()
    with SqliteBackend(path, durability="normal", clock=clock) as store:
        store.private = True
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        is_kept = facts_of(store)
        flags = [is_kept(fact) for fact in promised]
        if full:
            assert all(flags), f"lost: {[fact for fact, kept in zip(promised, flags, strict=True) if not kept][:3]}"
        else:
            assert flags == sorted(flags, reverse=True), "something is there that came after something lost"
        if resume:
            lead_to_the_end(store, clock)
    return sum(flags)


def lead_to_the_end(store: SqliteBackend, clock: LeapClock) -> None:
    """What is there can go on, whatever the moment."""
    workflow = flow()
    for name in ("i0", "i1", "i2"):
        view = store.load(name)
        if view is None or view.instance.status == "completed":
            continue
        store.send_signal(name, "go", b'"went"', "key")
        resume_workflow(workflow, name, store)
        clock.advance(10)
        status = resume_workflow(workflow, name, store)
        assert (status.status, status.output) == ("completed", "went")
