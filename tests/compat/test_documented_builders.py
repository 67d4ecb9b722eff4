"""The programs of the documented API, run as they stand there: the builders.

Each program is the documentation's own text. A preamble gives what the text takes for granted (functions that a reader is
meant to have, a backend where the text connects to a server); then the documented outcome is checked.
"""

from datetime import timedelta

import pytest

from sayiir import (
    Flow,
    InMemoryBackend,
    LoopResult,
    NodeInfo,
    WorkflowError,
    resume_workflow,
    run_durable_workflow,
    run_workflow,
    task,
)
from tests.compat.support import program


def same(x):
    return x


# --- the builder --------------------------------------------------------------------------------------------------


def test_flow_then():
    names = program(
        """
        from sayiir import Flow

        workflow = (
            Flow("pipeline")
            .then(fetch_user)
            .then(send_email)
            .build())
        first = workflow

        # With custom name
        workflow = (
            Flow("pipeline")
            .then(lambda x: x * 2, name="double")
            .build())
        """,
        fetch_user=lambda user_id: {"id": user_id},
        send_email=lambda user: f"sent to {user['id']}",
    )
    assert run_workflow(names["first"], 7) == "sent to 7"
    assert [node.id for node in names["workflow"].iter_nodes()] == ["double"]
    assert run_workflow(names["workflow"], 21) == 42


def test_delay():
    names = program(
        """
        from datetime import timedelta
        from sayiir import Flow

        workflow = (
            Flow("delayed")
            .then(send_email)
            .delay("wait_24h", timedelta(hours=24))
            .then(send_reminder)
            .build())
        """,
        send_email=same,
        send_reminder=lambda x: same(x),
    )
    status = run_durable_workflow(names["workflow"], "i", 1)
    assert (status.status, status.delay_id) == ("waiting", "wait_24h")
    for duration in ("30s", "5m", "1h", 5.0, timedelta(hours=1)):
        assert Flow("w").delay("wait_5s", duration).build().iter_nodes()


def test_wait_for_signal():
    names = program(
        """
        from datetime import timedelta
        from sayiir import Flow, send_signal
        workflow = (
            Flow("approval")
            .then(submit_request)
            .wait_for_signal("manager_approval", timeout=timedelta(hours=48))
            .then(process_approved)
            .build())
        """,
        submit_request=same,
        process_approved=lambda approval: approval["comments"],
    )
    backend = InMemoryBackend()
    status = run_durable_workflow(names["workflow"], "run-001", {}, backend)
    assert (status.status, status.signal_name) == ("awaiting_signal", "manager_approval")
    program(
        """
        from sayiir import send_signal

        send_signal(
            "run-001",
            "manager_approval",
            {"approved": True, "comments": "Looks good"},
            backend)
        """,
        backend=backend,
    )
    assert resume_workflow(names["workflow"], "run-001", backend).output == "Looks good"


def test_loop():
    names = program(
        """
        from sayiir import Flow, LoopResult, task

        @task
        def refine(draft: str) -> dict:
            improved = improve(draft)
            if is_good_enough(improved):
                return LoopResult.done(improved).to_dict()
            return LoopResult.again(improved).to_dict()

        workflow = (
            Flow("iterative")
            .then(initial_attempt)
            .loop(refine, max_iterations=5)
            .then(finalize)
            .build())
        """,
        improve=lambda draft: draft + "!",
        is_good_enough=lambda draft: draft.endswith("!!!"),
        initial_attempt=lambda topic: f"about {topic}",
        finalize=str.upper,
    )
    assert run_workflow(names["workflow"], "life") == "ABOUT LIFE!!!"


def test_loop_limits():
    forever = lambda x: LoopResult.again(x + 1)
    with pytest.raises(WorkflowError):
        run_workflow(Flow("w").loop(forever).build(), 0)
    assert run_workflow(Flow("w").loop(forever, on_max="exit_with_last").build(), 0) == 10
    with pytest.raises(ValueError, match="max_iterations"):
        Flow("w").loop(forever, max_iterations=0)


def test_loop_result():
    names = program(
        """
        from sayiir import LoopResult

        # Continue the loop with a new value
        again = LoopResult.again(new_value)

        # Exit the loop with the final value
        done = LoopResult.done(final_value)
        """,
        new_value=1,
        final_value=2,
    )
    assert (names["again"].is_again, names["again"].is_done, names["again"].value) == (True, False, 1)
    assert (names["done"].is_again, names["done"].is_done, names["done"].value) == (False, True, 2)
    assert names["again"].to_dict() == {"_loop": "again", "value": 1}
    assert names["done"].to_dict() == {"_loop": "done", "value": 2}


def test_fork():
    names = program(
        """
        from sayiir import Flow
        workflow = (
            Flow("parallel")
            .then(prepare_data)
            .fork()
            .branch(process_a)
            .branch(process_b, process_c)  # Multi-step branch
            .join(combine_results)
            .build())
        """,
        prepare_data=same,
        process_a=task("process_a")(lambda x: x + 1),
        process_b=task("process_b")(lambda x: x + 2),
        process_c=task("process_c")(lambda x: x * 10),
        combine_results=task("combine_results")(lambda results: results),
    )
    assert run_workflow(names["workflow"], 1) == {"process_a": 2, "process_b": 30}


