"""The service over real instances, on every store: what it shows, what it does, what it refuses, what it notes."""

from __future__ import annotations

import threading
from xml.etree import ElementTree as ET

import msgspec
import pytest

from sayiir import Flow, RetryPolicy, Worker, WorkflowClient, resume_workflow, run_durable_workflow, task
from sayiir.client.submit import Intake
from sayiir.errors import (
    DeserializationError,
    FilterError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidStateError,
    UnknownWorkflowError,
)
from sayiir.service import Access, Role, Service
from sayiir.service.model import Selection

ADMIN, OPERATOR, VIEWER = (Access(role.value, role) for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER))
WAIT = 20.0


def double(x: int) -> int:
    return x * 2


def same(x):
    return x


fails = {"now": True}


def flaky(x):
    if fails["now"]:
        raise TimeoutError("no answer")
    return x


def boom(x):
    return flaky(x)


GATE = (
    Flow("gate", metadata={"customer": "ann b", "api_key": "k"})
    .then(double, name="first").wait_for_signal("go", type=int).fork().branch(double, name="left").branch(same, name="right")
    .join(lambda both: both, name="join").route(lambda _: "x", keys=["x", "y"]).branch("x", same, name="taken")
    .branch("y", same, name="passed").done().then(same, name="last").build()
)  # fmt: skip
ADD = Flow("add").then(double, name="double").build()
OLD_ADD = Flow("add").then(double, name="double").then(same, name="more").build()
FLAKY = Flow("flaky").then(task(retries=RetryPolicy(2, 3600))(flaky), name="flaky").build()
BAD = Flow("bad").then(boom, name="boom").build()
FLOWS = [GATE, ADD, FLAKY, BAD]


@pytest.fixture
def service(backend):
    fails["now"] = True
    return Service(backend, workflows=FLOWS)


def views(service, name):
    return {view.node_id: view for view in service.show(OPERATOR, name).nodes}


# --- showing ----------------------------------------------------------------------------------------------------------


def test_an_instance_from_submit_to_its_end(service, backend):
    row, is_new = service.submit(OPERATOR, "gate", "a", b"1", priority=2)
    assert (row.status, row.priority, is_new) == ("in_progress", 2, True)
    assert row.metadata == {"customer": "ann b", "api_key": "••••••"}
    assert service.why(VIEWER, "a").code == "no_worker"
    resume_workflow(GATE, "a", backend)
    shown = service.show(OPERATOR, "a")
    assert (shown.row.status, shown.why.code) == ("awaiting_signal", "awaiting_signal")
    assert [(wait.kind, wait.signal, wait.form) for wait in shown.waits] == [("signal", "go", {"type": "integer"})]
    assert shown.actions == ("cancel", "pause", "signal", "submit")
    assert service.show(VIEWER, "a").actions == ()
    found = views(service, "a")
    assert [found[name].status for name in ("first", "go", "left", "last")] == [
        "completed", "awaiting_signal", "pending", "pending",
    ]
    (item,), following = service.inbox(VIEWER)
    assert (item.instance_id, item.wait.signal, item.wait.form, following) == ("a", "go", {"type": "integer"}, None)

    assert service.signal(OPERATOR, "a", "go", b"5", dedup_key="k") is True
    assert service.signal(OPERATOR, "a", "go", b"5", dedup_key="k") is False
    assert service.inbox(VIEWER)[0] == ()
    assert service.why(VIEWER, "a").code == "no_worker", "the signal is there, and nobody moves it"
    assert resume_workflow(GATE, "a", backend).is_completed()

    shown = service.show(OPERATOR, "a")
    assert (shown.row.status, shown.why.code, shown.waits) == ("completed", "completed", ())
    assert shown.actions == ("submit",)
    assert '"left": 10' in shown.output.text
    found = views(service, "a")
    assert {name: view.status for name, view in found.items()} == dict.fromkeys(found, "completed") | {"passed": "skipped"}
    assert {name: view.kind for name, view in found.items()}["branch_0"] == "branch"
    assert service.output(OPERATOR, "a")[1:] != (None, None)
    assert service.task_result(VIEWER, "a", "left") == (True, 10)
    assert service.task_result(VIEWER, "a", "passed") == (False, None)


def test_values_of_a_node(service, backend):
    service.submit(OPERATOR, "add", "a", b"21")
    before = service.node(VIEWER, "a", "double")
    assert (before.node.status, before.input.text, before.output, before.attempts) == ("pending", "21", None, ())
    resume_workflow(ADD, "a", backend)
    after = service.node(VIEWER, "a", "double")
    assert (after.input.text, after.output.text, after.node.attempts) == ("21", "42", 1)
    (attempt,) = after.attempts
    assert (attempt.status, attempt.error) == ("completed", None)
    with pytest.raises(InstanceNotFoundError, match="has no node 'nope'; it has double"):
        service.node(VIEWER, "a", "nope")


