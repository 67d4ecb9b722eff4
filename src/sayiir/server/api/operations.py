"""The endpoints about workers, the inbox, the audit, saved filters and the store."""

from __future__ import annotations

from typing import Any

from sayiir.server.api.asked import AuditQuery, PageQuery, PurgeBody, ViewBody
from sayiir.server.api.given import Audit, Counted, Inbox, Texts, Views, Workers
from sayiir.server.routing import Answer, Call, Endpoint


def list_workers(call: Call) -> Any:
    return Workers(call.service.workers(call.access))


def list_inbox(call: Call) -> Any:
    return Inbox(*call.service.inbox(call.access, cursor=call.query.cursor, limit=call.query.limit))


def list_audit(call: Call) -> Any:
    query = call.query
    return Audit(*call.service.audit(call.access, target=query.target, cursor=query.cursor, limit=query.limit))


def list_views(call: Call) -> Any:
    return Views(call.service.views(call.access))


def save_view(call: Call) -> Any:
    call.service.save_view(call.access, call.path["name"], call.body.where, replaces=call.body.replaces)
    return Answer(Views(call.service.views(call.access)))


def drop_view(call: Call) -> Any:
    call.service.drop_view(call.access, call.path["name"])
    return Answer(Views(call.service.views(call.access)))


def show_stats(call: Call) -> Any:
    return call.service.stats(call.access)


def check_store(call: Call) -> Any:
    return Texts(tuple(call.service.check(call.access)))


def purge_instances(call: Call) -> Any:
    return Counted(call.service.purge(call.access, call.body.older_than, dry_run=call.body.dry_run))


OPERATIONS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/workers", "workers", "Workers and other processes that hold claims", list_workers, answer=Workers),
    Endpoint("GET", "/inbox", "inbox", "Waits for signals that somebody must send", list_inbox, PageQuery, answer=Inbox,
             problems=("bad_filter",)),
    Endpoint("GET", "/audit", "audit", "What was done, the newest first", list_audit, AuditQuery, answer=Audit,
             problems=("bad_filter",)),
    Endpoint("GET", "/views", "views", "Saved filters", list_views, answer=Views),
    Endpoint("PUT", "/views/{name}", "save_view", "Keep a filter under a name", save_view, body=ViewBody, answer=Views,
             problems=("bad_filter",)),
    Endpoint("DELETE", "/views/{name}", "drop_view", "Forget a saved filter", drop_view, answer=Views),
    Endpoint("GET", "/stats", "stats", "Rows and bytes by table, and the queue", show_stats, answer=dict[str, Any]),
    Endpoint("GET", "/check", "check", "What is wrong with the stored data; may take long", check_store, answer=Texts),
    Endpoint("POST", "/purge", "purge", "Delete what ended long ago", purge_instances, body=PurgeBody, answer=Counted),
)  # fmt: skip
