"""The workflow of `sayiir demo`: an order that is checked, charged at the second attempt, packed, approved, shipped."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sayiir import Flow, NonRetryableError, RetryPolicy, get_task_context, task

WORK_SECS = 0.4
PACK_SECS = 3.0


@dataclass
class Order:
    """What somebody bought."""

    customer: str
    amount: int
    card: str = "valid"


@dataclass
class Parts:
    """What the branches of the fork give."""

    reserve: str
    charge: str


@dataclass
class Approval:
    """The payload of the signal."""

    approved: bool
    by: str


@task
def check(order: Order) -> Order:
    """Look at the order."""
    time.sleep(WORK_SECS)
    return order


@task
def reserve(order: Order) -> str:
    """Take the goods from the shelf."""
    time.sleep(WORK_SECS)
    return f"a parcel for {order.customer}"


@task(retries=RetryPolicy(max_retries=3, initial_delay_secs=0.5))
def charge(order: Order) -> str:
    """Charge the card; the bank is away at first."""
    time.sleep(WORK_SECS)
    context = get_task_context()
    if order.card == "declined":
        raise NonRetryableError("the card was declined")
    if context is not None and context.attempt == 1:
        raise ConnectionError("the bank does not answer")
    return f"{order.amount} charged"


@task
def pack(parts: Parts) -> str:
    """Pack for so long that somebody can pull the plug."""
    time.sleep(PACK_SECS)
    return f"{parts.reserve}, {parts.charge}"


@task
def ship(approval: Approval) -> str:
    """Send it away."""
    time.sleep(WORK_SECS)
    return f"shipped, approved by {approval.by}" if approval.approved else f"kept, refused by {approval.by}"


orders = (
    Flow("orders").then(check).fork().branch(reserve).branch(charge).join(pack)
    .delay("cool-off", "1s").wait_for_signal("approval", type=Approval).then(ship).build()
)  # fmt: skip
