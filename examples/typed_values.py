"""What a task's annotation does: values are stored as JSON and come out as the type that the next task asks for.

Shows dates, decimals, enums, unions and nested dataclasses on their way, that a run in memory sees just what a resumed
run sees, what happens to a value that does not fit, and to one that cannot be stored.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from sayiir import Flow, InMemoryBackend, TaskError, WorkflowClient, run_durable_workflow, run_workflow, task


class Currency(Enum):
    EUR = "eur"


@dataclass
class Card:
    number: str


@dataclass
class Invoice:
    until: date


@dataclass
class Payment:
    id: UUID
    amount: Decimal
    currency: Currency
    how: Card | Invoice
    tags: set[str]


@task
def receive(payment: Payment) -> Payment:
    print(type(payment.id).__name__, payment.amount * 2, payment.currency, sorted(payment.tags))
    return payment


@task
def due(payment: Payment) -> datetime:
    match payment.how:
        case Invoice(until):
            return datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(hours=12)
        case Card():
            return datetime.now(UTC)


@task
def weekday(moment: datetime) -> str:
    return f"{moment:%A}"


payments = Flow("payments").then(receive).then(due).then(weekday).build()


@task
def careless(_: int) -> object:
    return {"result": [1, {"handle": object()}]}


def main() -> None:
    payment = Payment(UUID(int=7), Decimal("19.90"), Currency.EUR, Invoice(date(2026, 1, 30)), {"books", "gift"})
    print(run_workflow(payments, payment))

    backend = InMemoryBackend()
    print(run_durable_workflow(payments, "p-1", payment, backend))
    client = WorkflowClient(backend)
    print("by name:    ", client.get_task_result("p-1", "due"))
    print("by function:", client.get_task_result("p-1", due))

    for workflow, value in ((payments, {"id": "seven"}), (Flow("w").then(careless).build(), 1)):
        try:
            run_workflow(workflow, value)
        except TaskError as error:
            print(f"{error.task_id}: {str(error).partition(';')[0].removeprefix(f'{error.error_type}: ')}")


if __name__ == "__main__":
    main()

"""Prints:
UUID 39.80 Currency.EUR ['books', 'gift']
Friday
UUID 39.80 Currency.EUR ['books', 'gift']
WorkflowStatus.Completed(output='Friday')
by name:     2026-01-30T12:00:00Z
by function: 2026-01-30 12:00:00+00:00
receive: validation error: Invalid UUID at $.id
careless: cannot store the value at $.result[1].handle: an object of type object cannot be stored as JSON
"""
