"""A workflow made of workflows.

Shows `then_flow`, the same child used twice, how the nodes of a child are named (`child_0/wash`), that a short id works
where only one node has it, and that a child's tests need no parent: it is a workflow like any other.
"""

from sayiir import Flow, InMemoryBackend, WorkflowClient, run_durable_workflow, run_workflow, task


@task
def wash(things: list[str]) -> list[str]:
    return [f"clean {thing}" for thing in things]


@task
def dry(things: list[str]) -> list[str]:
    return [thing.replace("clean", "clean and dry") for thing in things]


@task
def soil(things: list[str]) -> list[str]:
    return [thing.rpartition(" ")[2] for thing in things]


@task
def count(things: list[str]) -> int:
    return len(things)


laundry = Flow("laundry").then(wash).then(dry).build()
week = Flow("week").then_flow(laundry).then(soil, name="wear").then_flow(laundry).then(count).build()


def main() -> None:
    print(run_workflow(laundry, ["sock"]))

    for node in week.iter_nodes():
        print(f"  {node.id:<14} {node.kind}")

    backend = InMemoryBackend()
    print(run_durable_workflow(week, "week-1", ["shirt", "sock"], backend))
    client = WorkflowClient(backend)
    print("wear:", client.get_task_result("week-1", "wear"))
    print("child_1/dry:", client.get_task_result("week-1", "child_1/dry"))
    print("child_0:", client.get_task_result("week-1", "child_0"))
    try:
        client.get_task_result("week-1", "dry")
    except ValueError as error:
        print("dry:", error)


if __name__ == "__main__":
    main()

"""Prints:
['clean and dry sock']
  child_0        child_workflow
  child_0/wash   task
  child_0/dry    task
  wear           task
  child_1        child_workflow
  child_1/wash   task
  child_1/dry    task
  count          task
WorkflowStatus.Completed(output=2)
wear: ['shirt', 'sock']
child_1/dry: ['clean and dry shirt', 'clean and dry sock']
child_0: ['clean and dry shirt', 'clean and dry sock']
dry: id 'dry' is ambiguous; use one of the full ids 'child_0/dry', 'child_1/dry'
"""
