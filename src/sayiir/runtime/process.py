"""Tasks in child processes (`@task(isolation="process")`), which a timeout or a cancel really ends.

Children are started fresh (never forked, so that no lock or connection is inherited), kept for later calls, and killed
when a call must stop. Only JSON crosses the pipe: the function goes by name, values by the one rule for all runs. A child
whose parent dies ends itself.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from sayiir.core.graph import TaskMetadata
from sayiir.core.loop import LoopResult
from sayiir.core.values import codec_for, encode, input_annotation, output_annotation, plain
from sayiir.errors import DeserializationError, SerializationError, WorkerCrashError
from sayiir.flow.task import declaration_of, is_async_callable
from sayiir.runtime.context import FRAME, Frame, TaskExecutionContext
from sayiir.runtime.failure import ChildError, cut, is_retryable, trace_of
from sayiir.runtime.invoke import Outcome, timeout_error

if TYPE_CHECKING:
    from sayiir.core.program import TaskOp
    from sayiir.runtime.runner import Runner

_MAX_IDLE = 4


class _Order(msgspec.Struct):
    """What a child is to do."""

    module: str
    name: str
    value: msgspec.Raw
    facts: dict[str, Any]


class _Reply(msgspec.Struct):
    """What came of it."""

    done: bool
    output: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = ""
    message: str = ""
    trace: str = ""
    retryable: bool = True


class Child:
    """One child process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), name="sayiir-task")
        self.process.start()
        theirs.close()
        _CHILDREN.add(self)

    def ask(self, order: bytes, timeout: float | None) -> bytes | None:
        """Return the reply, or None when it did not come in time.

        Raises:
            EOFError: the child died.
        """
        try:
            self.pipe.send_bytes(order)
            if not self.pipe.poll(timeout):
                return None
            return self.pipe.recv_bytes()
        except OSError as error:
            raise EOFError from error

    def kill(self) -> None:
        """End the child for good."""
        self.process.kill()

    def bury(self) -> int | None:
        """Wait for a killed or dead child and return its exit code."""
        self.process.join()
        self.pipe.close()
        _CHILDREN.discard(self)
        return self.process.exitcode


class _Kill:
    """Ends one call's child. Once the call is over it does nothing: the child may be at work for another run."""

    def __init__(self, child: Child) -> None:
        self._child: Child | None = child
        self._mutex = threading.Lock()
        self.done = False

    def __call__(self) -> None:
        with self._mutex:
            if self._child is not None:
                self.done = True
                self._child.kill()

    def over(self) -> None:
        """Let the child live."""
        with self._mutex:
            self._child = None


_CHILDREN: set[Child] = set()
_IDLE: list[Child] = []
_MUTEX = threading.Lock()


def call_in_child(run: Runner, op: TaskOp, value: Any, frame: Frame) -> Outcome:
    """Call a task in a child process and wait for its outcome."""
    order = _order(op, value, frame)
    with _MUTEX:
        child = _IDLE.pop() if _IDLE else None
    child = child or Child()
    kill = _Kill(child)
    run.add_cancel(kill)
    try:
        raw = child.ask(order, op.metadata.timeout_secs)
    except EOFError:
        code = child.bury()
        return Outcome(stopped=True) if run.stopping else Outcome(error=_crash(op, code))
    except BaseException:
        child.kill()
        child.bury()
        raise
    finally:
        kill.over()
        run.remove_cancel(kill)
    if raw is None:
        child.kill()
        child.bury()
        return Outcome(error=timeout_error(op))
    if kill.done:
        child.bury()  # it had just answered when it was killed
    else:
        _keep(child)
    return _outcome(msgspec.json.decode(raw, type=_Reply))


def _order(op: TaskOp, value: Any, frame: Frame) -> bytes:
    context = frame.context()
    facts = {
        name: getattr(context, name)
        for name in (
            "workflow_id", "instance_id", "task_id", "workflow_metadata", "attempt", "iteration", "worker_id",
            "idempotency_key",
        )
    }  # fmt: skip
    function = op.function
    raw = msgspec.Raw(encode(value, allow_nan=op.codec.allow_nan))
    order = _Order(function.__module__, function.__qualname__, raw, facts)
    return msgspec.json.encode(order)


def _crash(op: TaskOp, code: int | None) -> WorkerCrashError:
    how = f"exited with code {code}"
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    return WorkerCrashError(f"the process of task {op.id!r} {how}", task_id=op.id)


def _keep(child: Child) -> None:
    with _MUTEX:
        if len(_IDLE) < _MAX_IDLE:
            _IDLE.append(child)
            return
    child.kill()
    child.bury()


def _outcome(reply: _Reply) -> Outcome:
    if reply.done:
        return Outcome(plain(bytes(reply.output)))
    error = ChildError(reply.error_type, reply.message, reply.trace, retryable=reply.retryable)
    return Outcome(error=error)


@atexit.register
def _kill_all() -> None:
    # Before multiprocessing's own exit handler, which would wait for them for ever.
    for child in list(_CHILDREN):
        child.kill()


def _forget() -> None:
    _CHILDREN.clear()
    _IDLE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


# --- in the child -------------------------------------------------------------------------------------------------


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's matter
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            order = msgspec.json.decode(pipe.recv_bytes(), type=_Order)
        except (EOFError, OSError):
            return
        pipe.send_bytes(msgspec.json.encode(_execute(order)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _execute(order: _Order) -> _Reply:
    metadata = TaskMetadata()
    try:
        function: Any = importlib.import_module(order.module)
        for part in order.name.split("."):
            function = getattr(function, part)
        declared = declaration_of(function)
        metadata = declared.metadata if declared is not None else metadata
        value = codec_for(input_annotation(function)).decode(bytes(order.value))
        FRAME.set(TaskExecutionContext(metadata=metadata, **order.facts))
        output = _call(function, value)
        if isinstance(output, LoopResult):
            output = output.to_dict()
    except BaseException as error:  # noqa: BLE001 -- whatever happens in the child is the parent's to judge
        return _failed(error, retryable=is_retryable(error, metadata))
    try:
        nan = codec_for(output_annotation(function)).allow_nan
        return _Reply(True, msgspec.Raw(encode(output, allow_nan=nan)))
    except (SerializationError, DeserializationError) as error:
        return _failed(error, retryable=False)


def _call(function: Any, value: Any) -> Any:
    if is_async_callable(function):
        import asyncio

        return asyncio.run(function(value))
    return function(value)


def _failed(error: BaseException, *, retryable: bool) -> _Reply:
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 -- a user's __str__ may do anything
        message = f"<its text cannot be shown: {type(broken).__name__}>"
    trace = cut(trace_of(error), 49_152)
    return _Reply(
        False, error_type=type(error).__name__, message=cut(message, 16_384), trace=trace, retryable=retryable
    )
