"""Sayiir: durable workflows from plain Python functions. Every public name is here."""

from sayiir.client import WorkflowClient, cancel_workflow, pause_workflow, send_signal, unpause_workflow
from sayiir.core.graph import NodeInfo, TaskMetadata
from sayiir.core.loop import LoopResult, OnMax
from sayiir.core.retry import RetryPolicy
from sayiir.errors import *  # noqa: F403 -- the whole tree is public; its `__all__` is the list
from sayiir.errors import __all__ as _errors
from sayiir.flow.builder import BranchBuilder, Flow, ForkBuilder
from sayiir.flow.duration import parse_duration
from sayiir.flow.task import task
from sayiir.flow.workflow import Workflow
from sayiir.runtime.context import TaskExecutionContext, get_task_context
from sayiir.runtime.engine import resume_workflow, run_durable_workflow, run_workflow
from sayiir.runtime.status import WorkflowStatus
from sayiir.store.memory import InMemoryBackend
from sayiir.store.url import connect

__version__ = "0.1.0"
