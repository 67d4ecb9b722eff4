"""Three steps, and a process that dies in the second one.

Shows what the library is for. The first process is killed with SIGKILL in the middle of `charge`; a second one resumes
from the SQLite file, does not repeat `reserve`, and runs `charge` again, because that had not finished. The
`idempotency_key` is the same both times: give it to the payment service, and it charges once.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from sayiir import (
    Flow,
    SqliteBackend,
    WorkflowClient,
    get_task_context,
    resume_workflow,
    run_durable_workflow,
    task,
)


@task
def reserve(order: dict) -> dict:
    print("reserve", flush=True)
    return order


@task
def charge(order: dict) -> dict:
    context = get_task_context()
    assert context is not None
    print(f"charge, attempt {context.attempt}", flush=True)
    with Path(order["keys"]).open("a") as keys:
        keys.write(context.idempotency_key + "\n")
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return order


@task
def ship(order: dict) -> str:
    print("ship", flush=True)
    return f"{order['item']} shipped"


orders = Flow("orders").then(reserve).then(charge).then(ship).build()


def first_process(folder: Path) -> None:
    with SqliteBackend(folder / "orders.db") as backend:
        run_durable_workflow(orders, "order-1", {"item": "lamp", "keys": str(folder / "keys")}, backend)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = subprocess.run([sys.executable, __file__, name], check=False)
        print("the first process was killed:", child.returncode == -signal.SIGKILL, flush=True)

        with SqliteBackend(folder / "orders.db") as backend:
            print(resume_workflow(orders, "order-1", backend).output)
            for entry in WorkflowClient(backend).timeline("order-1"):
                print(f"  {entry.node_id} attempt {entry.attempt}: {entry.status}")
        print("one idempotency key:", len(set((folder / "keys").read_text().split())) == 1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        first_process(Path(sys.argv[1]))
    else:
        main()

"""Prints:
reserve
charge, attempt 1
the first process was killed: True
charge, attempt 2
ship
lamp shipped
  reserve attempt 1: completed
  charge attempt 1: crashed
  charge attempt 2: completed
  ship attempt 1: completed
one idempotency key: True
"""
