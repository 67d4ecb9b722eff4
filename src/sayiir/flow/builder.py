"""`Flow` and the builders of forks and routes.

A builder only collects: mistakes that one call can see are raised by that call where the documented API says so, all
others are gathered and reported together by `build()`. The tree is made at `build()` and shares nothing with the
builder afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from sayiir.core.check import name_problem, problems
from sayiir.core.graph import (
    Branch,
    ChildNode,
    DelayNode,
    ForkNode,
    Graph,
    LoopNode,
    Node,
    RouteNode,
    SignalNode,
    TaskMetadata,
    TaskNode,
    prefixed,
)
from sayiir.core.loop import LoopResult, OnMax
from sayiir.errors import DefinitionError
from sayiir.flow.duration import Duration, parse_duration
from sayiir.flow.task import declaration_of, is_async_callable
from sayiir.flow.typing import JoinInput, Unset
from sayiir.flow.workflow import Workflow

In = TypeVar("In")
Out = TypeVar("Out")
A = TypeVar("A")
B = TypeVar("B")
J = TypeVar("J", bound=JoinInput)
Step = Callable[[Any], Any] | Workflow[Any, Any]


class _Names:
    """Draws the generated names of one flow and remembers its problems."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.problems: list[str] = []

    def draw(self, stem: str) -> str:
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return f"{stem}_{number}"

    def check(self, what: str, name: Any) -> str:
        if problem := name_problem(what, name):
            self.problems.append(problem)
        return str(name)

    def task(self, function: Any, name: str | None, what: str = "task") -> TaskNode:
        if isinstance(function, Workflow):
            raise TypeError(f"a workflow cannot be the {what}; add it with .then_flow(…) or as a step of a branch")
        if not callable(function):
            raise TypeError(f"{what} must be a callable, not {function!r}")
        declared = declaration_of(function)
        if name is None and declared is not None:
            name = declared.name
        if name is None:
            name = getattr(function, "__name__", None)
            if not isinstance(name, str) or name == "<lambda>":
                name = self.draw("lambda")
        metadata = declared.metadata if declared is not None else TaskMetadata()
        return TaskNode(self.check(f"{what} name", name), function, is_async_callable(function), metadata)

    def child(self, workflow: Any) -> ChildNode:
        if not isinstance(workflow, Workflow):
            raise TypeError(f"then_flow takes a built Workflow, not {workflow!r}; call .build() on the Flow first")
        name = self.draw("child")
        return ChildNode(name, workflow.workflow_id, prefixed(workflow.graph.nodes, name))

    def sequence(self, steps: Sequence[Step], name: str | None) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for index, step in enumerate(steps):
            if isinstance(step, Workflow):
                nodes.append(self.child(step))
            else:
                nodes.append(self.task(step, name if index == 0 else None))
        return tuple(nodes)


