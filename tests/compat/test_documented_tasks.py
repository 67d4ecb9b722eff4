"""The programs of the documented API, run as they stand there: tasks, their types and contexts.

Each program is the documentation's own text. A preamble gives what the text takes for granted (functions that a reader is
meant to have, a backend where the text connects to a server); then the documented outcome is checked.
"""

import asyncio

import pytest

import sayiir
from sayiir import (
    Flow,
    RetryPolicy,
    TaskError,
    TaskExecutionContext,
    TaskMetadata,
    get_task_context,
    parse_duration,
    run_durable_workflow,
    run_workflow,
    task,
)
from sayiir.flow.task import declaration_of
from tests.compat.support import program


def same(x):
    return x


# --- decorators ---------------------------------------------------------------------------------------------------


def test_task_decorator():
    names = program(
        """
        from sayiir import task

        @task
        def my_task(input: dict) -> dict:
            return {"result": input["value"] * 2}
        first = my_task

        @task("custom_name")  # Positional name argument
        def my_task(input: dict) -> dict:
            return {"result": input["value"] * 2}
        second = my_task

        @task(
            name="custom_name",
            timeout="30s",
            retries=3,
            tags=["io", "external"],
            description="Processes data from external API"
        )
        def my_task(input: dict) -> dict:
            return {"result": input["value"] * 2}
        third = my_task
        """
    )
    for function, name in (("first", "my_task"), ("second", "custom_name"), ("third", "custom_name")):
        assert names[function]({"value": 21}) == {"result": 42}  # can still be called directly
        workflow = Flow("w").then(names[function]).build()
        assert next(workflow.iter_nodes()).id == name
        assert run_workflow(workflow, {"value": 21}) == {"result": 42}
    metadata = declaration_of(names["third"]).metadata
    assert metadata == TaskMetadata(
        description="Processes data from external API",
        timeout_secs=30.0,
        retries=RetryPolicy(3, 1.0, 2.0),
        tags=["io", "external"],
    )


def test_task_parameters():
    assert declaration_of(task(timeout_secs=5.0)(lambda x: x)).metadata.timeout_secs == 5.0
    for written, seconds in (("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), (2.5, 2.5)):
        assert declaration_of(task(timeout=written)(lambda x: x)).metadata.timeout_secs == seconds
        assert parse_duration(written) == seconds
    names = program(
        """
        from sayiir import task
        @task(priority=1) # Critical — picked up first
        def charge_payment(order: dict) -> dict:
            return process_payment(order)

        @task(priority=4) # Low — runs when higher-priority work is done
        def generate_report(data: dict) -> dict:
            return build_report(data)
        """
    )
    assert declaration_of(names["charge_payment"]).metadata.priority == 1
    assert declaration_of(names["generate_report"]).metadata.priority == 4


def test_task_execution_context(capsys):
    names = program(
        """
        from sayiir import get_task_context, task

        @task
        def my_task(data: dict) -> dict:
            ctx = get_task_context()
            if ctx is not None:
                print(f"Running task {ctx.task_id} in workflow {ctx.workflow_id}")
                print(f"Instance: {ctx.instance_id}")
            return process(data)
        """,
        process=same,
    )
    workflow = Flow("pipeline").then(names["my_task"]).build()
    assert names["my_task"]({"a": 1}) == {"a": 1}
    assert capsys.readouterr().out == ""  # None outside of a task execution
    run_workflow(workflow, {})
    assert capsys.readouterr().out == "Running task my_task in workflow pipeline\nInstance: pipeline\n"
    run_durable_workflow(workflow, "run-001", {})
    assert capsys.readouterr().out == "Running task my_task in workflow pipeline\nInstance: run-001\n"


def test_task_metadata(capsys):
    names = program(
        """
        from sayiir import get_task_context, task
        @task(timeout="30s", retries=3, tags=["io"])
        def fetch_data(url: str) -> dict:
            ctx = get_task_context()
            if ctx:
                print(f"Timeout: {ctx.metadata.timeout_secs}s")
                print(f"Tags: {ctx.metadata.tags}")
            return do_fetch(url)
        """,
        do_fetch=lambda url: {"url": url},
    )
    assert run_workflow(Flow("w").then(names["fetch_data"]).build(), "http://localhost/") == {
        "url": "http://localhost/"
    }
    assert capsys.readouterr().out == "Timeout: 30.0s\nTags: ['io']\n"
    metadata = TaskMetadata()
    for name in ("display_name", "description", "timeout_secs", "retries", "tags", "version", "priority"):
        assert getattr(metadata, name) is None


def test_workflow_metadata():
    seen = []
    run_workflow(Flow("name", metadata={"team": "billing"}).then(lambda x: seen.append(get_task_context())).build(), 1)
    assert isinstance(seen[0], TaskExecutionContext)
    assert seen[0].workflow_metadata == {"team": "billing"}
    assert isinstance(seen[0].metadata, TaskMetadata)


# --- types and async ----------------------------------------------------------------------------------------------


def test_type_annotations():
    names = program(
        """
        from pydantic import BaseModel
        from sayiir import task

        class Order(BaseModel):
            order_id: str
            amount: float

        class Receipt(BaseModel):
            receipt_id: str
            status: str

        @task
        def process_order(order: Order) -> Receipt:
            # Input is automatically validated
            # Output is automatically serialized
            seen.append(order)
            return Receipt(receipt_id="R123", status="paid")
        """,
        seen=(seen := []),
    )
    workflow = Flow("w").then(names["process_order"]).build()
    for run in (lambda x: run_workflow(workflow, x), lambda x: run_durable_workflow(workflow, "i", x).output):
        assert run({"order_id": "O1", "amount": 5}) == {"receipt_id": "R123", "status": "paid"}
    assert seen == [names["Order"](order_id="O1", amount=5.0)] * 2
    with pytest.raises(TaskError, match="validation error"):
        run_workflow(workflow, {"order_id": "O1", "amount": "much"})


class Response:
    def __init__(self, url):
        self.url = url

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def json(self):
        await asyncio.sleep(0)
        return {"url": self.url}


class Session(Response):
    def __init__(self):
        super().__init__(None)

    def get(self, url):
        return Response(url)


def test_async_tasks():
    names = program(
        """
        from sayiir import task
        @task
        async def fetch_data(url: str) -> dict:
            async with aiohttp.ClientSession() as session:
                async with session.get(url) as resp:
                    return await resp.json()
        """,
        aiohttp=type("aiohttp", (), {"ClientSession": Session}),
    )
    workflow = Flow("w").then(names["fetch_data"]).build()
    assert run_workflow(workflow, "http://localhost/") == {"url": "http://localhost/"}
    assert run_durable_workflow(workflow, "i", "http://localhost/").output == {"url": "http://localhost/"}


def test_every_documented_name_can_be_imported():
    for name in (
        "task", "Flow", "get_task_context", "TaskExecutionContext", "TaskMetadata", "LoopResult", "run_workflow", "run_durable_workflow", "resume_workflow",
        "cancel_workflow", "pause_workflow", "unpause_workflow", "send_signal", "InMemoryBackend", "WorkflowStatus", "RetryPolicy", "WorkflowClient",
        "WorkflowError", "TaskError", "BackendError", "InstanceAlreadyExistsError", "ForkBuilder", "BranchBuilder", "Workflow", "NodeInfo", "OnMax", "parse_duration",
    ):  # fmt: skip
        assert hasattr(sayiir, name), name