def test_a_running_task_and_who_runs_it(service, backend):
    begun, ends = threading.Event(), threading.Event()

    def hold(x):
        begun.set()
        assert ends.wait(WAIT)
        return x

    held = Flow("held").then(hold, name="hold").build()
    WorkflowClient(backend).submit(held, "a", 1)
    with Worker("w-1", backend, tags=["eu"], concurrency=3).start([held, ADD]):
        try:
            assert begun.wait(WAIT)
            why = service.why(VIEWER, "a")
            assert why.code == "running"
            assert "w-1" in why.sentence
            assert views(service, "a")["hold"].status == "running"
            assert views(service, "a")["hold"].worker_id == "w-1"
            assert [(attempt.status, attempt.worker_id) for attempt in service.attempts(VIEWER, "a")] == [("running", "w-1")]
            (row,) = service.workers(VIEWER)
            assert (row.worker_id, row.alive, row.claims, row.kind, row.tags, row.concurrency) == ("w-1", True, 1, "worker", ("eu",), 3)
            assert set(row.workflows) == {("held", held.definition_hash), ("add", ADD.definition_hash)}
            assert service.cancel(OPERATOR, "a", reason="late").requested == "cancel"
            assert service.why(VIEWER, "a").code == "cancel_requested"
        finally:
            ends.set()
    assert service.show(VIEWER, "a").row.status == "cancelled"
    assert service.workers(VIEWER) == (), "it said that it ended"


def test_nobody_has_the_version_or_the_tag(service, backend):
    tagged = Flow("tagged").then(task(tags=["gpu"])(lambda x: x), name="train").build()
    client = WorkflowClient(backend)
    client.submit(OLD_ADD, "old", 1)
    client.submit(tagged, "tagged", 1)
    with Worker("w-1", backend, tags=["eu"]).start([ADD, tagged]):
        why = service.why(VIEWER, "old")
        assert why.code == "no_worker"
        assert ("they have", ADD.definition_hash) in why.evidence
        assert service.why(VIEWER, "tagged").code == "no_tag"
        row = service.workflow(VIEWER, "add")
        served = {version.definition_hash: (version.served_by, version.registered, version.unfinished.count) for version in row.versions}
        assert served == {ADD.definition_hash: (("w-1",), True, 0), OLD_ADD.definition_hash: ((), False, 1)}


def test_a_retry_under_way(service, backend):
    service.submit(OPERATOR, "flaky", "a", b"1")
    worker = Worker("w-1", backend)
    with worker.start([FLAKY]):
        seen = 0
        while service.attempts(VIEWER, "a")[:1] == () or service.attempts(VIEWER, "a")[0].status != "failed":
            seen = service.changed(seen, 1.0)
        why = service.why(VIEWER, "a")
        assert why.code == "retrying"
        assert "attempt 2 of 3, after TimeoutError: no answer" in why.sentence
    (attempt,) = service.attempts(VIEWER, "a")
    assert (attempt.status, attempt.error.error_type, attempt.error.message) == ("failed", "TimeoutError", "no answer")
    assert views(service, "a")["flaky"].status == "waiting"


def test_a_failure_and_its_retry(service, backend):
    service.submit(OPERATOR, "bad", "a", b"1")
    resume_workflow(BAD, "a", backend)
    shown = service.show(OPERATOR, "a")
    assert (shown.row.status, shown.why.code, shown.error.error_type) == ("failed", "failed", "TimeoutError")
    assert "flaky" in shown.error.traceback
    assert shown.actions == ("retry", "submit")
    assert views(service, "a")["boom"].status == "failed"
    fails["now"] = False
    assert service.retry(OPERATOR, "a", input_json=b"7", reason="mended").status == "in_progress"
    assert resume_workflow(BAD, "a", backend).output == 7
    (retried, submitted), _ = service.audit(ADMIN, target="a")
    assert (retried.action, retried.reason, retried.details) == ("retry", "mended", {"new_input": True})
    assert (submitted.action, submitted.user) == ("submit", "operator")


