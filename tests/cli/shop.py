"""Workflows of a shop, for the commands' tests: importable by `module:attr`, and short."""

from dataclasses import dataclass

from sayiir import Flow, NonRetryableError, task


@dataclass
class Order:
    amount: int
    customer: str = "ann"


@task
def check(order: Order) -> Order:
    return order


@task(retries=2, timeout="30s", priority=2)
def charge(order: Order) -> int:
    if order.amount < 0:
        raise NonRetryableError("nothing to charge")
    return order.amount


@task
def pack(parts: dict) -> str:
    return f"packed {parts['charge']}"


@dataclass
class Approval:
    approved: bool


@task
def ship(approval: Approval) -> str:
    return f"shipped: {approval.approved}"


orders = (
    Flow("orders", metadata={"team": "shop floor"}).then(check).fork().branch(charge).branch(check, name="reserve").join(pack)
    .wait_for_signal("approval", type=Approval).then(ship).build()
)  # fmt: skip
quick = Flow("quick").then(lambda order: order, name="echo").build()
lately = Flow("lately").delay("nap", "1h").build()


def everything():
    return [orders, quick, lately]