class Flow(Generic[In, Out]):
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

    @overload
    def __init__(self: Flow[Unset, Unset], name: str = "workflow", *, metadata: Any = None) -> None: ...
    @overload
    def __init__(self, name: str = "workflow", *, metadata: Any = None) -> None: ...
    def __init__(self, name: str = "workflow", *, metadata: Any = None) -> None:
        if problem := name_problem("flow name", name, plain=False):
            raise ValueError(problem)
        self._metadata = None if metadata is None else _copied(name, metadata)
        self._name = name
        self._names = _Names()
        self._nodes: list[Node] = []
        self._open: dict[object, str] = {}

    @overload
    def then(self: Flow[Unset, Unset], task_func: Callable[[A], Awaitable[B]], *, name: str | None = None) -> Flow[A, B]: ...
    @overload
    def then(self: Flow[Unset, Unset], task_func: Callable[[A], B], *, name: str | None = None) -> Flow[A, B]: ...
    @overload
    def then(self, task_func: Callable[[Out], Awaitable[B]], *, name: str | None = None) -> Flow[In, B]: ...
    @overload
    def then(self, task_func: Callable[[Out], B], *, name: str | None = None) -> Flow[In, B]: ...
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
        on_timeout: Literal["fail", "continue"] = "fail",
    ) -> Flow[In, B]: ...
    @overload
    def wait_for_signal(
        self,
        signal_name: str,
        *,
        name: str | None = None,
        timeout: Duration | None = None,
        type: None = None,
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
        self: Flow[Unset, Unset],
        task_func: Callable[[A], Awaitable[LoopResult[B]]],
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
        name: str | None = None,
    ) -> Flow[A, B]: ...
    @overload
    def loop(
        self: Flow[Unset, Unset],
        task_func: Callable[[A], LoopResult[B]],
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
        name: str | None = None,
    ) -> Flow[A, B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[Out], Awaitable[LoopResult[B]]],
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
        name: str | None = None,
    ) -> Flow[In, B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[Out], LoopResult[B]],
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
        name: str | None = None,
    ) -> Flow[In, B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[Out], dict[str, Any] | Awaitable[dict[str, Any]]],
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
        name: str | None = None,
    ) -> Flow[In, Any]: ...
    def loop(
        self,
        task_func: Any,
        *,
        max_iterations: int = 10,
        on_max: OnMax | Literal["fail", "exit_with_last"] = "fail",
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

    def route(
        self, key_fn: Callable[[Out], str] | Callable[[Out], Awaitable[str]], *, keys: Sequence[str]
    ) -> BranchBuilder[In, Out]:
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
    def then_flow(self: Flow[Unset, Unset], workflow: Workflow[A, B]) -> Flow[A, B]: ...
    @overload
    def then_flow(self, workflow: Workflow[Out, B]) -> Flow[In, B]: ...
    def then_flow(self, workflow: Any) -> Any:
        """Add another workflow's nodes as one step, in a namespace of their own (`child_0/task`).

        Args:
            workflow: a built workflow.

        Raises:
            TypeError: it is not a Workflow.
        """
        return self._add(self._names.child(workflow))

    def build(self) -> Workflow[In, Out]:
        """Compile the workflow.

        Raises:
            DefinitionError: the definition has mistakes; the text and `problems` list all of them.
        """
        graph = Graph(self._name, tuple(self._nodes), self._metadata)
        found = [*self._names.problems, *(f"flow {self._name!r} has {text}" for text in self._open.values()), *problems(graph)]
        if found:
            listed = found[0] if len(found) == 1 else f"{len(found)} mistakes:\n" + "\n".join(f"- {x}" for x in found)
            raise DefinitionError(f"cannot build flow {self._name!r}: {listed}", workflow_id=self._name, problems=found)
        return Workflow(graph)

    def _add(self, node: Node) -> Any:
        self._nodes.append(node)
        return self

    def _check_open(self, builder: object) -> None:
        if builder not in self._open:
            raise DefinitionError(f"this fork or route of flow {self._name!r} has ended; start another with .fork() or .route(…)")

    def _close(self, builder: object, node: Node) -> Any:
        del self._open[builder]
        return self._add(node)


def _copied(flow: str, metadata: Any) -> Any:
    import json

    try:
        return json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata of flow {flow!r} must be a JSON value: {error}") from error


class ForkBuilder(Generic[In, Out]):
    """Collects the branches of a fork."""

    def __init__(self, flow: Flow[In, Out]) -> None:
        self._flow = flow
        self._branches: list[Branch] = []

    def branch(self, *task_funcs: Step, name: str | None = None) -> ForkBuilder[In, Out]:
        """Add a branch of one or more steps: tasks or built workflows.

        Args:
            task_funcs: the steps, in order.
            name: the branch's name (its key in the join's dict) and its first task's id.

        Raises:
            ValueError: no step was given.
        """
        self._flow._check_open(self)
        if not task_funcs:
            raise ValueError("a branch needs at least one task: .branch(task, …)")
        nodes = self._flow._names.sequence(task_funcs, name)
        first = task_funcs[0]
        if isinstance(first, Workflow):
            label = self._flow._names.check("branch name", name if name is not None else first.workflow_id)
        else:
            label = nodes[0].id
        self._branches.append(Branch(label, nodes))
        return self

    @overload
    def join(self, task_func: Callable[[J], Awaitable[B]], *, name: str | None = None) -> Flow[In, B]: ...
    @overload
    def join(self, task_func: Callable[[J], B], *, name: str | None = None) -> Flow[In, B]: ...
    def join(self, task_func: Any, *, name: str | None = None) -> Any:
        """Join the branches with a task that gets one dict: branch name → the branch's last output.

        Args:
            task_func: the joining task.
            name: its id, instead of the function's name.

        Raises:
            ValueError: the fork has no branch.
        """
        self._flow._check_open(self)
        if not self._branches:
            raise ValueError("a fork needs at least one branch: .fork().branch(task).join(task)")
        join = self._flow._names.task(task_func, name, "join")
        # Joined, the only branch's name would be the id of its first task too; no name may end in the mark.
        fork_id = "||".join(branch.name for branch in self._branches) + ("||" if len(self._branches) == 1 else "")
        return self._flow._close(self, ForkNode(fork_id, tuple(self._branches), join))


class BranchBuilder(Generic[In, Out]):
    """Collects the branches of a route."""

    def __init__(self, flow: Flow[In, Out], key_fn: Any, keys: Sequence[str]) -> None:
        if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"keys must be a list of strings, not {keys!r}")
        self._keys = tuple(str.__str__(key) for key in keys)
        if not self._keys:
            raise ValueError("a route needs at least one key: .route(key_fn, keys=[…])")
        if len(set(self._keys)) < len(self._keys):
            raise DefinitionError(f"a route's keys must differ, not {list(keys)!r}")
        self._flow = flow
        self._id = flow._names.draw("branch")
        self._key = TaskNode(f"{self._id}::key_fn", key_fn, is_async_callable(key_fn), self._metadata(key_fn))
        self._branches: list[Branch] = []

    @staticmethod
    def _metadata(key_fn: Any) -> TaskMetadata:
        if not callable(key_fn):
            raise TypeError(f"the key function must be a callable, not {key_fn!r}")
        declared = declaration_of(key_fn)
        return declared.metadata if declared is not None else TaskMetadata()

    def branch(self, key: str, *task_funcs: Step, name: str | None = None) -> BranchBuilder[In, Out]:
        """Add the branch that runs when the key function returns `key`.

        Args:
            key: one of the declared keys.
            task_funcs: the steps: tasks or built workflows.
            name: the first task's id.

        Raises:
            ValueError: the key is not declared, or no step was given.
            DefinitionError: the key has a branch already.
        """
        if key not in self._keys:
            raise ValueError(f"Branch key {key!r} is not in the declared keys: {list(self._keys)}")
        return self._add(str.__str__(key), task_funcs, name)

    def default_branch(self, *task_funcs: Step, name: str | None = None) -> BranchBuilder[In, Out]:
        """Add the branch for every key that has none of its own.

        Args:
            task_funcs: the steps: tasks or built workflows.
            name: the first task's id.

        Raises:
            ValueError: no step was given.
            DefinitionError: there is a default branch already.
        """
        return self._add(None, task_funcs, name)

    def done(self) -> Flow[In, dict[str, Any]]:
        """End the route; the value becomes `{"branch": key, "result": the branch's output}`.

        Raises:
            ValueError: a declared key has no branch and there is no default branch.
        """
        self._flow._check_open(self)
        have = {branch.key for branch in self._branches}
        missing = [key for key in self._keys if key not in have]
        if missing and None not in have:
            raise ValueError(f"Route: missing branches for keys: {', '.join(missing)}")
        return self._flow._close(self, RouteNode(self._id, self._key, self._keys, tuple(self._branches)))  # type: ignore[no-any-return]

    def _add(self, key: str | None, steps: Sequence[Step], name: str | None) -> BranchBuilder[In, Out]:
        self._flow._check_open(self)
        if not steps:
            raise ValueError("a branch needs at least one task: .branch(key, task, …)")
        if any(branch.key == key for branch in self._branches):
            shown = "the default branch" if key is None else f"key {key!r}"
            raise DefinitionError(f"route {self._id!r} has two branches for {shown}; keep one")
        nodes = self._flow._names.sequence(steps, name)
        self._branches.append(Branch(nodes[0].id, nodes, key))
        return self
