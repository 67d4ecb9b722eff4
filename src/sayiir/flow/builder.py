"""`Flow`, the builder of workflows.

A builder only collects: mistakes that one call can see are raised by that call where the documented API says so, all
others are gathered and reported together by `build()`. The tree is made at `build()` and shares nothing with the
builder afterwards.

For type checkers a flow carries what its first task takes and what its last one gives, and `Flow(…)` makes a
`FreshFlow`, whose first step decides both. A JSON object may become a record (a dataclass, a model): that a step asks
for one after a step that gives a dict is no mistake, and neither is a dict as the input of such a workflow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from sayiir.core.check import problems
from sayiir.core.graph import DelayNode, Graph, LoopNode, SignalNode
from sayiir.errors import DefinitionError
from sayiir.flow.branches import BranchBuilder, ForkBuilder
from sayiir.flow.draft import Draft
from sayiir.flow.duration import Duration, parse_duration
from sayiir.flow.typing import B, Body, Dict, In, Key, Last, Limit, Out, R
from sayiir.flow.workflow import Workflow

if TYPE_CHECKING:
    from sayiir.flow.fresh import FreshFlow

__all__ = ["BranchBuilder", "Flow", "ForkBuilder"]


class Flow(Draft, Generic[In, Out]):
    """Builds a workflow step by step; every method returns the flow, `build()` the Workflow.

    Type parameters: what the first task takes, and what the last one gives.

    Args:
        name: the workflow's id, 1 to 256 characters.
        metadata: any JSON value; tasks read it as `get_task_context().workflow_metadata`.

    Raises:
        ValueError: the name is empty or not a string.
        TypeError: the metadata is not JSON.

    >>> from sayiir import Flow, run_workflow
    >>> run_workflow(Flow("double").then(lambda x: x * 2).build(), 21)
    42
    """

    if TYPE_CHECKING:

        def __new__(cls, name: str = "workflow", *, metadata: Any = None) -> FreshFlow: ...  # noqa: D102

    @overload
    def then(self, task_func: Callable[[Out], Awaitable[B]], *, name: str | None = None) -> Flow[In, B]: ...
    @overload
    def then(self, task_func: Callable[[Out], B], *, name: str | None = None) -> Flow[In, B]: ...
    @overload
    def then(
        self: Flow[In, Dict], task_func: Callable[[R], Awaitable[B]], *, name: str | None = None
    ) -> Flow[In, B]: ...
    @overload
    def then(self: Flow[In, Dict], task_func: Callable[[R], B], *, name: str | None = None) -> Flow[In, B]: ...
    def then(self, task_func: Any, *, name: str | None = None) -> Any:
        """Add a task.

        Args:
            task_func: any callable of one argument, sync or async.
            name: the task's id, instead of the function's name.
        """
        return self._add(self._names.task(task_func, name))

    def delay(self, name: str, duration: Duration) -> Flow[In, Out]:
        """Add a durable wait, during which nothing is held; the value passes through.

        Args:
            name: the node's id.
            duration: seconds, a timedelta, or text like "24h".

        Raises:
            ValueError: the duration is not one.
        """
        return self._add(DelayNode(self._names.check("delay name", name), parse_duration(duration)))

    @overload
    def wait_for_signal(
        self,
        signal_name: str,
        *,
        type: type[B],
        name: str | None = None,
        timeout: Duration | None = None,
        on_timeout: Literal["fail"] = "fail",
    ) -> Flow[In, B]: ...
    @overload
    def wait_for_signal(
        self,
        signal_name: str,
        *,
        type: type[B],
        name: str | None = None,
        timeout: Duration | None = None,
        on_timeout: Literal["continue"],
    ) -> Flow[In, Out | B]: ...
    @overload
    def wait_for_signal(
        self,
        signal_name: str,
        *,
        name: str | None = None,
        timeout: Duration | None = None,
        type: Any = None,
        on_timeout: Literal["fail", "continue"] = "fail",
    ) -> Flow[In, Any]: ...
    def wait_for_signal(
        self,
        signal_name: str,
        *,
        name: str | None = None,
        timeout: Duration | None = None,
        type: Any = None,
        on_timeout: Literal["fail", "continue"] = "fail",
    ) -> Any:
        """Park until a signal is sent; its payload becomes the value.

        Args:
            signal_name: the signal's name.
            name: the node's id, instead of the signal's name.
            timeout: how long to wait; None for ever.
            type: the payload's type; a payload that does not fit is refused.
            on_timeout: "fail" ends the instance with SignalTimeoutError, "continue" goes on with the previous value.

        Raises:
            ValueError: the timeout is not a duration, or `on_timeout` is neither word.
        """
        if on_timeout not in ("fail", "continue"):
            raise ValueError(f'on_timeout must be "fail" or "continue", not {on_timeout!r}')
        signal = self._names.check("signal name", signal_name)
        node_id = signal if name is None else self._names.check("node name", name)
        limit = None if timeout is None else parse_duration(timeout)
        return self._add(SignalNode(node_id, signal, limit, type, on_timeout))

    @overload
    def loop(
        self, task_func: Callable[[Out], Body[B]], *, max_iterations: int = 10, on_max: Last, name: str | None = None
    ) -> Flow[In, Out | B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[Out], Body[B]],
        *,
        max_iterations: int = 10,
        on_max: Limit = "fail",
        name: str | None = None,
    ) -> Flow[In, B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[Out], Dict | Awaitable[Dict]],
        *,
        max_iterations: int = 10,
        on_max: Limit = "fail",
        name: str | None = None,
    ) -> Flow[In, Any]: ...
    def loop(
        self,
        task_func: Any,
        *,
        max_iterations: int = 10,
        on_max: Limit = "fail",
        name: str | None = None,
    ) -> Any:
        """Repeat a task until it returns `LoopResult.done(value)`; every iteration is checkpointed.

        Args:
            task_func: the body; returns a LoopResult or its dict form.
            max_iterations: how often the body may run, 1 or more.
            on_max: "fail" ends the instance with LoopLimitError, "exit_with_last" goes on with the last value.
            name: the body's id.

        Raises:
            ValueError: `max_iterations` or `on_max` is out of its range.
        """
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
            raise ValueError(f"max_iterations must be an int of 1 or more, not {max_iterations!r}")
        if on_max not in ("fail", "exit_with_last"):
            raise ValueError(f'on_max must be "fail" or "exit_with_last", not {on_max!r}')
        loop_id = self._names.draw("loop")
        body = self._names.task(task_func, name, "loop body")
        limit: Literal["fail", "exit_with_last"] = "fail" if on_max == "fail" else "exit_with_last"
        return self._add(LoopNode(loop_id, body, max_iterations, limit))

    def fork(self) -> ForkBuilder[In, Out]:
        """Start branches that run side by side on the same input; end them with `.join(…)`."""
        builder = ForkBuilder(self)
        self._open[builder] = "a fork without .join(…); every .fork() needs one"
        return builder

    def route(self, key_fn: Callable[[Out], Key], *, keys: Sequence[str]) -> BranchBuilder[In, Out]:
        """Start a choice of one branch by the key that a task returns; end it with `.done()`.

        Args:
            key_fn: the task that returns the key.
            keys: every key that it may return (a default branch takes all others).

        Raises:
            ValueError: no keys, or a key that is not a string or stands twice.
        """
        builder = BranchBuilder(self, key_fn, keys)
        self._open[builder] = "a route without .done(); every .route(…) needs one"
        return builder

    @overload
    def then_flow(self, workflow: Workflow[Out, B]) -> Flow[In, B]: ...
    @overload
    def then_flow(self: Flow[In, Dict], workflow: Workflow[R, B]) -> Flow[In, B]: ...
    def then_flow(self, workflow: Any) -> Any:
        """Add another workflow's nodes as one step, in a namespace of their own (`child_0/task`).

        Args:
            workflow: a built workflow.

        Raises:
            TypeError: it is not a Workflow.
        """
        return self._add(self._names.child(workflow))

    @overload
    def build(self: Flow[R, Out]) -> Workflow[R | Mapping[str, Any], Out]: ...  # type: ignore[overload-overlap]
    @overload
    def build(self) -> Workflow[In, Out]: ...
    def build(self) -> Any:
        """Compile the workflow.

        Raises:
            DefinitionError: the definition has mistakes; the text and `problems` list all of them.
        """
        graph = Graph(self._name, tuple(self._nodes), self._metadata)
        unfinished = [f"flow {self._name!r} has {text}" for text in self._open.values()]
        found = [*self._names.problems, *unfinished, *problems(graph)]
        if found:
            listed = found[0] if len(found) == 1 else f"{len(found)} mistakes:\n" + "\n".join(f"- {x}" for x in found)
            raise DefinitionError(f"cannot build flow {self._name!r}: {listed}", workflow_id=self._name, problems=found)
        return Workflow(graph)
