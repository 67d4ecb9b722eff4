"""An expense that a person must approve, within a time limit.

Shows `wait_for_signal` with a typed payload, a signal that is sent before anybody waits for it, a timeout that fails
the instance, one that goes on, and how to keep the value: a signal's payload replaces it, so the wait stands in a
branch of its own beside the value.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sayiir import Flow, InMemoryBackend, resume_workflow, run_durable_workflow, send_signal, task


@dataclass
class Expense:
    what: str
    amount: int


@dataclass
class Approval:
    approved: bool
    by: str


@dataclass
class Both:
    expense: Expense
    approval: Approval


@task(name="expense")
def note_down(expense: Expense) -> Expense:
    return expense


@task
def decide(both: Both) -> str:
    verdict = "paid" if both.approval.approved else "refused"
    return f"{both.expense.what} for {both.expense.amount}: {verdict} by {both.approval.by}"


approval = Flow("approval").wait_for_signal("approve", type=Approval, timeout="48h").build()
expenses = Flow("expense").fork().branch(note_down).branch(approval, name="approval").join(decide).build()

impatient = Flow("impatient").then(note_down).wait_for_signal("approve", timeout="50ms").build()
default_yes = (
    Flow("default-yes").then(note_down).wait_for_signal("approve", timeout="50ms", on_timeout="continue").build()
)


def main() -> None:
    backend = InMemoryBackend()

    status = run_durable_workflow(expenses, "train", Expense("train", 80), backend)
    print(status.status, "of", status.signal_name)
    send_signal("train", "approve", {"approved": True, "by": "Grace"}, backend)
    print(resume_workflow(expenses, "train", backend).output)

    # Signals are kept: this one is there before its instance.
    send_signal("yacht", "approve", {"approved": False, "by": "Grace"}, backend)
    print(run_durable_workflow(expenses, "yacht", Expense("yacht", 90_000), backend).output)

    for workflow in (impatient, default_yes):
        status = run_durable_workflow(workflow, workflow.workflow_id, Expense("pens", 5), backend)
        assert status.wake_at is not None
        time.sleep(max(0.0, (status.wake_at - datetime.now(UTC)).total_seconds()))
        status = resume_workflow(workflow, workflow.workflow_id, backend)
        print(status.status, status.error or status.output)


if __name__ == "__main__":
    main()

"""Prints:
awaiting_signal of approve
train for 80: paid by Grace
yacht for 90000: refused by Grace
failed SignalTimeoutError: signal 'approve' did not arrive within 0.05s at node 'approve'
completed {'what': 'pens', 'amount': 5}
"""
