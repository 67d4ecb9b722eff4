"""What type checkers must accept, and what they must infer; this file also runs as it stands."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict, assert_type

import msgspec
import pydantic

from sayiir import (
    AsyncWorkflowClient,
    Flow,
    ForkBuilder,
    InMemoryBackend,
    LoopResult,
    OnMax,
    Secret,
    Workflow,
    WorkflowClient,
    WorkflowStatus,
    arun_durable_workflow,
    arun_workflow,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)


@dataclass
class Order:
    id: int
    amount: float = 1.0


class Receipt(pydantic.BaseModel):
    order: int
    text: str


class Parcel(msgspec.Struct):
    order: int


class Facts(TypedDict):
    length: int


@task
def label(number: int) -> str:
    return str(number)


@task(retries=3, timeout="30s")
def size(text: str) -> int:
    return len(text)


@task("named")
async def fetch(number: int) -> str:
    return str(number)


@task
def price(order: Order) -> float:
    return order.amount


@task
async def bill(order: Order) -> Receipt:
    return Receipt(order=order.id, text="paid")


@task
def pack(receipt: Receipt) -> Parcel:
    return Parcel(receipt.order)


@task
def half(number: float) -> float:
    return number / 2


@task
def raw(value: dict[str, Any]) -> dict[str, Any]:
    return value


@task
def kind(text: str) -> str:
    return "long" if len(text) > 2 else "short"


@task
async def akind(text: str) -> str:
    return kind(text)


# --- a task is still the function that it was ---------------------------------------------------------------------

assert_type(label(1), str)
assert_type(size("abc"), int)
assert_type(price(Order(1)), float)


# --- one step after the other -------------------------------------------------------------------------------------

assert_type(Flow("x").then(label), Flow[int, str])
assert_type(Flow("x").then(fetch), Flow[int, str])
assert_type(Flow("x").then(label).then(size), Flow[int, int])
assert_type(Flow("x").then(fetch).then(size).then(fetch), Flow[int, str])
assert_type(Flow("x").then(bill).then(pack), Flow[Order, Parcel])
assert_type(Flow("x").delay("d", "1s").then(label), Flow[int, str])
assert_type(Flow("x").then(label).delay("d", "1s").then(size), Flow[int, int])
assert_type(Flow("x").then(label).then(lambda text: text.upper()), Flow[int, str])
assert_type(Flow("x").then(label).then(lambda text: len(text)).then(half), Flow[int, float])
assert_type(Flow("x").then(label).then(str.upper).then(len), Flow[int, int])
assert_type(Flow("x").then(label).build(), Workflow[int, str])

# An int is a float, and a bool an int.
assert_type(Flow("x").then(size).then(half), Flow[str, float])
assert_type(Flow("x").then(lambda _: True).then(label).build().workflow_id, str)

# Of a lambda at the beginning nothing is known, and what follows is known all the same.
assert_type(Flow("x").then(lambda value: value["text"]).then(size), Flow[Any, int])
doubled = Flow("x").then(lambda value: value * 2, name="double").build()
named = Flow("x").then(lambda value: {"name": value["name"], "size": len(value)}).build()

Flow("x").then(functools.partial(label)).then(size)


class Scale:
    """A callable object, and one with a method to be used."""

    def __call__(self, number: int) -> float:
        return number * 1.5

    def twice(self, number: float) -> float:
        return number * 2


assert_type(Flow("x").then(Scale()).then(Scale().twice), Flow[int, float])

# A JSON object may become a record, and a record may be given as one.
assert_type(Flow("x").then(raw).then(price), Flow[dict[str, Any], float])
assert_type(Flow("x").then(raw).then(bill).then(pack), Flow[dict[str, Any], Parcel])


# --- signals ------------------------------------------------------------------------------------------------------

assert_type(Flow("x").then(label).wait_for_signal("s", type=Order).then(price), Flow[int, float])
assert_type(Flow("x").then(label).wait_for_signal("s").then(price), Flow[int, float])
assert_type(Flow("x").then(label).wait_for_signal("s", type=int, on_timeout="continue"), Flow[int, str | int])
assert_type(Flow("x").wait_for_signal("s", type=int).then(label), Flow[Any, str])
Flow("x").then(label).wait_for_signal("s", type=int | None)


# --- loops --------------------------------------------------------------------------------------------------------


def polish(text: str) -> LoopResult[str]:
    return LoopResult.done(text) if len(text) > 3 else LoopResult.again(text + "!")


async def poll(job: Order) -> LoopResult[Receipt]:
    if job.amount > 2:
        return LoopResult.done(Receipt(order=job.id, text="ready"))
    return LoopResult.again(Order(job.id, job.amount + 1))


def refine(text: str) -> dict[str, Any]:
    return LoopResult.done(text).to_dict()


assert_type(Flow("x").loop(polish).then(size), Flow[str, int])
assert_type(Flow("x").then(label).loop(polish, max_iterations=5), Flow[int, str])
assert_type(Flow("x").loop(poll).then(pack), Flow[Order, Parcel])
assert_type(Flow("x").loop(poll, on_max="exit_with_last"), Flow[Order, Order | Receipt])
assert_type(Flow("x").loop(poll, on_max=OnMax.EXIT_WITH_LAST), Flow[Order, Order | Receipt])
assert_type(Flow("x").loop(poll, on_max=OnMax.FAIL), Flow[Order, Receipt])
assert_type(Flow("x").then(label).loop(refine).then(size), Flow[int, int])
assert_type(Flow("x").loop(refine).then(size), Flow[str, int])
Flow("x").loop(lambda value: LoopResult.done(value["x"]) if value["y"] else LoopResult.again(value))
Flow("x").then(label).loop(lambda text: LoopResult.done(text) if text else LoopResult.again(text + "x")).then(size)


# --- forks --------------------------------------------------------------------------------------------------------


def facts(found: dict[str, Any]) -> Facts:
    return {"length": found["size"]}


def counted(found: dict[str, int]) -> int:
    return sum(found.values())


def mapped(found: Mapping[str, Any]) -> Order:
    return Order(**found)


def typed(found: Facts) -> int:
    return found["length"]


async def modelled(found: Receipt) -> str:
    return found.text


def anything(found: Any) -> bool:
    return bool(found)


def whatever(found: object) -> bool:
    return bool(found)


def fork() -> ForkBuilder[int, str]:
    return Flow("x").then(label).fork().branch(size).branch(lambda text: text.upper(), name="upper")


assert_type(fork().branch(size, label, name="long").join(facts), Flow[int, Facts])
assert_type(fork().join(counted).then(label), Flow[int, str])
assert_type(fork().join(mapped).then(price), Flow[int, float])
assert_type(fork().join(typed).then(half), Flow[int, float])
assert_type(fork().join(modelled).then(size), Flow[int, int])
assert_type(fork().join(price), Flow[int, float])
assert_type(fork().join(pack), Flow[int, Parcel])
assert_type(fork().join(anything), Flow[int, bool])
assert_type(fork().join(whatever), Flow[int, bool])
assert_type(fork().join(lambda found: found["size"]).then(half), Flow[int, float])
Flow("x").fork().branch(label).branch(half, lambda number: number + 1).join(facts)
Flow("x").then(raw).fork().branch(price).branch(raw).join(facts)
Flow("x").then(label).fork().branch(Flow("child").then(size).build(), label, name="inner").join(facts)


# --- routes -------------------------------------------------------------------------------------------------------


class Envelope(pydantic.BaseModel):
    branch: str
    result: Any


def opened(envelope: Envelope) -> str:
    return envelope.branch


routed = (
    Flow("x")
    .route(kind, keys=["long", "short"])
    .branch("long", size, label)
    .branch("short", lambda text: text + "!", name="shout")
    .done()
)
assert_type(routed, Flow[str, dict[str, Any]])
assert_type(routed.then(opened), Flow[str, str])
assert_type(Flow("x").then(label).route(akind, keys=["a"]).default_branch(size).done(), Flow[int, dict[str, Any]])
Flow("x").route(lambda value: "a" if value["n"] else "b", keys=["a"]).default_branch(raw).done().then(lambda it: it["result"])


# --- children, clients, runs --------------------------------------------------------------------------------------

child = Flow("child").then(size).then(half).build()
assert_type(child, Workflow[str, float])
assert_type(Flow("x").then(label).then_flow(child), Flow[int, float])
assert_type(Flow("x").then_flow(child).then(half), Flow[str, float])
assert_type(Flow("x").then(raw).then_flow(Flow("bill").then(bill).build()).then(pack), Flow[dict[str, Any], Parcel])

numbers = Flow("numbers").then(label).build()
orders = Flow("orders").then(bill).build()
backend = InMemoryBackend()
client = WorkflowClient(backend)


def add_audit(flow: Flow[Any, Any]) -> Flow[Any, Any]:
    return flow.then(lambda value: value, name="audit")


add_audit(Flow("x"))
add_audit(Flow("x").then(label))


def runs() -> None:
    run_workflow(numbers, 5)
    run_workflow(numbers, True)
    run_workflow(Flow("half").then(half).build(), 3)
    run_workflow(orders, Order(1))
    run_workflow(orders, {"id": 1, "amount": 2.0})
    run_workflow(doubled, "ab")
    run_workflow(named, {"name": "n"})
    run_workflow(Flow("mixed").then(lambda value: value["n"]).then(label).build(), {"n": 1})
    run_workflow(numbers, 5, instance_id="a", backend=backend, conflict_policy="use_existing")
    assert_type(run_durable_workflow(numbers, "b", 5, backend), WorkflowStatus)
    resume_workflow(numbers, "b", backend)
    client.submit(numbers, "c", 5)
    client.submit(orders, "d", {"id": 1})
    client.submit(orders, "e", Order(1), priority=1)
    assert_type(client.submit_many(numbers, [("h", 5), ("i", 6)]), list[WorkflowStatus])
    client.submit_many(orders, ((f"order-{n}", Order(n)) for n in range(3)), priority=1)
    for found in client.find(status=["failed", "paused"], workflow_id=orders, metadata={"team": "x", "size": 1}):
        assert_type(found, WorkflowStatus)
    assert_type(client.find(status="failed", limit=5).next_cursor, str | None)
    assert_type(list(client.find_all(id_prefix="order-", created_after=None)), list[WorkflowStatus])
    assert_type(client.purge(older_than=timedelta(days=7), batch=10), int)


def results(status: WorkflowStatus) -> None:
    assert_type(client.get_task_result("a", label), str | None)
    assert_type(client.get_task_result("a", bill), Receipt | None)
    assert_type(client.get_task_result("a", poll), Receipt | None)
    assert_type(client.get_task_result("a", label, default=0), str | int)
    assert_type(client.get_task_result("a", "label"), Any)
    assert_type(client.result("a", type=Receipt), Receipt)
    assert_type(status.output_as(Receipt), Receipt)
    assert_type(status.output_as(list[int]), list[int])
    status.output_as(int | None)


async def awaited() -> None:
    await arun_workflow(numbers, 5)
    await arun_workflow(orders, {"id": 1})
    assert_type(await arun_durable_workflow(numbers, "f", 5), WorkflowStatus)
    aclient = AsyncWorkflowClient(backend)
    await aclient.submit(orders, "g", Order(1))
    assert_type(await aclient.submit_many(numbers, [("j", 5)]), list[WorkflowStatus])
    async for found in aclient.find_all(status="failed"):
        assert_type(found, WorkflowStatus)
    assert_type((await aclient.find(limit=5, id_prefix="o")).next_cursor, str | None)
    assert_type(await aclient.get_task_result("a", bill), Receipt | None)
    assert_type(await aclient.result("a", type=Receipt), Receipt)


@dataclass
class Payment:
    """A secret is its type to checkers."""

    card: Secret[str]


def last_digits(payment: Payment) -> Secret[str]:
    """Return a string, which is declared secret."""
    return payment.card[-4:].upper()


assert_type(last_digits(Payment("4111")), str)
