"""A service that answers from memory: for pages in states that a real one seldom has, and for hostile texts.

Rules of this file: every text that a user or a program could have chosen comes from `word`, so that a test can set it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sayiir import Flow, LoopResult
from sayiir.picture.layout import layout
from sayiir.picture.state import NodeState
from sayiir.picture.svg import draw
from sayiir.service.model import (
    Attempt,
    AuditLine,
    BulkResult,
    Comparison,
    Count,
    Difference,
    Facets,
    InboxItem,
    InstancePage,
    InstanceRow,
    InstanceView,
    LogLine,
    NodeValues,
    NodeView,
    Payload,
    SavedView,
    Trouble,
    Wait,
    Why,
    WorkerRow,
    WorkflowRow,
    WorkflowVersion,
)  # fmt: skip

NOW = datetime.now(UTC)
FORM: dict[str, Any] = {
    "$ref": "#/$defs/Approval",
    "$defs": {
        "Approval": {
            "type": "object",
            "properties": {
                "approved": {"type": "boolean"},
                "by": {"type": "string"},
                "channel": {"enum": ["phone", "mail", "in person"]},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                "address": {"$ref": "#/$defs/Address"},
                "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            },
            "required": ["approved", "by", "channel", "address"],
        },
        "Address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "zip": {"type": "string", "maxLength": 5}},
            "required": ["street"],
        },
    },
}


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def _step(value: Any) -> Any:
    return value


def _loop(value: Any) -> Any:
    return LoopResult.done(value)


def flow(name: str):
    left = Flow("l").then(_step, name="reserve").then(_step, name="price").build()
    right = Flow("r").wait_for_signal("approval", name="approval").build()
    return (
        Flow(name)
        .then(_step, name="receive")
        .fork().branch(left, name="stock").branch(right, name="person").join(_step, name="merge")
        .loop(_loop, name="charge", max_iterations=5)
        .delay("cool_off", "2h")
        .then(_step, name="ship")
        .build()
    )  # fmt: skip


class StubService:
    """Answers of every kind; `fault` is raised by everything instead."""

    read_only = False

    def __init__(self, word: str = "", *, rows: int = 30, fault: Exception | None = None) -> None:
        self.word = word
        self.count = rows
        self.fault = fault
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        fault = object.__getattribute__(self, "__dict__").get("fault")
        if fault is not None and not name.startswith("_") and name not in ("fault", "read_only", "views", "word", "calls"):
            raise fault
        return object.__getattribute__(self, name)

    def t(self, text: str) -> str:
        return self.word or text

    def row(self, index: int = 0, status: Any = None) -> InstanceRow:
        names = ("in_progress", "completed", "failed", "awaiting_signal", "waiting", "paused", "cancelled", "completed")
        return InstanceRow(
            self.word + str(index) if self.word else f"order-2026-11-{1000 + index}",
            self.t(("order", "invoice", "etl-nightly")[index % 3]),
            "8c1f4de2a77b" * 5,
            status or names[index % len(names)],
            ago(minutes=3 * index + 1),
            ago(minutes=2 * index, seconds=12),
            priority=1 if index % 5 == 0 else None,
            reason=self.t("the customer called") if names[index % len(names)] in ("paused", "cancelled") else None,
            actor=self.t("ann"),
            requested="cancel" if index == 0 else None,
            metadata={self.t("customer"): self.t("ann b")},
        )

    def find(self, access: Any, where: str = "", *, cursor: str | None = None, limit: int = 50) -> InstancePage:
        return InstancePage(tuple(self.row(i) for i in range(self.count)), "next" if self.count > 20 else None)

    def facets(self, access: Any, where: str = "") -> Facets:
        statuses = [Count(n, 7 * i, i == 6) for i, n in enumerate(("failed", "paused", "waiting", "in_progress", "awaiting_signal", "cancelled", "completed"))]
        return Facets(tuple(statuses), tuple(Count(self.t(n), 40) for n in ("order", "invoice", "etl-nightly")) if self.count else ())

    def trouble(self) -> Trouble:
        text = self.t('Traceback (most recent call last):\n  File "/usr/lib/python3.13/site-packages/sayiir/runtime/invoke.py", line 80, in call\n    return function(value)\n  File "/app/orders/flow.py", line 41, in charge\n    bank.charge(order.card, order.amount)\n  File "/app/orders/bank.py", line 12, in charge\n    raise CardDeclinedError(card)\norders.bank.CardDeclinedError: card 42 was declined')
        return Trouble(self.t("CardDeclinedError"), self.t("card 42 was declined"), text, self.t("charge"), 3)

    def node_views(self) -> tuple[NodeView, ...]:
        stand = {"receive": "completed", "child": "completed", "reserve": "completed", "price": "running", "approval": "awaiting_signal"}
        return tuple(
            NodeView(self.word or info.id, info.kind, stand.get(info.id, "pending"), 1 if info.id in stand else 0, 1, ago(minutes=9) if info.id in stand else None,
                     ago(minutes=8.5) if stand.get(info.id) == "completed" else None, self.t("w-7@host-2") if info.id in stand else None, self.t("2 attempts") if info.id == "price" else None)
            for info in flow("order").iter_nodes()
        )  # fmt: skip

    def show(self, access: Any, instance_id: str) -> InstanceView:
        row = self.row(3)
        row = type(row)(**{**{f: getattr(row, f) for f in row.__struct_fields__}, "instance_id": instance_id})
        return InstanceView(
            row,
            Why("awaiting_signal", self.t("It waits for signal approval since 9 min ago, until 2026-11-24 10:00 UTC."),
                ((self.t("node"), self.t("approval")), ("signal", self.t("approval"))), self.t("Send the signal, here or with `sayiir signal send`.")),
            Payload(self.t('{\n  "item": "lamp",\n  "amount": 30\n}'), 42), None, self.trouble() if self.word else None,
            (Wait(self.t("approval"), "signal", ago(minutes=9), NOW + timedelta(days=2), self.t("approval"), self.form()),),
            self.node_views(), ("cancel", "pause", "retry", "signal", "unpause"), "https://traces.example/t/1",
        )  # fmt: skip

    def form(self) -> dict[str, Any]:
        if not self.word:
            return FORM
        return {"type": "object", "properties": {self.word: {"type": "string", "description": self.word, "default": self.word},
                "c": {"enum": [self.word, 1], "title": self.word}}, "required": []}  # fmt: skip

    def attempts(self, access: Any, instance_id: str) -> tuple[Attempt, ...]:
        def at(i: int, node: str, kind: str, status: str, a: float, b: float | None, error: Trouble | None = None, n: int = 1) -> Attempt:
            return Attempt(i, self.word or node, kind, 1, n, status, ago(minutes=a), None if b is None else ago(minutes=b), self.t("w-7@host-2"), error, n == 2)
        return (
            at(1, "receive", "task", "completed", 10, 9.6), at(2, "reserve", "task", "failed", 9.5, 9.2, self.trouble()),
            at(3, "reserve", "task", "failed", 9.0, 8.1, self.trouble(), 2), at(4, "reserve", "task", "completed", 8, 6.4, None, 3),
            at(5, "approval", "await_signal", "awaiting_signal", 9.4, None), at(6, "price", "task", "running", 6.2, None),
        )  # fmt: skip

    def node(self, access: Any, instance_id: str, node_id: str) -> NodeValues:
        node = NodeView(node_id, "task", "failed", 3, 1, ago(minutes=9), ago(minutes=8), self.t("w-7@host-2"), self.t("3 attempts"))
        return NodeValues(node, Payload(self.t('{"a": 1}'), 8), Payload(self.t('"b"'), 3, True), self.attempts(access, instance_id), self.logs(access, instance_id))

    def logs(self, access: Any, instance_id: str, *, node_id: str | None = None, limit: int = 500) -> tuple[LogLine, ...]:
        return tuple(LogLine(ago(seconds=60 - i), ("INFO", "WARNING", "ERROR")[i % 3], self.t("charge"), 1, self.t("shop.bank"), self.t(f"asked the bank, answer {i}")) for i in range(8))

    def graph_svg(self, access: Any, instance_id: str | None = None, *, workflow_id: str | None = None, definition_hash: str | None = None, shown: Any = None, standalone: bool = True) -> str:
        graph = flow((self.word or "order").replace("\0", "")).graph
        states = {n.node_id: NodeState(n.status, n.detail) for n in StubService().node_views()} if shown else None
        return draw(layout(graph, states), graph.name, standalone=standalone)

    def workflows(self, access: Any) -> tuple[WorkflowRow, ...]:
        return tuple(self.workflow(access, n) for n in ("order", "invoice", "etl-nightly"))

    def workflow(self, access: Any, workflow_id: str) -> WorkflowRow:
        statuses = tuple(Count(n, 12 * i) for i, n in enumerate(("failed", "in_progress", "completed")))
        versions = (WorkflowVersion("8c1f4de2a77b" * 5, Count("", 31), (self.t("w-7@host-2"),), True), WorkflowVersion("77aa4de2a77b" * 5, Count("", 4), (), False))
        return WorkflowRow(self.word or workflow_id, statuses, versions, 0.973, 4.2, 61.0, tuple(float((i * 37) % 11 + 2) for i in range(60)), self.form())

    def workers(self, access: Any) -> tuple[WorkerRow, ...]:
        return tuple(WorkerRow(self.t(f"w-{i}@host-{i % 2}"), i, i != 2, ago(hours=5), ago(seconds=2 if i != 2 else 4000), i, "worker" if i else "runner", 8, (self.t("gpu"),) if i == 1 else (), ((self.t("order"), "8c" * 20),)) for i in range(4))

    def inbox(self, access: Any, *, cursor: str | None = None, limit: int = 50) -> tuple[tuple[InboxItem, ...], str | None]:
        if not self.count:
            return (), None
        wait = self.show(access, "x").waits[0]
        yes = Wait("ok", "signal", ago(hours=3), None, self.t("publish"), {"type": "boolean"})
        free = Wait("ok", "signal", ago(hours=3), None, self.t("payload"), None)
        return tuple(InboxItem(self.row(i).instance_id, self.t("order"), (wait, yes, free)[i % 3]) for i in range(4)), None

    def compare(self, access: Any, left_id: str, right_id: str) -> Comparison:
        nodes = self.node_views()
        return Comparison(self.row(1), self.row(3), False, tuple(Difference(n.node_id, n, n if i % 3 else None, (True, False, None)[i % 3]) for i, n in enumerate(nodes)))

    def audit(self, access: Any, *, target: str | None = None, cursor: str | None = None, limit: int = 50) -> tuple[tuple[AuditLine, ...], str | None]:
        return tuple(AuditLine(i, ago(minutes=i), self.t("ann"), ("cancel", "retry", "signal")[i % 3], self.row(i).instance_id, self.t("the customer called"), {self.t("from"): self.t("charge")}) for i in range(6 if self.count else 0)), None

    def views(self, access: Any) -> tuple[SavedView, ...]:
        return (SavedView(self.t("Failed orders"), self.word or "status:failed workflow:order", self.t("ann")), SavedView(self.t("Today"), "since:1d", "ann"))

    def bulk(self, access: Any, action: str, selection: Any, *, dry_run: bool = False, reason: str | None = None, cursor: str | None = None) -> BulkResult:
        self.calls.append(("bulk", (action, selection), {"dry_run": dry_run, "reason": reason, "cursor": cursor}))
        refused = ((self.row(1).instance_id, self.t("it has completed")),)
        return BulkResult(action, dry_run, 12, 11, refused, None)

    def __getattr__(self, name: str) -> Any:
        if name not in ("save_view", "drop_view", "cancel", "pause", "unpause", "retry", "signal", "submit"):
            raise AttributeError(name)

        def act(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args[1:], kwargs))
            return (self.row(), True) if name == "submit" else self.row()

        return act
