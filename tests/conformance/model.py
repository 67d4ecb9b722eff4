"""A reference model of the storage port, small enough to be read: plain objects, no rows, no records, no epochs.

It says what every verb answers and how an instance looks afterwards. A *right* is an object that a claim hands out; it
is good as long as the token still knows it. The status of a live instance is no fact of its own here: it follows from
what the tokens do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MICROS = 1_000_000
TTL = 300 * MICROS


class Right:
    """What a claim gives."""

    def __init__(self, instance: Instance, number: int) -> None:
        self.instance = instance
        self.number = number


@dataclass
class Place:
    """A token."""

    state: str = "ready"
    attempt: int = 1
    crashes: int = 0
    due: int | None = None
    parent: int | None = None
    right: Right | None = None
    alive: bool = True
    until: int = 0


@dataclass
class Instance:
    """An instance."""

    places: dict[int, Place]
    ended: str | None = None
    paused: bool = False
    request: str | None = None
    request_reason: str | None = None
    reason: str | None = None
    history: Counter[tuple[int, str]] = field(default_factory=Counter)
    branches: int = 0

    @property
    def status(self) -> str:
        if self.ended is not None:
            return self.ended
        if self.paused:
            return "paused"
        states = {place.state for place in self.places.values()}
        if any(place.right for place in self.places.values()) or states & {"ready", "standing", "backoff"}:
            return "in_progress"
        return "awaiting_signal" if "awaiting" in states else "waiting"


class Model:
    """All instances, their signals, and the time."""

    def __init__(self) -> None:
        self.now = 0
        self.instances: dict[str, Instance] = {}
        self.signals: dict[str, list[tuple[bytes, int]]] = {}
        self.keys: set[tuple[str, str]] = set()

    # --- verbs ----------------------------------------------------------------------------------------------------

    def create(self, name: str, policy: str, *, claim: bool) -> tuple[str, Right | None]:
        if name in self.instances:
            if policy != "terminate_existing":
                return ("refused" if policy == "fail" else "existing"), None
            self.signals.pop(name, None)
            self.keys = {key for key in self.keys if key[0] != name}
        instance = self.instances[name] = Instance({0: Place()})
        return "new", self._take(instance, 0) if claim else None

    def claim(self, name: str) -> tuple[list[tuple[Right, str]], bool]:
        instance = self.instances[name]
        if instance.status in ("completed", "failed", "cancelled", "paused"):
            return [], False
        if instance.request is not None:
            if self._running(instance):
                return [], True
            self._take_effect(instance)
            return [], False
        claims, busy = [], False
        for number, place in sorted(instance.places.items()):
            if place.state in ("joining", "done"):
                continue
            if self._live(place):
                busy = True
                continue
            wake = self._wake(name, place)
            if wake is None:
                place.right = None
                continue
            self._note_crash(instance, number)
            claims.append((self._take(instance, number), wake))
        return claims, busy

    def in_line(self) -> dict[tuple[str, int], str]:
        """Return what workers may take, and why it may move."""
        return {
            (name, number): wake
            for name, instance in self.instances.items()
            if not (instance.ended or instance.paused or instance.request)
            for number, place in instance.places.items()
            if place.right is None and place.state not in ("joining", "done")
            if place.state != "backoff" or (place.due or 0) <= self.now  # a run would sleep it through
            if (wake := self._wake(name, place)) is not None
        }

    def most_crashes(self) -> int:
        """Return how many processes have died with a token of those that are there."""
        return max((p.crashes for instance in self.instances.values() for p in instance.places.values()), default=0)

    def claim_due(self, given: list[tuple[str, int]], *, beside: int, last: int) -> list[Right]:
        """Take what a store chose to give: all with whom nobody died, and of the others what may be beside those in hand."""
        crashes = {key: self.instances[key[0]].places[key[1]].crashes for key in self.in_line()}
        fresh = {key for key, count in crashes.items() if not count}
        marked = {key for key, count in crashes.items() if 0 < count < last and beside < last}
        apart = {key for key, count in crashes.items() if count >= last and not beside}
        assert len(set(given)) == len(given)
        others = set(given) - fresh
        assert set(given) - others == fresh
        if marked:
            assert others == marked
        else:
            assert others <= apart
            assert len(others) == bool(apart)
        return [self._take(self.instances[name], number) for name, number in given]

    def sweep(self) -> bool:
        """Free what the dead hold; return whether there was anything."""
        freed = False
        for instance in self.instances.values():
            for number, place in list(instance.places.items()):
                if instance.ended is None and place.right is not None and not place.alive:
                    freed = True
                    self._note_crash(instance, number)
                    place.right = None
                    if instance.request is not None:
                        self._take_effect(instance)
        return freed

    def move(self, right: Right, kind: str, seconds: float | None = None, signal: tuple[bytes, int] | None = None) -> str:
        instance, place = right.instance, self._good(right)
        if place is None:
            return "lost"
        name = next(name for name, found in self.instances.items() if found is instance)
        queue = self.signals.setdefault(name, [])
        if kind == "consume":
            if not queue or queue[0] is not signal:
                return "again"
            queue.pop(0)
        if kind not in ("again", "await_on"):
            instance.history[right.number, "failed" if kind in ("fail", "try", "try_held") else "completed"] += 1
        kept = place.due if kind == "await_on" and place.state == "awaiting" else None
        place.due = None
        if kind in ("try", "try_held"):
            place.attempt += 1
        elif kind not in ("again", "await_on"):
            place.attempt, place.crashes = 1, 0
        if instance.request == "cancel":
            place.right = None
            self._take_effect(instance)
            return "stopped"
        if instance.request == "pause" and kind != "fail":
            self._quietly(instance, right, place, kind, seconds, kept)
            place.right = None
            self._take_effect(instance)
            return "stopped"
        return self._act(name, instance, right, place, kind, seconds, kept)

    def send(self, name: str, payload: bytes, key: str | None) -> str | bool:
        if name in self.instances and self.instances[name].ended:
            return "refused"
        if key is not None:
            if (name, key) in self.keys:
                return False
            self.keys.add((name, key))
        self.signals.setdefault(name, []).append((payload, self.now))
        return True

    def request(self, name: str, what: str, reason: str) -> str:
        instance = self.instances[name]
        if instance.ended in ("completed", "failed") or (instance.ended == "cancelled" and what == "pause"):
            return "refused"
        done = instance.ended == "cancelled" or (what == "pause" and instance.paused)
        if done or instance.request == what or instance.request == "cancel":
            return instance.status
        instance.request, instance.request_reason = what, reason
        if not self._running(instance):
            self._take_effect(instance)
        return instance.status

    def unpause(self, name: str) -> str:
        instance = self.instances[name]
        if instance.request == "pause":
            instance.request = instance.request_reason = None
        elif instance.paused and not instance.ended:
            instance.paused, instance.reason = False, None
        else:
            return "refused"
        return instance.status

    def retry(self, name: str) -> str:
        instance = self.instances[name]
        if instance.ended not in ("failed", "cancelled"):
            return "refused"
        instance.places, instance.ended, instance.reason = {0: Place()}, None, None
        return "done"

    def beat(self, right: Right) -> tuple[bool, str | None]:
        place = self._good(right)
        if place is None:
            return True, None
        place.until = self.now + TTL
        return False, right.instance.request

    def release(self, right: Right) -> None:
        place = self._good(right)
        if place is not None:
            place.right = None
            if right.instance.request is not None:
                self._take_effect(right.instance)

    def crash(self) -> None:
        for instance in self.instances.values():
            for place in instance.places.values():
                place.alive = False

    # --- what they are made of ------------------------------------------------------------------------------------

    def _good(self, right: Right) -> Place | None:
        place = right.instance.places.get(right.number)
        current = right.instance in self.instances.values()
        return place if current and place is not None and place.right is right else None

    def _live(self, place: Place) -> bool:
        return place.right is not None and place.alive and self.now < place.until

    def _running(self, instance: Instance) -> bool:
        return any(place.state in ("ready", "standing") and self._live(place) for place in instance.places.values())

    def _take(self, instance: Instance, number: int) -> Right:
        place = instance.places[number]
        place.right, place.alive, place.until = Right(instance, number), True, self.now + TTL
        return place.right

    def _wake(self, name: str, place: Place) -> str | None:
        over = place.due is not None and place.due <= self.now
        if place.state == "waiting":
            return "timer" if over else None
        if place.state == "awaiting":
            if self.oldest(name, place.due) is not None:
                return "signal"
            return "expired" if over else None
        return place.state

    def oldest(self, name: str, deadline: int | None) -> tuple[bytes, int] | None:
        queue = self.signals.get(name)
        return queue[0] if queue and (deadline is None or queue[0][1] < deadline) else None

    def _note_crash(self, instance: Instance, number: int) -> None:
        place = instance.places[number]
        if place.right is not None and place.state == "ready":
            place.attempt += 1
            place.crashes += 1
            instance.history[number, "crashed"] += 1

    def _take_effect(self, instance: Instance) -> None:
        if instance.request == "pause" and self._running(instance):
            return
        for number, place in instance.places.items():
            if not self._live(place):
                self._note_crash(instance, number)
            place.right = None
        if instance.request == "cancel":
            instance.ended, instance.paused, instance.places = "cancelled", False, {}
        else:
            instance.paused = True
        instance.reason, instance.request, instance.request_reason = instance.request_reason, None, None

    def _quietly(  # noqa: PLR0917
        self, instance: Instance, right: Right, place: Place, kind: str, seconds: float | None, kept: int | None
    ) -> None:
        if kind in ("fork", "complete"):
            place.state = "standing"
            return
        name = next(name for name, found in self.instances.items() if found is instance)
        if self._act(name, instance, right, place, kind, seconds, kept) == "joined":
            instance.places[place.parent or 0].right = None

    def _act(  # noqa: PLR0917
        self, name: str, instance: Instance, right: Right, place: Place, kind: str, seconds: float | None, kept: int | None
    ) -> str:
        until = None if seconds is None else self.now + round(seconds * MICROS)
        if kind in ("run", "consume", "again"):
            place.state = "ready"
            return "continue"
        if kind in ("wait", "try", "try_held"):
            place.state, place.due = ("waiting" if kind == "wait" else "backoff"), until
            if kind == "try_held" and instance.request is None:
                return "continue"
            place.right = None
            return "parked"
        if kind in ("await", "await_on"):
            place.state, place.due = "awaiting", until if kept is None else kept
            if self.oldest(name, kept) is not None:
                return "signal"
            place.right = None
            return "parked"
        if kind == "fork":
            place.state, place.right = "joining", None
            for number in (instance.branches + 1, instance.branches + 2):
                instance.places[number] = Place(parent=right.number, until=place.until, alive=True)
                instance.places[number].right = Right(instance, number)
            instance.branches += 2
            return "forked"
        if kind == "arrive":
            return self._arrive(instance, place)
        instance.ended = "completed" if kind == "complete" else "failed"
        instance.places = {}
        instance.request = instance.request_reason = None
        return "finished"

    def _arrive(self, instance: Instance, place: Place) -> str:
        place.state, place.right = "done", None
        family = {number: other for number, other in instance.places.items() if other.parent == place.parent}
        if any(other.state != "done" for other in family.values()):
            return "arrived"
        for number in family:
            del instance.places[number]
        assert place.parent is not None
        parent = instance.places[place.parent]
        parent.state, parent.attempt, parent.crashes = "ready", 1, 0
        parent.right, parent.alive, parent.until = Right(instance, place.parent), True, place.until
        instance.history[place.parent, "completed"] += 1
        return "joined"
