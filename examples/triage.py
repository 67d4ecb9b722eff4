"""Support tickets go their ways by urgency.

Shows a route: keys that are an enum, a branch of several steps, a branch that is a workflow of its own, the default
branch for everything else, and a route within a branch.
"""

from dataclasses import dataclass
from enum import StrEnum

from sayiir import Flow, run_workflow, task


class Urgency(StrEnum):
    NOW = "now"
    SOON = "soon"
    LATER = "later"


@dataclass
class Ticket:
    text: str
    customer: str = "free"


@task
def urgency(ticket: Ticket) -> Urgency:
    if "down" in ticket.text:
        return Urgency.NOW
    return Urgency.SOON if ticket.text.endswith("?") else Urgency.LATER


@task
def page_somebody(ticket: Ticket) -> Ticket:
    print(f"  beep: {ticket.text}")
    return ticket


@task
def open_incident(ticket: Ticket) -> str:
    return f"incident for {ticket.customer}"


@task
def plan_of(ticket: Ticket) -> str:
    return ticket.customer


questions = (
    Flow("questions")
    .route(plan_of, keys=["paying"])
    .branch("paying", lambda _: "answered within the hour", name="answer_soon")
    .default_branch(lambda _: "answered by the forum", name="forum")
    .done()
    .build()
)

triage = (
    Flow("triage")
    .route(urgency, keys=list(Urgency))
    .branch(Urgency.NOW, page_somebody, open_incident)
    .branch(Urgency.SOON, questions)
    .default_branch(lambda _: "in the backlog", name="backlog")
    .done()
    .build()
)


def main() -> None:
    for ticket in (
        Ticket("the site is down", "paying"),
        Ticket("how do I resume?", "paying"),
        Ticket("how do I resume?"),
        Ticket("a typo in the docs"),
    ):
        print(ticket.text)
        print(" ", run_workflow(triage, ticket))


if __name__ == "__main__":
    main()

"""Prints:
the site is down
  beep: the site is down
  {'branch': 'now', 'result': 'incident for paying'}
how do I resume?
  {'branch': 'soon', 'result': {'branch': 'paying', 'result': 'answered within the hour'}}
how do I resume?
  {'branch': 'soon', 'result': {'branch': 'free', 'result': 'answered by the forum'}}
a typo in the docs
  {'branch': 'later', 'result': 'in the backlog'}
"""
