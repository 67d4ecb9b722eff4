"""What the kept artefacts hold: one flow, and an instance of it in every situation. Never change what stands here.

A change of this file would need artefacts made anew, and those of earlier releases are kept for ever.
"""

from __future__ import annotations

from typing import Any

from sayiir import Flow, LoopResult, WorkflowClient, resume_workflow, run_durable_workflow


def first(value: Any) -> Any:
    return {"first": value}


def turn(value: Any) -> Any:
    count = value.get("turns", 0) + 1
    following = {**value, "turns": count}
    return LoopResult.done(following) if count == 3 else LoopResult.again(following)


def fails(value: Any) -> Any:
    if value == "bad":
        raise ValueError("a bad payload")
    return {"paid": value}


def last(value: Any) -> Any:
    return {"last": value}


def flow() -> Any:
    """A fork with a loop beside a task, a route, a signal, a delay."""
    looped = Flow("looped").loop(turn).build()
    made: Any = Flow("kept", metadata={"team": "upgrade"}).then(first)
    made = made.fork().branch(looped, name="left").branch(last, name="right").join(first, name="join")
    made = made.route(lambda _: "a", keys=["a"]).branch("a", last, name="in_route").done()
    return made.wait_for_signal("go").delay("rest", 3600).then(fails).then(last, name="end").build()


SITUATIONS = {
    "submitted": "in_progress",
    "awaits": "awaiting_signal",
    "has its signal": "awaiting_signal",
    "waits": "waiting",
    "paused": "paused",
    "cancelled": "cancelled",
    "failed": "failed",
    "completed": "completed",
}
"""Instance id → status. `failed` failed at `fails`; `cancelled` was cancelled while it awaited its signal."""
OUTPUT = {"last": {"paid": "went"}}


def fill(store: Any, pass_time: Any) -> None:
    """Bring an instance into every situation."""
    client, workflow = WorkflowClient(store), flow()
    client.submit(workflow, "submitted", {"n": 1, "text": "ä €"})
    for name in ("awaits", "has its signal", "waits", "paused", "cancelled", "failed", "completed"):
        run_durable_workflow(workflow, name, {"n": 1, "text": "ä €"}, store)
    for name, payload in (("has its signal", "went"), ("waits", "went"), ("failed", "bad"), ("completed", "went")):
        client.send_signal(name, "go", payload, dedup_key="1")
    for name in ("waits", "failed", "completed"):
        resume_workflow(workflow, name, store)
    client.pause("paused", reason="lunch", paused_by="somebody")
    client.cancel("cancelled", reason="changed my mind")
    pass_time(3601)
    for name in ("failed", "completed"):
        resume_workflow(workflow, name, store)
    assert {name: client.status(name).status for name in SITUATIONS} == SITUATIONS
