"""Random flows end alike however they run: in memory, durably in memory, durably on SQLite."""

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import event, example, given

from sayiir import TaskError, WorkflowClient, run_workflow
from sayiir.runtime.timeline import TimelineEntry
from sayiir.testing.crash import run_to_end
from sayiir.testing.flows import (
    MOMENT_SECS,
    Await,
    Choice,
    HiccupError,
    Nested,
    Pause,
    Sketch,
    Split,
    Step,
    Turns,
    sketches,
)
from sayiir.testing.ledger import Ledger
from sayiir.testing.life import LeapClock, Life
from tests.proof.common import KINDS, examples, reopenable

End = tuple[str, Any]


def prediction(sketch: Sketch) -> End:
    try:
        return "completed", sketch.expected()
    except HiccupError as error:
        return "failed", f"HiccupError: {error}"


def in_memory(sketch: Sketch) -> tuple[End, Counter[Any]]:
    ledger = Ledger()
    try:
        end = "completed", run_workflow(ledger.watch(sketch.build()), sketch.input)
    except TaskError as error:
        end = "failed", str(error)
    return end, Counter((line.node, line.iteration, line.attempt) for line in ledger.lines)


def durably(sketch: Sketch, kind: str) -> tuple[End, Counter[Any], Counter[Any]]:
    with reopenable(kind) as open_store, open_store(LeapClock()) as store:
        ledger, life = Ledger(), Life(store)
        status = run_to_end(ledger.watch(sketch.build()), "a", sketch.input, life, script=sketch.signals())
        timeline = WorkflowClient(store).timeline("a")
        lines = Counter((entry.node_id, entry.kind, entry.iteration, entry.attempt, entry.status) for entry in timeline)
        check_timers(sketch, timeline)
        ran = Counter((line.node, line.iteration, line.attempt) for line in ledger.lines)
        assert ran == Counter((entry.node_id, entry.iteration, entry.attempt) for entry in timeline if entry.task_id)
        return (status.status, status.output if status.is_completed() else status.error), lines, ran


def check_timers(sketch: Sketch, timeline: list[TimelineEntry]) -> None:
    """No timer fires early: a pause lasts as long as it says, and so does a wait that is given up."""
    shortest = {place: part.moments for place, part in sketch.parts() if isinstance(part, Pause)}
    shortest |= {place: 1 for place, part in sketch.parts() if isinstance(part, Await) and not part.sent}
    for entry in timeline:
        if entry.kind in ("delay", "await_signal") and (moments := shortest.get(entry.node_id.rpartition("/")[2], 0)):
            assert entry.started_at is not None
            assert entry.finished_at is not None
            assert entry.finished_at - entry.started_at >= moments * timedelta(seconds=MOMENT_SECS)


ENVELOPE_AFTER_PAUSE = Sketch((Choice(1, ((Step(0),), (Step(0), Pause(0)))), Choice(0, ((Pause(0),),))))
"""A route ends behind a pause, so its envelope is made of a value that was passed on; and then another pause."""


@examples(120, 4000)
@given(sketches())
@example(ENVELOPE_AFTER_PAUSE)
def test_every_kind_of_run_gives_the_predicted_end_and_one_timeline(sketch: Sketch) -> None:
    expected = prediction(sketch)
    ends, timelines, executions = zip(*(durably(sketch, kind) for kind in KINDS), strict=True)
    assert list(ends) == [expected, expected]
    assert timelines[0] == timelines[1]
    assert max(timelines[0].values()) == 1
    if not any(isinstance(part, Await) for _, part in sketch.parts()):
        event("without a signal: also in memory")
        assert in_memory(sketch) == (expected, executions[0])


def test_the_generator_draws_every_kind_of_part_inside_every_nesting() -> None:
    """Or the properties above would hold of too little."""
    nestings = (Split, Choice, Nested)
    wanted = {(kind, outer) for kind in (Step, Pause, Await, Turns, *nestings) for outer in nestings}
    seen: set[tuple[type, type]] = set()

    @examples(500, 500)
    @given(sketches())
    def draw(sketch: Sketch) -> None:
        for _, part in sketch.parts():
            if isinstance(part, Split | Choice):
                seen.update((type(inner), type(part)) for branch in part.branches for inner in branch)
            elif isinstance(part, Nested):
                seen.update((type(inner), Nested) for inner in part.line)

    draw()
    assert wanted <= seen
