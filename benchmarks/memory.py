"""Runs in memory: without any storage, and durably on an InMemoryBackend; beside real `sayiir` 1.0.0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.environments import Peer
from benchmarks.flows import add_one, chain, new_id
from benchmarks.measure import Budget, Case, Group, timed
from benchmarks.setting import Setting
from sayiir import InMemoryBackend, run_durable_workflow, run_workflow


def _plain(setting: Setting) -> Group:
    steps = setting.scale.memory
    shortest, *_, longest = setting.scale.chains
    must = Budget(1.0, 0.5)
    cases = [Case("calls", "bare calls of the same functions", partial(_calls, steps))]
    for length in setting.scale.chains:
        flat = (Budget(1.2, 1.0, to=f"ours {shortest}"),) if length == longest else ()
        cases.append(
            Case(f"ours {length}", f"`run_workflow`, chain of {length:,}", partial(_run, length, steps), "micros",
                 "calls", (must, *flat))
        )  # fmt: skip
    cases.append(
        Case("coroutines", f"`run_workflow`, chain of {shortest} coroutines",
             partial(_run, shortest, steps // 20, coroutines=True), "micros", "calls")
    )  # fmt: skip
    peer = _peer(setting)
    if peer is not None:
        cases.append(
            Case("real", f"real sayiir 1.0.0 `run_workflow`, chain of {shortest}",
                 lambda: peer.ask(f"chain memory {shortest} {steps // 4 // shortest}"), "micros", "calls")
        )  # fmt: skip
    return Group(
        "memory",
        "In memory, no storage",
        "Time of `run_workflow(wf, 0)` divided by its steps; every task returns its input plus one.",
        cases,
        _close(peer),
    )


def _durable(setting: Setting) -> Group:
    steps = setting.scale.buffered
    shortest, *_, longest = setting.scale.chains
    backend = InMemoryBackend()
    cases = [
        Case(f"ours {length}", f"`run_durable_workflow`, InMemoryBackend, chain of {length:,}",
             partial(_run_durably, backend, length, steps))
        for length in setting.scale.chains
    ]  # fmt: skip
    peer = _peer(setting)
    if peer is not None:
        cases += [
            Case(f"real {length}", f"real sayiir 1.0.0 on its InMemoryBackend, chain of {length:,}",
                 lambda length=length: peer.ask(f"chain durable {length} {max(1, steps // 2 // length)}"),  # type: ignore[misc]
                 "micros", f"ours {length}")
            for length in (shortest, longest)
        ]  # fmt: skip
    return Group(
        "durable-memory",
        "Durable, in memory",
        "The same chains with a checkpoint after every task, on one InMemoryBackend that keeps all history.",
        cases,
        _close(peer),
    )


def _peer(setting: Setting) -> Peer | None:
    python = setting.peers.get("sayiir_real")
    return None if python is None else Peer(python, "sayiir_real")


def _close(peer: Peer | None) -> Callable[[], None]:
    return (lambda: None) if peer is None else peer.close


def _calls(steps: int) -> float:
    def work() -> None:
        value = 0
        for _ in range(steps):
            value = add_one(value)

    return timed(work) / steps * 1e6


def _run(length: int, steps: int, *, coroutines: bool = False) -> float:
    workflow, runs = chain(length, coroutines=coroutines), max(1, steps // length)

    def work() -> None:
        for _ in range(runs):
            run_workflow(workflow, 0)

    return timed(work) / runs / length * 1e6


def _run_durably(backend: InMemoryBackend, length: int, steps: int) -> float:
    workflow, runs = chain(length), max(1, steps // length)

    def work() -> None:
        for _ in range(runs):
            run_durable_workflow(workflow, new_id(), 0, backend)

    return timed(work) / runs / length * 1e6


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "memory": _plain, "durable-memory": _durable,
}