def test_a_link_to_the_trace(backend):
    service = Service(backend, workflows=FLOWS, trace_url="https://traces.example/{trace_id}?x={trace_id}")
    trace = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    for name, context in (("traced", trace), ("odd", "00-<script>-x-01"), ("plain", None)):
        new = msgspec.structs.replace(Intake(ADD, None, 1000).one(name, 1), trace=context)
        backend.create(new, "fail", claim=False)
    found = {name: service.show(VIEWER, name).trace_url for name in ("traced", "odd", "plain")}
    assert found == {"traced": f"https://traces.example/{'ab' * 16}?x={'ab' * 16}", "odd": None, "plain": None}
    assert Service(backend).show(VIEWER, "traced").trace_url is None


def test_pictures(service, backend):
    service.submit(OPERATOR, "gate", "a", b"1")
    WorkflowClient(backend).submit(OLD_ADD, "old", 1)
    resume_workflow(GATE, "a", backend)
    known = service.graph_svg(VIEWER, "a")
    stored = Service(backend).graph_svg(VIEWER, "a")
    for text in (known, stored, service.graph_svg(VIEWER, workflow_id="add"), Service(backend).graph_svg(VIEWER, workflow_id="add")):
        ET.fromstring(text)
    for text in (known, stored):
        assert 'data-node="go" data-status="awaiting_signal"' in text
    with pytest.raises(UnknownWorkflowError):
        service.graph_svg(VIEWER, workflow_id="nobody")
    with pytest.raises(UnknownWorkflowError):
        service.graph_svg(VIEWER, workflow_id="add", definition_hash="0" * 64)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_finding_and_counting(service, backend):
    for number in range(5):
        service.submit(OPERATOR, "add", f"a-{number}", b"1")
    service.submit(OPERATOR, "gate", "g", b"1")
    resume_workflow(ADD, "a-0", backend)
    service.cancel(OPERATOR, "a-1", reason="no")
    assert [row.instance_id for row in service.find(VIEWER, "a-").items] == ["a-4", "a-3", "a-2", "a-1", "a-0"]
    page = service.find(VIEWER, "workflow:add", limit=2)
    assert [row.instance_id for row in page.items] == ["a-4", "a-3"]
    assert [row.instance_id for row in service.find(VIEWER, "workflow:add", limit=2, cursor=page.next).items] == ["a-2", "a-1"]
    assert [row.instance_id for row in service.find(VIEWER, 'meta.customer:"ann b"').items] == ["g"]
    (cancelled,) = service.find(VIEWER, "status:cancelled").items
    assert (cancelled.reason, cancelled.actor) == ("no", "operator")
    facets = service.facets(VIEWER, "status:cancelled workflow:add")
    assert {count.name: count.count for count in facets.statuses if count.count} == {"in_progress": 3, "cancelled": 1, "completed": 1}
    assert {count.name: count.count for count in facets.workflows} == {"add": 1}
    # What is counted beside a filter is what that filter would find.
    for rest in ("", "a-", "meta.customer:nobody", "since:1h", "id:g"):
        counted = {count.name: count.count for count in service.facets(VIEWER, f"workflow:add {rest}").statuses}
        for status in counted:
            found = service.find(VIEWER, f"workflow:add status:{status} {rest}").items
            assert counted[status] == len(found), (rest, status)
    for bad in ({"where": "statos:x"}, {"cursor": "x"}, {"cursor": page.next + "A"}, {"limit": 0}, {"limit": 1001}):
        with pytest.raises(FilterError):
            service.find(VIEWER, **bad)


def test_figures_of_workflows(service, backend):
    for number in range(4):
        run_durable_workflow(ADD, f"a{number}", 1, backend)
    run_durable_workflow(BAD, "b", 1, backend)
    found = {row.workflow_id: row for row in service.workflows(VIEWER)}
    assert set(found) == {"add", "bad", "flaky", "gate"}, "also those of which nothing was submitted"
    assert (found["add"].success_rate, found["bad"].success_rate, found["gate"].success_rate) == (1.0, 0.0, None)
    assert len(found["add"].recent) == 4
    assert 0 <= found["add"].p50_secs <= found["add"].p95_secs
    assert found["add"].form == {"type": "integer"}
    assert {count.name: count.count for count in found["bad"].statuses if count.count} == {"failed": 1}
    with pytest.raises(UnknownWorkflowError):
        service.workflow(VIEWER, "nobody")


def test_saved_views(service):
    service.save_view(OPERATOR, "broken", "status:failed")
    assert [(view.name, view.where, view.user) for view in service.views(VIEWER)] == [("broken", "status:failed", "operator")]
    service.drop_view(OPERATOR, "broken")
    service.drop_view(OPERATOR, "broken")
    assert service.views(VIEWER) == ()
    for name, where in (("", ""), ("x" * 101, ""), ("a\nb", ""), ("x", "nope:x")):
        with pytest.raises(FilterError):
            service.save_view(OPERATOR, name, where)


