"""What type checkers must refuse: every line marked with `# wrong: …` and no other (see check.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic

from sayiir import (
    AsyncWorkflowClient,
    Flow,
    InMemoryBackend,
    LoopResult,
    WorkflowClient,
    WorkflowStatus,
    arun_durable_workflow,
    arun_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)


@dataclass
class Order:
    id: int


class Receipt(pydantic.BaseModel):
    order: int


@task
def label(number: int) -> str:
    return str(number)


@task(retries=1)
async def fetch(number: int) -> str:
    return str(number)


def size(text: str) -> int:
    return len(text)


def price(order: Order) -> float:
    return float(order.id)


def bill(order: Order) -> Receipt:
    return Receipt(order=order.id)


def facts(found: dict[str, Any]) -> Order:
    return Order(found["id"])


def listed(found: list[int]) -> int:
    return len(found)


def polish(text: str) -> LoopResult[str]:
    return LoopResult.done(text)


def pair(left: int, right: int) -> int:
    return left + right


numbers = Flow("numbers").then(label).build()
orders = Flow("orders").then(bill).build()
client = WorkflowClient(InMemoryBackend())


def steps() -> None:
    Flow("x").then(label).then(label)  # wrong: a str goes into an int
    Flow("x").then(fetch).then(label)  # wrong: likewise, after an async task
    Flow("x").then(label).then(fetch)  # wrong: likewise, into an async task
    Flow("x").then(label).delay("d", 1).then(label)  # wrong: likewise, after a delay
    Flow("x").then(label).then(lambda text: len(text)).then(size)  # wrong: an int goes into a str
    Flow("x").then(lambda value: value["n"]).then(label).then(label)  # wrong: a str goes into an int
    Flow("x").then(label).then(price)  # wrong: a str goes into an Order
    Flow("x").then(bill).then(price)  # wrong: a Receipt goes into an Order
    Flow("x").then(pair)  # wrong: a task takes one argument
    Flow("x").then(5)  # wrong: no callable
    Flow("x").then(label).then_flow(numbers)  # wrong: a str goes into a workflow that takes an int
    Flow("x").then_flow(numbers).then(label)  # wrong: a child that gives a str, then an int


def waits() -> None:
    Flow("x").wait_for_signal("s", type=str).then(label)  # wrong: the signal's payload is a str
    Flow("x").then(label).wait_for_signal("s", type=Receipt).then(price)  # wrong: the payload is a Receipt
    Flow("x").then(label).wait_for_signal("s", type=int, on_timeout="continue").then(label)  # wrong: or a str
    Flow("x").delay("d", [1])  # wrong: no duration


def loops() -> None:
    Flow("x").loop(polish).then(label)  # wrong: the loop gives a str
    Flow("x").then(label).then(size).loop(polish)  # wrong: an int goes into the body
    Flow("x").then(label).loop(size)  # wrong: the body gives no LoopResult
    Flow("x").loop(polish, on_max="forever")  # wrong: no such word


def forks() -> None:
    Flow("x").then(label).fork().branch(label)  # wrong: a str goes into the branch's int
    Flow("x").then(label).fork().branch(size).join(listed)  # wrong: a join takes the dict of the branches
    Flow("x").then(label).fork().branch(size).join(size)  # wrong: likewise
    Flow("x").then(label).fork().branch(size).join(facts).then(label)  # wrong: the join gives an Order
    Flow("x").then(label).fork().branch()  # wrong: a branch without a step


def routes() -> None:
    Flow("x").then(label).route(label, keys=["a"])  # wrong: a str goes into the key function's int
    Flow("x").then(label).route(size, keys=["a"])  # wrong: the key is no str
    Flow("x").route(size, keys=["a"])  # wrong: likewise, at the beginning
    Flow("x").then(label).route(lambda text: text, keys=["a"]).branch("a", label)  # wrong: a str goes into an int
    Flow("x").then(label).route(lambda text: text, keys=["a"]).branch("a", size).done().then(label)  # wrong: the envelope


def runs() -> None:
    run_workflow(numbers, "five")  # wrong: the first task takes an int
    run_workflow(numbers, {"n": 5})  # wrong: likewise
    run_workflow(orders, 5)  # wrong: the first task takes an Order
    run_workflow(Flow("x").then(label), 5)  # wrong: not built
    run_durable_workflow(numbers, "a", "five")  # wrong: the first task takes an int
    run_workflow(numbers, 5, conflict_policy="maybe")  # wrong: no such policy
    client.submit(numbers, "a", "five")  # wrong: the first task takes an int
    client.submit_many(numbers, [("a", "five")])  # wrong: likewise
    client.find(status="done")  # wrong: there is no such status
    client.find_all(limit=5)  # wrong: all of them
    client.submit(orders, "a", [1])  # wrong: the first task takes an Order


async def awaits() -> None:
    await arun_workflow(numbers, "five")  # wrong: the first task takes an int
    await arun_durable_workflow(numbers, "a", "five")  # wrong: likewise
    await AsyncWorkflowClient(client.backend).submit(numbers, "a", "five")  # wrong: likewise


def results(status: WorkflowStatus) -> None:
    a: int | None = client.get_task_result("a", label)  # wrong: label gives a str
    b: str | None = client.get_task_result("a", polish, default=5)  # wrong: or the default
    c: int = status.output_as(str)  # wrong: a str
    d: str = client.get_task_result("a", label)  # wrong: None, when it has not run
    print(a, b, c, d)


def tasks() -> None:
    label("five")  # wrong: the function keeps its type
    a: int = label(5)  # wrong: likewise
    task(retries="many")  # wrong: no number of retries
    print(a)
