"""The verbs that bring instances and signals, with whoever watches around them."""

from __future__ import annotations

import msgspec

from sayiir.runtime import observe
from sayiir.store.base import ScriptedStore
from sayiir.store.port import ConflictPolicy, Created, Instance, NewInstance


def create(store: ScriptedStore, new: NewInstance, policy: ConflictPolicy, *, claim: bool) -> Created:
    """Store a new instance (see the port), with the trace context of its submit."""
    if not observe.watchers:
        return store.create(new, policy, claim=claim)
    with observe.submitting(new.definition.workflow_id, new.instance_id) as trace:
        return store.create(msgspec.structs.replace(new, trace=trace), policy, claim=claim)


def create_many(store: ScriptedStore, news: list[NewInstance], policy: ConflictPolicy) -> list[Created]:
    """Store many new instances (see the port), all with one trace context."""
    if not observe.watchers:
        return store.create_many(news, policy)
    with observe.submitting(news[0].definition.workflow_id, None) as trace:
        return store.create_many([msgspec.structs.replace(new, trace=trace) for new in news], policy)


def stamped(new: NewInstance) -> NewInstance:
    """Return a new instance with the trace context of this moment, for who stores it in a transaction of their own."""
    if not observe.watchers:
        return new
    with observe.submitting(new.definition.workflow_id, new.instance_id) as trace:
        return msgspec.structs.replace(new, trace=trace)


def send_signal(store: ScriptedStore, instance_id: str, name: str, payload: bytes, dedup_key: str | None) -> None:
    """Buffer a signal (see the port), in the trace of its instance."""

    def found() -> Instance | None:
        view = store.load(instance_id)
        return None if view is None else view.instance

    if not observe.watchers:
        store.send_signal(instance_id, name, payload, dedup_key)
        return
    with observe.signalling(name, instance_id, found):
        store.send_signal(instance_id, name, payload, dedup_key)