def test_comparing(service, backend):
    run_durable_workflow(ADD, "a", 1, backend)
    run_durable_workflow(ADD, "b", 2, backend)
    run_durable_workflow(OLD_ADD, "c", 1, backend)
    found = service.compare(VIEWER, "a", "b")
    assert (found.same_input, [(node.node_id, node.same_output) for node in found.nodes]) == (False, [("double", False)])
    found = service.compare(VIEWER, "a", "c")
    assert (found.same_input, [(node.node_id, node.same_output) for node in found.nodes]) == (True, [("double", True), ("more", None)])
    assert found.nodes[1].left is None


def test_stats_and_check(service):
    service.submit(OPERATOR, "add", "a", b"1")
    stats = service.stats(VIEWER)
    assert (stats["tables"]["instances"]["rows"], stats["due"], stats["live_workers"]) == (1, 1, 0)
    assert service.check(ADMIN) == []


# --- doing ------------------------------------------------------------------------------------------------------------


def test_submit_by_policy(service):
    service.submit(OPERATOR, "add", "a", b"1")
    with pytest.raises(InstanceAlreadyExistsError):
        service.submit(OPERATOR, "add", "a", b"1")
    assert service.submit(OPERATOR, "add", "a", b"1", policy="use_existing")[1] is False
    assert service.submit(OPERATOR, "add", "a", b"2", policy="terminate_existing")[1] is True
    named, is_new = service.submit(OPERATOR, "add", None, b"1")
    assert is_new
    assert len(named.instance_id) == 36
    lines, _ = service.audit(ADMIN)
    assert [line.target for line in lines] == [named.instance_id, "a", "a"], "what changed nothing is not noted"


def test_what_does_not_fit_is_refused_and_nothing_is_stored(service):
    for workflow, raw, error in (
        ("add", b'"x"', DeserializationError), ("add", b"{", DeserializationError), ("nobody", b"1", UnknownWorkflowError),
    ):
        with pytest.raises(error):
            service.submit(OPERATOR, workflow, "a", raw)
    with pytest.raises(UnknownWorkflowError):
        service.submit(OPERATOR, "add", "a", b"1", definition_hash=OLD_ADD.definition_hash)
    service.submit(OPERATOR, "gate", "g", b"1")
    with pytest.raises(DeserializationError):
        service.signal(OPERATOR, "g", "go", b'"x"')
    assert service.find(VIEWER).items[0].instance_id == "g"
    assert [line.action for line in service.audit(ADMIN)[0]] == ["submit"]


def test_a_signal_before_its_instance(service, backend):
    assert service.signal(OPERATOR, "a", "go", b"5")
    service.submit(OPERATOR, "gate", "a", b"1")
    assert resume_workflow(GATE, "a", backend).is_completed()
    with pytest.raises(InvalidStateError):
        service.signal(OPERATOR, "a", "go", b"5")


def test_steering_by_key_is_done_once(service):
    service.submit(OPERATOR, "add", "a", b"1")
    service.pause(OPERATOR, "a", key="p1")
    assert service.unpause(OPERATOR, "a", key="u1").status == "in_progress"
    assert service.unpause(OPERATOR, "a", key="u1").status == "in_progress", "the same answer, not a refusal"
    with pytest.raises(InvalidStateError):
        service.unpause(OPERATOR, "a", key="u2")
    assert service.pause(OPERATOR, "a", key="p1").status == "in_progress", "that pause was done long ago"
    assert [line.action for line in service.audit(ADMIN, target="a")[0]] == ["unpause", "pause", "submit"]


def test_bulk_by_filter_with_dry_run(service, backend):
    for number in range(4):
        service.submit(OPERATOR, "add", f"a{number}", b"1")
    resume_workflow(ADD, "a0", backend)
    tried = service.bulk(OPERATOR, "cancel", Selection(where="workflow:add"), dry_run=True)
    assert (tried.matched, tried.done, [name for name, _ in tried.refused], tried.next) == (4, 3, ["a0"], None)
    assert service.find(VIEWER, "status:cancelled").items == ()
    done = service.bulk(OPERATOR, "cancel", Selection(where="workflow:add"), reason="all wrong")
    assert (done.matched, done.done) == (4, 3)
    assert {row.reason for row in service.find(VIEWER, "status:cancelled").items} == {"all wrong"}
    by_ids = service.bulk(OPERATOR, "retry", Selection(ids=("a1", "a1", "gone", "a0")))
    assert (by_ids.matched, by_ids.done, [name for name, _ in by_ids.refused]) == (3, 1, ["gone", "a0"])
    for action, selection in (("signal", Selection(where="")), ("cancel", Selection()), ("cancel", Selection(ids=(), where=""))):
        with pytest.raises(FilterError):
            service.bulk(OPERATOR, action, selection)


