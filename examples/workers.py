"""Two workers on one file, with tags and priorities.

Shows `Worker` and its options, `submit_many` and priorities, that a tagged task goes to the worker which has the tag, also
in the middle of a workflow, `wait`, `find_all`, and who did what in the timeline. On PostgreSQL only the URL is another
one, and the workers are processes on any number of hosts: `sayiir worker workers:labels --url postgresql://…`.
"""

import tempfile
import threading

from sayiir import Flow, Worker, WorkflowClient, connect, task

printed: list[str] = []
laid_out = threading.Event()


@task
def layout(text: str) -> str:
    laid_out.set()
    return f"[{text}]"


@task(tags=["printer"])
def print_label(label: str) -> int:
    printed.append(label)
    return len(printed)


labels = Flow("labels").then(layout).then(print_label).build()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, connect(f"sqlite:///{folder}/runs.db") as backend:
        client = WorkflowClient(backend)

        # Nobody works yet, so all of them wait, and the urgent one goes first although it came last.
        client.submit_many(labels, [("label-1", "one"), ("label-2", "two")], priority=4)
        client.submit(labels, "label-3", "urgent", priority=1)
        with Worker("cellar", backend, concurrency=1, tags=["printer"]).start([labels]):
            for number in (1, 2, 3):
                client.wait(f"label-{number}", timeout=30)
        print("printed:", *printed)

        # The office has no printer: it lays out, and the printing waits for somebody who has one.
        laid_out.clear()
        with Worker("office", backend, tags=["desk"]).start([labels]):
            client.submit(labels, "label-4", "late")
            laid_out.wait(30)
            with Worker("cellar", backend, tags=["printer"]).start([labels]):
                print(client.wait("label-4", timeout=30))
        for entry in client.timeline("label-4"):
            print(f"  {entry.task_id:<12} {entry.worker_id}")

        print("completed:", sum(1 for _ in client.find_all(status="completed", workflow_id=labels)))


if __name__ == "__main__":
    main()

"""Prints:
printed: [urgent] [one] [two]
WorkflowStatus.Completed(output=4)
  layout       office
  print_label  cellar
completed: 4
"""
