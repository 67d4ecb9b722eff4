"""The endpoints about instances."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from sayiir.core.lifecycle import TERMINAL
from sayiir.server.api.asked import (
    BulkBody,
    CompareQuery,
    FacetsQuery,
    FindQuery,
    IterationQuery,
    LogsQuery,
    ReasonBody,
    RetryBody,
    SignalBody,
    SubmitBody,
    WaitQuery,
    sent,
)
from sayiir.server.api.given import Accepted, Attempts, Logs, Nodes, Output, TaskValue
from sayiir.server.problems import ProblemError
from sayiir.server.routing import Answer, Call, Endpoint
from sayiir.service.model import (
    BulkResult,
    Comparison,
    Facets,
    InstancePage,
    InstanceRow,
    InstanceView,
    NodeValues,
    Why,
)


def find_instances(call: Call) -> Any:
    return call.service.find(call.access, call.query.where, cursor=call.query.cursor, limit=call.query.limit)


def count_instances(call: Call) -> Any:
    return call.service.facets(call.access, call.query.where)


def submit_instance(call: Call) -> Any:
    body, key = call.body, call.key
    name, policy = body.instance_id or key, body.policy
    if key is not None and policy is None:
        policy = "use_existing"
    row, is_new = call.service.submit(
        call.access, body.workflow_id, name, sent(body.input), priority=body.priority, policy=policy,
        definition_hash=body.definition_hash,
    )  # fmt: skip
    if not is_new and body.policy is None and not call.service.has_input(call.access, row.instance_id, sent(body.input)):
        raise ProblemError(
            "idempotency_conflict", f"instance {row.instance_id!r} was submitted with another input; give another key"
        )
    root = call.request.scope.get("root_path", "")
    headers = {"Location": f"{root}/instances/{quote(row.instance_id, safe='')}"}
    return Answer(row, 201 if is_new else 200, headers)


def show_instance(call: Call) -> Any:
    return call.service.show(call.access, call.path["instance_id"])


def explain_instance(call: Call) -> Any:
    return call.service.why(call.access, call.path["instance_id"])


def list_attempts(call: Call) -> Any:
    return Attempts(call.service.attempts(call.access, call.path["instance_id"]))


def timeline(call: Call) -> Any:
    return list_attempts(call)


def list_nodes(call: Call) -> Any:
    return Nodes(call.service.graph(call.access, call.path["instance_id"]))


def show_node(call: Call) -> Any:
    return call.service.node(call.access, call.path["instance_id"], call.path["node_id"])


def draw_instance(call: Call) -> Any:
    return call.service.graph_svg(call.access, call.path["instance_id"])


def list_logs(call: Call) -> Any:
    query = call.query
    return Logs(call.service.logs(call.access, call.path["instance_id"], node_id=query.node_id, limit=query.limit))


async def wait_for_result(call: Call) -> Any:
    await _ended(call)
    return await call.site.run(lambda: call.service.result(call.access, call.path["instance_id"]))


async def wait_for_output(call: Call) -> Any:
    await _ended(call)
    row, output, error = await call.site.run(lambda: call.service.output(call.access, call.path["instance_id"]))
    return Output(row, output, error)


async def _ended(call: Call) -> None:
    """Wait until the instance has ended or the time is over, in no thread of its own."""
    clock = call.service.store.clock
    until = clock.monotonic() + call.query.timeout
    while True:
        seen = call.site.watcher.count
        status = await call.site.run(lambda: call.service.status(call.access, call.path["instance_id"]))
        left = until - clock.monotonic()
        if status in TERMINAL or left <= 0 or call.site.watcher.closed:
            return
        await call.site.watcher.wait(seen, min(left, 5.0))


def task_result(call: Call) -> Any:
    path = call.path
    return TaskValue(
        *call.service.task_result(call.access, path["instance_id"], path["task_id"], iteration=call.query.iteration)
    )


def cancel_instance(call: Call) -> Any:
    return call.service.cancel(call.access, call.path["instance_id"], reason=call.body.reason, key=call.key)


def pause_instance(call: Call) -> Any:
    return call.service.pause(call.access, call.path["instance_id"], reason=call.body.reason, key=call.key)


def unpause_instance(call: Call) -> Any:
    return call.service.unpause(call.access, call.path["instance_id"], reason=call.body.reason, key=call.key)


def retry_instance(call: Call) -> Any:
    body = call.body
    raw = None if body.input is msgspec.UNSET else sent(body.input)
    return call.service.retry(
        call.access, call.path["instance_id"], from_task=body.from_task, input_json=raw, reason=body.reason, key=call.key
    )


def send_signal(call: Call) -> Any:
    path, body = call.path, call.body
    accepted = call.service.signal(
        call.access, path["instance_id"], path["name"], sent(body.payload), dedup_key=body.dedup_key or call.key
    )
    return Accepted(accepted)


def steer_many(call: Call) -> Any:
    body = call.body
    return call.service.bulk(
        call.access, body.action, body.selection, dry_run=body.dry_run, reason=body.reason, cursor=body.cursor
    )


def compare_instances(call: Call) -> Any:
    return call.service.compare(call.access, call.query.left, call.query.right)


_ONE = "/instances/{instance_id}"
_LOST = ("instance_not_found",)
_STATE = ("instance_not_found", "invalid_state", "instance_busy")

INSTANCES: tuple[Endpoint, ...] = (
    Endpoint("GET", "/instances", "find", "List instances, the newest first", find_instances, FindQuery,
             answer=InstancePage, problems=("bad_filter",)),
    Endpoint("POST", "/instances", "submit", "Submit a new instance", submit_instance, body=SubmitBody,
             answer=InstanceRow, statuses=(201, 200), keyed=True,
             problems=("unknown_workflow", "instance_already_exists", "definition_mismatch", "idempotency_conflict",
                       "serialization_error", "deserialization_error")),
    Endpoint("GET", "/facets", "facets", "Count instances by status and workflow", count_instances, FacetsQuery,
             answer=Facets, problems=("bad_filter",)),
    Endpoint("GET", "/compare", "compare", "Two instances side by side", compare_instances, CompareQuery,
             answer=Comparison, problems=_LOST),
    Endpoint("POST", "/bulk", "bulk", "Steer many instances, or say what would be done", steer_many, body=BulkBody,
             answer=BulkResult, problems=("bad_filter",)),
    Endpoint("GET", _ONE, "show", "All about an instance", show_instance, answer=InstanceView, problems=_LOST),
    Endpoint("GET", f"{_ONE}/why", "why", "Why it stands where it stands", explain_instance, answer=Why, problems=_LOST),
    Endpoint("GET", f"{_ONE}/attempts", "attempts", "What happened, attempt by attempt", list_attempts, answer=Attempts,
             problems=_LOST),
    Endpoint("GET", f"{_ONE}/timeline", "attempts", "The same as attempts", timeline, answer=Attempts, problems=_LOST),
    Endpoint("GET", f"{_ONE}/graph", "graph", "Its nodes and how each stands", list_nodes, answer=Nodes, problems=_LOST),
    Endpoint("GET", f"{_ONE}/graph.svg", "graph_svg", "Its picture", draw_instance, media="image/svg+xml", problems=_LOST),
    Endpoint("GET", f"{_ONE}/nodes/{{node_id}}", "node", "What went into a node and came out of it", show_node,
             answer=NodeValues, problems=_LOST),
    Endpoint("GET", f"{_ONE}/logs", "logs", "What its tasks logged", list_logs, LogsQuery, answer=Logs, problems=_LOST),
    Endpoint("GET", f"{_ONE}/result", "result", "Wait for its end, then all about it", wait_for_result, WaitQuery,
             answer=InstanceView, problems=_LOST),
    Endpoint("GET", f"{_ONE}/output", "output", "Wait for its end, then its output", wait_for_output, WaitQuery,
             answer=Output, problems=_LOST),
    Endpoint("GET", f"{_ONE}/tasks/{{task_id}}", "task_result", "What a task gave", task_result, IterationQuery,
             answer=TaskValue, problems=_LOST),
    Endpoint("POST", f"{_ONE}/cancel", "cancel", "Cancel it", cancel_instance, body=ReasonBody, answer=InstanceRow,
             problems=_STATE, keyed=True),
    Endpoint("POST", f"{_ONE}/pause", "pause", "Pause it", pause_instance, body=ReasonBody, answer=InstanceRow,
             problems=_STATE, keyed=True),
    Endpoint("POST", f"{_ONE}/unpause", "unpause", "Let it go on", unpause_instance, body=ReasonBody, answer=InstanceRow,
             problems=_STATE, keyed=True),
    Endpoint("POST", f"{_ONE}/retry", "retry", "Bring it back to life", retry_instance, body=RetryBody,
             answer=InstanceRow, problems=(*_STATE, "serialization_error", "deserialization_error"), keyed=True),
    Endpoint("POST", f"{_ONE}/signals/{{name}}", "signal", "Send it a signal", send_signal, body=SignalBody,
             answer=Accepted, statuses=(202,), keyed=True,
             problems=("invalid_state", "serialization_error", "deserialization_error")),
)  # fmt: skip
