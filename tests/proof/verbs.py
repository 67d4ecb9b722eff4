"""A reference model of what users see: one small flow, its instances, and the verbs from outside.

The flow: task `first`, then signal "go" (60 s), then a delay of 10 s, then task `last`, which fails when the payload is
"bad". No rows, no claims, no epochs: a stage, a time and a queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MICROS = 1_000_000
DEADLINE = 60 * MICROS
REST = 10 * MICROS
ENDED = ("completed", "failed", "cancelled")


@dataclass
class Instance:
    """An instance: where it stands, and since when."""

    stage: str = "first"
    ended: str | None = None
    paused: bool = False
    due: int = 0
    value: str = "in"
    failed_at: str | None = None
    ended_at: int = 0
    results: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        if self.ended is not None:
            return self.ended
        if self.paused:
            return "paused"
        return {"gate": "awaiting_signal", "rest": "waiting"}.get(self.stage, "in_progress")


class Model:
    """All instances and signals."""

    def __init__(self) -> None:
        self.now = 0
        self.instances: dict[str, Instance] = {}
        self.signals: dict[str, list[tuple[str, int]]] = {}
        self.keys: set[tuple[str, str]] = set()

    def submit(self, name: str, policy: str) -> str:
        if name in self.instances and policy == "fail":
            return "refused"
        if name in self.instances and policy == "terminate_existing":
            self.forget(name)
        new = name not in self.instances
        self.instances.setdefault(name, Instance())
        return "new" if new else "existing"

    def forget(self, name: str) -> None:
        del self.instances[name]
        self.signals.pop(name, None)
        self.keys = {key for key in self.keys if key[0] != name}

    def signal(self, name: str, payload: str, key: str | None) -> str:
        instance = self.instances.get(name)
        if instance is not None and instance.ended:
            return "refused"
        if key is not None:
            if (name, key) in self.keys:
                return "seen"
            self.keys.add((name, key))
        self.signals.setdefault(name, []).append((payload, self.now))
        return "sent"

    def cancel(self, name: str) -> str:
        instance = self.instances[name]
        if instance.ended in ("completed", "failed"):
            return "refused"
        self._end(instance, "cancelled")
        return "cancelled"

    def pause(self, name: str) -> str:
        instance = self.instances[name]
        if instance.ended:
            return "refused"
        instance.paused = True
        return "paused"

    def unpause(self, name: str) -> str:
        instance = self.instances[name]
        if not instance.paused:
            return "refused"
        instance.paused = False
        return "unpaused"

    def retry(self, name: str, value: str | None) -> str:
        instance = self.instances[name]
        if instance.ended not in ("failed", "cancelled"):
            return "refused"
        if value is not None and instance.stage == "rest":
            return "refused"  # nothing takes a value there
        instance.ended = instance.failed_at = None
        instance.value = value if value is not None else instance.value
        if instance.stage == "gate":
            instance.stage = "before gate"  # it waits anew
        return "retried"

    def move(self, name: str) -> None:
        """Let whoever runs it go on as far as it can."""
        instance = self.instances[name]
        while not (instance.ended or instance.paused) and self._step(name, instance):
            pass

    def _step(self, name: str, instance: Instance) -> bool:
        if instance.stage in ("first", "before gate"):
            if instance.stage == "first":
                instance.results["first"] = instance.value = f"first({instance.value})"
            # What is buffered when the wait begins came before its deadline, however late somebody looks.
            instance.stage, instance.due = "gate", self.now + DEADLINE
        elif instance.stage == "gate":
            queue = self.signals.get(name, [])
            if queue and queue[0][1] < instance.due:
                instance.value = queue.pop(0)[0]
                instance.results["gate"] = instance.value
                instance.stage, instance.due = "rest", self.now + REST
            elif instance.due <= self.now:
                self._end(instance, "failed")
            else:
                return False
        elif instance.stage == "rest":
            if instance.due > self.now:
                return False
            instance.stage = "last"
        elif instance.value == "bad":
            self._end(instance, "failed")
        else:
            instance.results["last"] = instance.value = f"last({instance.value})"
            self._end(instance, "completed")
        return True

    def _end(self, instance: Instance, how: str) -> None:
        if instance.ended != how:
            instance.ended, instance.paused, instance.ended_at = how, False, self.now

    def purge(self, before: int) -> int:
        gone = [name for name, found in self.instances.items() if found.ended and found.ended_at < before]
        for name in gone:
            self.forget(name)
        return len(gone)
