"""Two actors whose statements are let through one by one, in an order that the test says.

Each actor is a thread. Before each of its statements it waits for its turn. After a turn the conductor waits until the
actor has come to its next statement, has ended, or waits for a lock that the other one holds (`pg_blocking_pids`); who
waits is passed over until the lock is free. So every order of statements that the server can see is made on purpose.

A `Fault` strikes one actor just after one of its statements was executed: its process is gone (`Crash`), or the answer is
lost, so that it cannot know whether what it asked for was done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from sayiir.store.postgres import quick
from tests.servers.ground import PATIENCE, until

_here = threading.local()
_WAITS = """SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
    AND (%s = ANY(pg_blocking_pids(pid)) OR pid = %s AND cardinality(pg_blocking_pids(pid)) > 0))"""


@contextmanager
def tapped() -> Generator[None]:
    """Let statements of actors wait for their turn; those of all other threads pass."""
    places = ((psycopg.Cursor, "execute"), (psycopg.Cursor, "executemany"), (quick, "ask"))
    originals = [(place, name, getattr(place, name)) for place, name in places]

    def tap(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(asked: Any, *args: Any, **more: Any) -> Any:
            actor = getattr(_here, "actor", None)
            if actor is None:
                return original(asked, *args, **more)
            connection = asked.connection if isinstance(asked, psycopg.Cursor) else asked
            actor.pause(connection.info.backend_pid)
            answer = original(asked, *args, **more)
            if actor.fault is not None and actor.turns == actor.fault.turn:
                actor.fault.strike(connection)
            return answer

        return run

    for place, name, original in originals:
        setattr(place, name, tap(original))
    # Statements that go in one message are let through one by one, too.
    originals.append((quick, "ask_all", quick.ask_all))
    quick.ask_all = lambda connection, asked: [quick.ask(connection, *one) for one in asked]
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


class Crash(BaseException):  # noqa: N818 -- it is no error: nothing in a process that is killed can catch it
    """Ends an actor as a kill ends a process."""


class Fault:
    """What befalls an actor after one of its statements.

    Args:
        turn: which statement, counted from 1.
        is_crash: whether its process is gone then; else only the answer is lost.
        watch: a connection that sees when the actor's session has ended.
    """

    def __init__(self, turn: int, is_crash: bool, watch: psycopg.Connection[Any]) -> None:
        self.turn = turn
        self.is_crash = is_crash
        self.struck = False
        self._watch = watch

    def strike(self, connection: psycopg.Connection[Any]) -> None:
        """Cut the connection; only when the server has noticed may others go on, as the moment is what is tested."""
        self.struck = True
        pid = connection.info.backend_pid
        connection.close()
        ended = "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = %s)"
        until(lambda: self._watch.execute(ended, (pid,)).fetchone() == (True,), "the end of a session")
        if self.is_crash:
            raise Crash
        raise psycopg.OperationalError("the answer was lost")


class Actor:
    """A call whose statements wait for their turns."""

    def __init__(self, call: Callable[[], Any], fault: Fault | None = None) -> None:
        self._call = call
        self.fault = fault
        self._go = threading.Semaphore(0)
        self.rests = threading.Event()
        """Set while it is before a statement, or has ended."""
        self.ended = False
        self.pid = 0
        self.turns = 0
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        _here.actor = self
        try:
            self.result = self._call()
        except (Exception, Crash) as error:  # noqa: BLE001 -- an answer like others
            self.result = error
        self.ended = True
        self.rests.set()

    def pause(self, pid: int) -> None:
        """Wait for the next turn; called by the tap."""
        self.pid = pid
        self.rests.set()
        assert self._go.acquire(timeout=PATIENCE)

    def let_go(self) -> None:
        """Give it a turn."""
        self.rests.clear()
        self.turns += 1
        self._go.release()

    def join(self) -> Any:
        """Return what the call came to."""
        self._thread.join(PATIENCE)
        assert self.ended
        return self.result


class Conductor:
    """Plays schedules.

    Args:
        watch: a connection that asks who waits for whom.
    """

    def __init__(self, watch: psycopg.Connection[Any]) -> None:
        self._watch = watch
        self.schedules = 0
        self.waits = 0
        self.choices: list[tuple[int, bool]] = []
        """Whose turns the last schedule had, and of each whether the other one could have had it."""

    def play(
        self, calls: tuple[Callable[[], Any], Callable[[], Any]], order: Iterator[int],
        faults: tuple[Fault | None, Fault | None] = (None, None),
    ) -> tuple[list[Any], list[int]]:  # fmt: skip
        """Run two calls, whose turns come in an order; return their results and how many turns each took."""
        actors = [Actor(call, fault) for call, fault in zip(calls, faults, strict=True)]
        self.schedules += 1
        for actor in actors:
            assert actor.rests.wait(PATIENCE)
        self.choices, blocked = [], [False, False]
        while not all(actor.ended for actor in actors):
            chosen = next(order, 0)
            is_free = not any(actor.ended or held for actor, held in zip(actors, blocked, strict=True))
            if actors[chosen].ended or blocked[chosen]:
                chosen = 1 - chosen
            assert not (actors[chosen].ended or blocked[chosen]), "both wait for each other"
            self.choices.append((chosen, is_free))
            actors[chosen].let_go()
            blocked[chosen] = self._settle(actors[chosen], actors[1 - chosen])
            if blocked[1 - chosen]:
                blocked[1 - chosen] = self._settle(actors[1 - chosen], actors[chosen])
            self.waits += blocked[chosen]
        return [actor.join() for actor in actors], [actor.turns for actor in actors]

    def _settle(self, actor: Actor, other: Actor) -> bool:
        """Wait till the actor rests or is known to wait for a lock of the other's; return whether it does the latter."""
        deadline = time.monotonic() + PATIENCE
        while not actor.rests.wait(0.004):
            # Not by the actor's own session alone: a helper thread of it may be the one that waits.
            row = self._watch.execute(_WAITS, (other.pid, actor.pid)).fetchone()
            if row == (True,) and not actor.rests.is_set() and not other.ended:  # or it is still shown for a moment
                return True
            assert time.monotonic() < deadline, "an actor neither rests nor waits"
        return False


def orders(first: int, second: int) -> Iterator[tuple[int, ...]]:
    """Return the orders of two actors' turns with three changes at most: some of one, some of the other, the rest."""
    seen = set()
    for leader, (mine, other) in ((0, (first, second)), (1, (second, first))):
        for before in range(mine + 1):
            for between in range(other + 1):
                turns = (
                    *(leader,) * before, *(1 - leader,) * between, *(leader,) * (mine - before + 2),
                    *(1 - leader,) * (other - between + 2),
                )  # fmt: skip
                if turns not in seen:
                    seen.add(turns)
                    yield turns


def every_order(play: Callable[[list[int]], list[tuple[int, bool]]], most: int) -> bool:
    """Play all orders that locks leave to two actors, depth first; return False if so many were not enough.

    Args:
        play: plays a schedule that begins with these turns and goes on with the first actor's; returns `choices`.
        most: how many schedules to play.
    """
    turns: list[int] = []
    for _ in range(most):
        played = play(turns)
        while played and played[-1] != (0, True):
            played.pop()
        if not played:
            return True
        turns = [chosen for chosen, _ in played[:-1]] + [1]
    return False
