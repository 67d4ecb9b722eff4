"""Makes docs/img/dashboard-*.png from the demonstrations' data: what `make demo` leaves and orders of `sayiir demo`.

    python docs/screenshots.py

Rules of this file: nothing is painted or posed. The store is the file of a demonstration that was killed and resumed a
moment ago, a real worker moves the orders, a real server serves, Chromium looks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for the demonstration, which is not installed

from demo.flow import catalogue  # noqa: E402
from demo.processes import INSTANCE  # noqa: E402
from sayiir import Worker, Workflow, WorkflowClient, connect  # noqa: E402
from sayiir.cli.demo_flows import Order, orders  # noqa: E402
from sayiir.server import create_app  # noqa: E402

IMAGES = Path(__file__).parent / "img"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
PEOPLE = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Katherine", "Linus"]
SHIPPED, DECLINED = (0, 1, 2, 3, 5, 6), (4, 9)


def demonstrate(folder: Path) -> Path:
    """Run `make demo` in a folder; return the file that it leaves."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "demo", "--yes"], cwd=folder, env=environment, check=True)
    return folder / "demo-data" / "catalogue.db"


def order(client: WorkflowClient) -> None:
    """Let people order, and bring the orders into every state."""
    for index in range(14):
        card = "declined" if index in DECLINED else "valid"
        client.submit(orders, name(index), Order(PEOPLE[index % 8], 20 + index * 7, card))
    for index in range(14):
        while not ((status := client.status(name(index))).is_failed() or status.is_awaiting_signal()):
            time.sleep(0.1)
    for index in SHIPPED:
        client.send_signal(name(index), "approval", {"approved": True, "by": "Margaret"})
        client.wait(name(index), 60)
    client.cancel(name(7), reason="ordered twice", cancelled_by="Margaret")
    client.pause(name(11), reason="asks for another colour", paused_by="Margaret")


def name(index: int) -> str:
    """Return the id of an order."""
    return f"order-{4101 + index}"


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
    ("instance", f"/instances/{INSTANCE}", "light"),
    ("waiting", f"/instances/{name(10)}", "light"),
    ("timeline", f"/instances/{INSTANCE}?tab=timeline", "light"),
    ("failed", f"/instances/{name(4)}?tab=table", "dark"),
    ("inbox", "/inbox", "light"),
    ("workflow", "/workflows/catalogue", "light"),
)


def shoot(base: str) -> None:
    """Take the pictures."""
    program = os.environ.get("SAYIIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        for shot, place, look in SHOTS:
            width = 1560 if shot == "instance" else 1360  # as wide as its graph
            page = browser.new_page(viewport={"width": width, "height": 820}, color_scheme=look)
            page.goto(base + place)
            page.locator("html[data-ready=yes]").wait_for(state="attached")
            page.screenshot(path=IMAGES / f"dashboard-{shot}.png")
            page.close()
        browser.close()


def main() -> None:
    """Run the demonstrations, serve what they left, take the pictures."""
    with tempfile.TemporaryDirectory() as folder, connect(f"sqlite:///{demonstrate(Path(folder))}") as store:
        flows: list[Workflow[Any, Any]] = [orders, catalogue]
        with (
            Worker("worker-1", store, poll_interval=0.2, concurrency=16).start(flows),
            serving(create_app(store, flows)) as base,
        ):
            order(WorkflowClient(store))
            shoot(base)


if __name__ == "__main__":
    main()
