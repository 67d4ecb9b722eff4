"""Look at a run: its timeline, and pictures of its workflow.

Shows `client.timeline`, which has every attempt of every node, and the pictures that a Workflow draws of itself:
Mermaid text for a page or a pull request, and an SVG, which notebooks show by themselves.
"""

import tempfile
from pathlib import Path

from sayiir import Flow, InMemoryBackend, RetryPolicy, WorkflowClient, get_task_context, run_durable_workflow, task


@task
def fetch(page: int) -> list[int]:
    return [page, page + 1]


@task(retries=RetryPolicy(max_retries=2, initial_delay_secs=0.01))
def total(numbers: list[int]) -> int:
    context = get_task_context()
    if context is not None and context.attempt == 1:
        raise ConnectionError("the line was cut")
    return sum(numbers)


@task
def largest(numbers: list[int]) -> int:
    return max(numbers)


@task
def report(parts: dict[str, int]) -> str:
    return f"total {parts['total']}, largest {parts['largest']}"


workflow = Flow("numbers").then(fetch).fork().branch(total).branch(largest).join(report).build()


def main() -> None:
    backend = InMemoryBackend()
    print(run_durable_workflow(workflow, "run-1", 20, backend).output)

    lines = [
        f"  {entry.node_id:<8} attempt {entry.attempt}  {entry.status}{': ' + entry.error if entry.error else ''}"
        for entry in WorkflowClient(backend).timeline("run-1")
        if entry.kind == "task"
    ]
    # The branches run at the same time; sorted, the lines are the same every time.
    print("\n".join(sorted(lines)))

    print(workflow.to_mermaid().splitlines()[0], "…")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "numbers.svg"
        picture.write_text(workflow.to_svg(), encoding="utf-8")
        print(picture.name, "begins with", picture.read_text(encoding="utf-8")[:4])


if __name__ == "__main__":
    main()

"""Prints:
total 41, largest 21
  fetch    attempt 1  completed
  largest  attempt 1  completed
  report   attempt 1  completed
  total    attempt 1  failed: ConnectionError: the line was cut
  total    attempt 2  completed
flowchart TD …
numbers.svg begins with <svg
"""