def test_bulk_goes_on_where_it_stopped(service, monkeypatch):
    monkeypatch.setattr("sayiir.service.actions.MAX_BULK", 2)
    for number in range(5):
        service.submit(OPERATOR, "add", f"a{number}", b"1")
    names = tuple(f"a{number}" for number in range(5))
    cursor, done = None, 0
    while True:
        found = service.bulk(OPERATOR, "cancel", Selection(ids=names), cursor=cursor)
        done, cursor = done + found.done, found.next
        if cursor is None:
            break
    assert done == 5
    assert len(service.find(VIEWER, "status:cancelled").items) == 5


def test_purge(service, backend):
    run_durable_workflow(ADD, "a", 1, backend)
    service.submit(OPERATOR, "add", "b", b"1")
    assert service.purge(ADMIN, 0, dry_run=True) in (0, 1), "the end may be of this very microsecond"
    assert service.purge(ADMIN, "30d") == 0
    assert [row.instance_id for row in service.find(VIEWER).items] == ["b", "a"]
    (line,) = service.audit(ADMIN)[0][:1]
    assert (line.user, line.action, line.target, line.details) == (ADMIN.user, "purge", "*", {"older_than": "30d", "deleted": 0})
    assert [one.action for one in service.audit(ADMIN)[0]] == ["purge", "submit"], "a count leaves no line"
    ended = backend.load("a").instance.updated_at
    while backend.now() <= ended:
        pass  # a microsecond
    assert service.purge(ADMIN, 0) == 1
    assert service.audit(ADMIN)[0][0].details == {"older_than": 0, "deleted": 1}
    assert [row.instance_id for row in service.find(VIEWER).items] == ["b"]


def test_unknown_ids(service):
    for call in (service.show, service.why, service.attempts, service.graph, service.logs, service.result, service.output):
        with pytest.raises(InstanceNotFoundError):
            call(VIEWER, "gone")
    for call in (service.cancel, service.pause, service.unpause, service.retry):
        with pytest.raises(InstanceNotFoundError):
            call(OPERATOR, "gone")
    assert service.audit(ADMIN)[0] == ()


def test_every_change_of_a_saved_view_leaves_a_line(service):
    service.save_view(OPERATOR, "mine", "status:failed")
    service.save_view(OPERATOR, "mine", "status:failed")
    service.save_view(OPERATOR, "mine", "status:paused")
    service.save_view(OPERATOR, "ours", "status:paused", replaces="mine")
    service.save_view(OPERATOR, "second", "")
    with pytest.raises(FilterError, match="there is a view 'second' already"):
        service.save_view(OPERATOR, "second", "status:paused", replaces="ours")
    with pytest.raises(FilterError, match="no view 'gone' to rename"):
        service.save_view(OPERATOR, "third", "", replaces="gone")
    service.drop_view(OPERATOR, "gone")
    service.drop_view(OPERATOR, "ours")
    assert [(view.name, view.where, view.user) for view in service.views(VIEWER)] == [("second", "", OPERATOR.user)]
    lines = [(line.user, line.action, line.target, line.details) for line in reversed(service.audit(ADMIN)[0])]
    assert lines == [
        (OPERATOR.user, "save_view", "*", {"view": "mine", "where": "status:failed"}),
        (OPERATOR.user, "save_view", "*", {"view": "mine", "where": "status:paused"}),
        (OPERATOR.user, "rename_view", "*", {"view": "ours", "where": "status:paused", "was": "mine"}),
        (OPERATOR.user, "save_view", "*", {"view": "second", "where": ""}),
        (OPERATOR.user, "drop_view", "*", {"view": "ours"}),
    ]


def test_how_many_attempts_there_are_is_known_without_the_code(backend):
    @task(retries=RetryPolicy(max_retries=4, initial_delay_secs=600))
    def charge(value: int) -> int:
        raise TimeoutError("no answer")

    flow = Flow("charging").then(charge).build()
    with Worker("w-1", backend).start([flow]):
        WorkflowClient(backend).submit(flow, "a", 1)
        deadline, seen = backend.clock.monotonic() + 30, 0
        while Service(backend).why(VIEWER, "a").code != "retrying":
            assert backend.clock.monotonic() < deadline
            seen = backend.wait_for_hint(seen, 0.05)
        for known in ([flow], []):
            assert ", attempt 2 of 5, after TimeoutError: no answer" in Service(backend, workflows=known).why(VIEWER, "a").sentence
