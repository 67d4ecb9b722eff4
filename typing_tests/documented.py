"""The documented API in the style of its examples: plain `dict`, functions without annotations, lambdas.

Checked as most people check: without the strict rules, and with no error at all.
"""
# mypy: allow-untyped-defs, allow-untyped-calls, allow-any-generics, allow-incomplete-defs, check-untyped-defs
# pyright: standard

from datetime import timedelta

from pydantic import BaseModel

from sayiir import (
    Flow,
    InMemoryBackend,
    InstanceAlreadyExistsError,
    LoopResult,
    RetryPolicy,
    TaskError,
    WorkflowClient,
    WorkflowError,
    cancel_workflow,
    get_task_context,
    pause_workflow,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    send_signal,
    task,
    unpause_workflow,
)


@task
def my_task(input: dict) -> dict:
    return {"result": input["value"] * 2}


@task("custom_name")
def named_task(input: dict) -> dict:
    return {"result": input["value"] * 2}


@task(
    name="other_name",
    timeout="30s",
    retries=3,
    tags=["io", "external"],
    description="Processes data from external API",
)
def full_task(input: dict) -> dict:
    ctx = get_task_context()
    if ctx is not None:
        print(f"Running task {ctx.task_id} in workflow {ctx.workflow_id}")
        print(f"Timeout: {ctx.metadata.timeout_secs}s")
    return {"result": input["value"] * 2}


policy = RetryPolicy(max_retries=3, initial_delay_secs=1.0, backoff_multiplier=2.0)


@task(retries=policy)
def flaky_task(data: dict) -> dict:
    return data


@task(priority=1)
async def fetch_data(url: str) -> dict:
    return {"url": url}


def combine(results: dict) -> dict:
    return {"combined": results}


def plain(value):
    return value


async def plain_async(value):
    return value


pipeline = Flow("pipeline").then(my_task).then(flaky_task).build()
doubled = Flow("pipeline").then(lambda x: x * 2, name="double").build()
mixed = Flow("mixed").then(plain).then(my_task).then(plain_async).then(lambda x: x["result"]).then(plain, name="end").build()
delayed = (
    Flow("delayed").then(my_task).delay("wait_24h", timedelta(hours=24)).then(flaky_task).delay("wait_5s", 5.0).build()
)
approval = (
    Flow("approval")
    .then(my_task)
    .wait_for_signal("manager_approval", timeout=timedelta(hours=48))
    .then(flaky_task)
    .build()
)


@task
def refine(draft: str) -> dict:
    improved = draft + "."
    if len(improved) > 3:
        return LoopResult.done(improved).to_dict()
    return LoopResult.again(improved).to_dict()


iterative = Flow("iterative").then(lambda x: str(x)).loop(refine, max_iterations=5).then(plain).build()
untyped_loop = Flow("untyped").loop(plain).then(my_task).build()
parallel = (
    Flow("parallel")
    .then(my_task)
    .fork()
    .branch(flaky_task)
    .branch(plain, lambda x: x)
    .branch(lambda x: x["result"] + 1, name="increment")
    .join(combine)
    .build()
)
started_parallel = Flow("parallel").fork().branch(my_task).branch(full_task).join(combine).build()


@task
def classify(ticket: dict) -> str:
    return "billing" if ticket["type"] == "invoice" else "tech"


router = (
    Flow("router")
    .route(classify, keys=["billing", "tech"])
    .branch("billing", my_task)
    .branch("tech", plain, flaky_task)
    .default_branch(plain_async)
    .done()
    .then(full_task)
    .build()
)


@task
def double(x: int) -> int:
    return x * 2


@task
def add_ten(x: int) -> int:
    return x + 10


parent = Flow("parent").then(add_ten).then_flow(Flow("child").then(double).build()).build()


class Order(BaseModel):
    order_id: str
    amount: float


class Receipt(BaseModel):
    receipt_id: str
    status: str


@task
def process_order(order: Order) -> Receipt:
    return Receipt(receipt_id="R123", status="paid")


orders = Flow("orders").then(process_order).build()


def use() -> None:
    backend = InMemoryBackend()
    run_workflow(pipeline, {"value": 1})
    run_workflow(doubled, 21)
    run_workflow(mixed, {"value": 1})
    run_workflow(parent, 5, instance_id="run-001", backend=backend, conflict_policy="use_existing")
    run_workflow(orders, {"order_id": "1", "amount": 2})
    run_workflow(router, {"type": "invoice"})
    status = run_durable_workflow(doubled, "run-001", 21, backend=backend)
    if status.is_completed():
        print(status.output)
    resume_workflow(doubled, "run-001", backend)
    cancel_workflow("run-001", backend, reason="User requested cancellation", cancelled_by="admin@example.com")
    pause_workflow("run-001", backend, reason="Maintenance window", paused_by="ops@example.com")
    unpause_workflow("run-001", backend)
    send_signal("run-001", "manager_approval", {"approved": True}, backend)
    client = WorkflowClient(backend, conflict_policy="use_existing")
    client.submit(parallel, "order-42", {"items": [1, 2, 3]})
    client.cancel("order-42", reason="Out of stock", cancelled_by="system")
    result = client.get_task_result("order-42", "validate_order")
    if result is not None:
        print(result["ok"])
    try:
        run_workflow(approval, {})
    except (TaskError, InstanceAlreadyExistsError, WorkflowError) as e:
        print(f"Workflow error: {e}")
