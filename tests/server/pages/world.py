"""A small world for the pages: workflows of every shape, and a gate that holds a task until a test lets it go."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Literal

from sayiir import Flow, LoopResult, RetryPolicy, task

log = logging.getLogger("shop")


@dataclasses.dataclass
class Order:
    item: str
    amount: int = 1
    express: bool = False
    note: str | None = None


@dataclasses.dataclass
class Approval:
    approved: bool
    by: str
    channel: Literal["mail", "phone"] = "mail"


@dataclasses.dataclass
class Parts:
    stock: Order
    person: Approval


class Gate:
    """Holds tasks back, and makes them fail, as a test says."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.broken = False

    def pass_through(self) -> None:
        self.entered.set()
        if not self.open.wait(60):
            raise TimeoutError("the test never opened the gate")


class World:
    """The workflows over one gate."""

    def __init__(self) -> None:
        gate = self.gate = Gate()

        @task
        def receive(order: Order) -> Order:
            log.info("received %s", order.item)
            return order

        @task(retries=RetryPolicy(max_retries=2, initial_delay_secs=0.01))
        def reserve(order: Order) -> Order:
            return order

        @task
        def decide(parts: Parts) -> str:
            return f"{parts.stock.item}: {'yes' if parts.person.approved else 'no'} by {parts.person.by}"

        @task
        def wait_at_gate(value: object) -> object:
            gate.pass_through()
            return value

        @task
        def charge(order: Order) -> str:
            log.warning("charging for %s", order.item)
            if gate.broken:
                raise ValueError(f"card declined for {order.item}")
            return f"charged {order.amount}"

        @task
        def count(value: int) -> LoopResult[int]:
            return LoopResult.done(value) if value >= 3 else LoopResult.again(value + 1)

        @task
        def add_one(value: int) -> int:
            return value + 1

        person = Flow("person").wait_for_signal("approve", type=Approval).build()
        self.order = Flow("order").then(receive).fork().branch(reserve, name="stock").branch(person, name="person").join(decide).build()
        self.gated = Flow("gated").then(wait_at_gate).then(add_one).build()
        self.charge = Flow("charge").then(receive).then(charge).build()
        self.counting = Flow("counting").loop(count, max_iterations=5).then(add_one).build()
        self.plain = Flow("plain").then(lambda value: value, name="echo").build()

    @property
    def all(self):
        return [self.order, self.gated, self.charge, self.counting, self.plain]
