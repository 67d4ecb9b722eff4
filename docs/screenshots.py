"""Makes docs/img/dashboard-*.png: a shop with orders in every state, a real worker, a real server, Chromium.

    python docs/screenshots.py

Rules of this file: nothing is painted or posed; what is seen is what the pages show of a store in a temporary folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.sync_api import sync_playwright

from sayiir import Flow, LoopResult, RetryPolicy, Worker, WorkflowClient, connect, get_task_context, task
from sayiir.server import create_app

IMAGES = Path(__file__).parent / "img"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
log = logging.getLogger("shop")
gate = threading.Event()


@dataclass
class Order:
    """What somebody bought."""

    customer: str
    item: str
    amount: int = 1
    express: bool = False
    card: Literal["valid", "declined"] = "valid"


@dataclass
class Approval:
    """What a person decides."""

    approved: bool
    by: str
    note: str | None = None


@dataclass
class Parts:
    """What the branches of the fork give."""

    stock: str
    payment: str
    person: Approval


@task
def check(order: Order) -> Order:
    """Look at the order."""
    log.info("order of %s: %d × %s", order.customer, order.amount, order.item)
    return order


@task
def reserve(order: Order) -> str:
    """Take the goods from the shelf."""
    return f"{order.amount} × {order.item}"


@task(retries=RetryPolicy(max_retries=3, initial_delay_secs=0.4))
def charge(order: Order) -> str:
    """Charge the card; the bank is away at first."""
    context = get_task_context()
    if order.card == "declined":
        raise PermissionError(f"the card of {order.customer} was declined")
    if context is not None and context.attempt == 1:
        raise ConnectionError("the bank does not answer")
    log.warning("charged %s at the second attempt", order.customer)
    return "paid"


@task
def pack(parts: Parts) -> str:
    """Pack the parcel."""
    return f"{parts.stock}, {parts.payment}, approved by {parts.person.by}"


@task
def print_label(text: str) -> str:
    """Wait for the printer."""
    gate.wait(60)
    return text


@task
def next_page(page: int) -> LoopResult[int]:
    """Read a page of invoices."""
    return LoopResult.done(page) if page >= 4 else LoopResult.again(page + 1)


person = Flow("manager").wait_for_signal("approval", type=Approval, timeout="3d").build()
orders = (
    Flow("order").then(check).fork()
    .branch(reserve, name="stock").branch(charge, name="payment").branch(person, name="person").join(pack)
    .then(print_label).build()
)  # fmt: skip
invoices = Flow("invoices").loop(next_page, max_iterations=9).delay("settle", "100ms").build()
reminders = Flow("reminder").delay("wait a week", "7d").then(print_label).build()


def fill(client: WorkflowClient) -> None:
    """Put orders of every kind into the store, and wait until the worker has done what it can."""
    people = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Katherine", "Linus"]
    client.submit_many(invoices, [(f"invoices-2026-11-{day:02}", 1) for day in range(1, 13)])
    client.submit_many(reminders, [(f"reminder-{number}", "pay") for number in (1, 2, 3)])
    items = ["lamp", "desk", "chair", "shelf"]
    for index in range(14):
        order = Order(people[index % 8], items[index % 4], index % 3 + 1, card="declined" if index in (4, 9) else "valid")
        client.submit(orders, f"order-{4101 + index}", order)
    for day in range(1, 13):
        client.wait(f"invoices-2026-11-{day:02}", 60)
    for index in range(14):
        client.wait(f"order-{4101 + index}", 60, until="parked")
    for index in (0, 1, 2, 3, 5, 6):
        client.send_signal(f"order-{4101 + index}", "approval", {"approved": True, "by": "Margaret"})
    gate.set()
    for index in (0, 1, 2, 3, 5, 6):
        client.wait(f"order-{4101 + index}", 60)
    gate.clear()
    client.cancel("order-4108", reason="ordered twice", cancelled_by="Margaret")
    client.pause("order-4112", reason="asks for another colour", paused_by="Margaret")
    client.send_signal("order-4113", "approval", {"approved": True, "by": "Margaret"})


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve the app on a free port as long as the block lasts."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


SHOTS: tuple[tuple[str, str, Literal["light", "dark"]], ...] = (
    ("list", "/instances", "light"),
    ("list-dark", "/instances", "dark"),
    ("instance", "/instances/order-4111", "light"),
    ("timeline", "/instances/order-4101?tab=timeline&node=payment", "light"),
    ("failed", "/instances/order-4105?tab=table", "dark"),
    ("inbox", "/inbox", "light"),
    ("workflow", "/workflows/order", "light"),
)


def shoot(base: str) -> None:
    """Take the pictures."""
    program = os.environ.get("SAYIIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        for name, place, look in SHOTS:
            page = browser.new_page(viewport={"width": 1360, "height": 820}, color_scheme=look)
            page.goto(base + place)
            page.locator("html[data-ready=yes]").wait_for(state="attached")
            page.screenshot(path=IMAGES / f"dashboard-{name}.png")
            page.close()
        browser.close()


def main() -> None:
    """Fill a store, serve it, take the pictures."""
    with tempfile.TemporaryDirectory() as folder, connect(f"sqlite:///{folder}/shop.db") as store:
        flows = [orders, invoices, reminders]
        client = WorkflowClient(store)
        with Worker("worker-1", store, poll_interval=0.2).start(flows), serving(create_app(store, flows)) as base:
            fill(client)
            shoot(base)
            gate.set()


if __name__ == "__main__":
    main()
