"""The documented functions that steer an instance, each over a client of its own."""

from __future__ import annotations

from typing import Any

from sayiir.client.client import WorkflowClient
from sayiir.store.base import ScriptedStore


def cancel_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, cancelled_by: str | None = None
) -> None:
    """Cancel an instance (see `WorkflowClient.cancel`)."""
    WorkflowClient(backend).cancel(instance_id, reason=reason, cancelled_by=cancelled_by)


def pause_workflow(
    instance_id: str, backend: ScriptedStore, reason: str | None = None, paused_by: str | None = None
) -> None:
    """Pause an instance (see `WorkflowClient.pause`)."""
    WorkflowClient(backend).pause(instance_id, reason=reason, paused_by=paused_by)


def unpause_workflow(instance_id: str, backend: ScriptedStore) -> None:
    """Let a paused instance go on (see `WorkflowClient.unpause`)."""
    WorkflowClient(backend).unpause(instance_id)


def send_signal(instance_id: str, signal_name: str, payload: Any, backend: ScriptedStore) -> None:
    """Send a signal (see `WorkflowClient.send_signal`)."""
    WorkflowClient(backend).send_signal(instance_id, signal_name, payload)