def test_fork_branches():
    names = program(
        """
        from sayiir import Flow
        fork = Flow("w").fork()
        (fork
        # Single-task branch
        .branch(step_a)

        # Multi-step branch (tasks run sequentially within the branch)
        .branch(step_b, step_c, step_d)

        # Lambda with custom name
        .branch(lambda x: x + 1, name="increment")
        )
        """,
        step_a=task("step_a")(lambda x: x),
        step_b=task("step_b")(lambda x: x),
        step_c=task("step_c")(lambda x: x + 1),
        step_d=task("step_d")(lambda x: x + 1),
    )
    assert run_workflow(names["fork"].join(lambda d: d).build(), 1) == {"step_a": 1, "step_b": 3, "increment": 2}


def test_join():
    names = program(
        """
        from sayiir import Flow
        def combine(results: dict) -> dict:
            # results = {"branch_task_id_1": output1, "branch_task_id_2": output2}
            return {"combined": results}

        workflow = (
            Flow("parallel")
            .fork()
            .branch(task_a)
            .branch(task_b)
            .join(combine)
            .build())
        """,
        task_a=task("task_a")(lambda x: "a"),
        task_b=task("task_b")(lambda x: "b"),
    )
    assert run_workflow(names["workflow"], 1) == {"combined": {"task_a": "a", "task_b": "b"}}


def test_then_flow():
    names = program(
        """
        from sayiir import task, Flow, run_workflow

        @task
        def double(x: int) -> int:
            return x * 2

        @task
        def add_ten(x: int) -> int:
            return x + 10

        # Child workflow
        child = Flow("child").then(double).build()

        # Parent inlines the child
        parent = (
            Flow("parent")
            .then(add_ten)
            .then_flow(child)
            .build())

        result = run_workflow(parent, 5)  # (5 + 10) * 2 = 30
        """
    )
    assert names["result"] == 30
    assert run_durable_workflow(names["parent"], "i", 5).output == 30


ROUTER = """
    from sayiir import Flow, task
    @task
    def classify(ticket: dict) -> str:
        return "billing" if ticket["type"] == "invoice" else "tech"

    workflow = (
        Flow("router")
        .route(classify, keys=["billing", "tech"])
        .branch("billing", handle_billing)
        .branch("tech", handle_tech)
        .default_branch(fallback)
        .done()
        .then(send_summary)
        .build())
"""


def test_route():
    def named(name):
        return task(name)(lambda x: f"{name} {x['type']}")

    names = program(
        ROUTER,
        handle_billing=named("handle_billing"),
        handle_tech=named("handle_tech"),
        fallback=named("fallback"),
        send_summary=same,
    )
    assert run_workflow(names["workflow"], {"type": "invoice"}) == {
        "branch": "billing",
        "result": "handle_billing invoice",
    }
    assert run_workflow(names["workflow"], {"type": "crash"}) == {"branch": "tech", "result": "handle_tech crash"}


def test_branch_builder():
    names = program(
        """
        from sayiir import Flow
        route = Flow("shop").route(classify, keys=["billing", "express"])
        (route
        .branch("billing", handle_billing)
        .branch("express", validate, ship_express, notify)
        .default_branch(fallback_handler)
        )
        """,
        classify=lambda x: x["kind"], handle_billing=task("handle_billing")(same), validate=task("validate")(lambda x: x),
        ship_express=task("ship_express")(lambda x: "shipped"), notify=task("notify")(lambda x: [x]), fallback_handler=task("fallback_handler")(lambda x: "fell back"),
    )  # fmt: skip
    workflow = names["route"].done().build()
    assert run_workflow(workflow, {"kind": "express"}) == {"branch": "express", "result": ["shipped"]}
    assert run_workflow(workflow, {"kind": "something else"}) == {"branch": "something else", "result": "fell back"}
    task(same)
    with pytest.raises(ValueError, match="zz"):
        Flow("w").route(same, keys=["a"]).branch("zz", same)
    with pytest.raises(ValueError, match="b"):
        Flow("w").route(same, keys=["a", "b"]).branch("a", same).done()


def test_done():
    names = program(
        """
        from sayiir import Flow
        workflow = (Flow("w")
        .route(classify, keys=["a", "b"])
        .branch("a", handle_a)
        .branch("b", handle_b)
        .done()
        .then(next_step)  # receives {"branch": "a", "result": ...}
        .build())
        """,
        classify=lambda x: x, handle_a=task("handle_a")(lambda x: 1), handle_b=task("handle_b")(lambda x: 2), next_step=lambda envelope: list(envelope.items()),
    )  # fmt: skip
    assert run_workflow(names["workflow"], "a") == [["branch", "a"], ["result", 1]]


def test_build_and_workflow(capsys):
    names = program(
        """
        from sayiir import Flow
        workflow = Flow("example").then(my_task).build()

        print(workflow.workflow_id)  # "example"
        print(workflow.definition_hash)  # "abc123..."
        """,
        my_task=lambda x: x,
    )
    name, digest = capsys.readouterr().out.split()
    assert (name, len(digest)) == ("example", 64)
    assert list(names["workflow"].iter_nodes()) == [NodeInfo("lambda_0", "task")]
