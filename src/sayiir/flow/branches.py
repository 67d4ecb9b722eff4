"""The builders of forks and routes.

They collect branches and hand one node to their flow; what one call can see to be wrong, that call raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, overload

from sayiir.core.graph import Branch, ForkNode, RouteNode, TaskMetadata, TaskNode
from sayiir.errors import DefinitionError
from sayiir.flow.task import declaration_of, is_async_callable
from sayiir.flow.typing import B, Dict, In, J, Out, R, Step
from sayiir.flow.workflow import Workflow

if TYPE_CHECKING:
    from sayiir.flow.builder import Flow


class ForkBuilder(Generic[In, Out]):
    """Collects the branches of a fork."""

    def __init__(self, flow: Flow[In, Out]) -> None:
        self._flow = flow
        self._branches: list[Branch] = []

    @overload
    def branch(
        self, first: Callable[[Out], object] | Workflow[Out, Any], /, *task_funcs: Step, name: str | None = None
    ) -> ForkBuilder[In, Out]: ...
    @overload
    def branch(
        self: ForkBuilder[In, Dict],
        first: Callable[[R], object] | Workflow[R, Any],
        /,
        *task_funcs: Step,
        name: str | None = None,
    ) -> ForkBuilder[In, Out]: ...
    def branch(self, *task_funcs: Any, name: str | None = None) -> Any:
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
    def join(self, task_func: Callable[[Dict], Awaitable[B]], *, name: str | None = None) -> Flow[In, B]: ...
    @overload
    def join(self, task_func: Callable[[Dict], B], *, name: str | None = None) -> Flow[In, B]: ...
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

    @overload
    def branch(
        self,
        key: str,
        first: Callable[[Out], object] | Workflow[Out, Any],
        /,
        *task_funcs: Step,
        name: str | None = None,
    ) -> BranchBuilder[In, Out]: ...
    @overload
    def branch(
        self: BranchBuilder[In, Dict],
        key: str,
        first: Callable[[R], object] | Workflow[R, Any],
        /,
        *task_funcs: Step,
        name: str | None = None,
    ) -> BranchBuilder[In, Out]: ...
    def branch(self, key: str, *task_funcs: Any, name: str | None = None) -> Any:
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

    @overload
    def default_branch(
        self, first: Callable[[Out], object] | Workflow[Out, Any], /, *task_funcs: Step, name: str | None = None
    ) -> BranchBuilder[In, Out]: ...
    @overload
    def default_branch(
        self: BranchBuilder[In, Dict],
        first: Callable[[R], object] | Workflow[R, Any],
        /,
        *task_funcs: Step,
        name: str | None = None,
    ) -> BranchBuilder[In, Out]: ...
    def default_branch(self, *task_funcs: Any, name: str | None = None) -> Any:
        """Add the branch for every key that has none of its own.

        Args:
            task_funcs: the steps: tasks or built workflows.
            name: the first task's id.

        Raises:
            ValueError: no step was given.
            DefinitionError: there is a default branch already.
        """
        return self._add(None, task_funcs, name)

    def done(self) -> Flow[In, Dict]:
        """End the route; the value becomes `{"branch": key, "result": the branch's output}`.

        Raises:
            ValueError: a declared key has no branch and there is no default branch.
        """
        self._flow._check_open(self)
        have = {branch.key for branch in self._branches}
        missing = [key for key in self._keys if key not in have]
        if missing and None not in have:
            raise ValueError(f"Route: missing branches for keys: {', '.join(missing)}")
        node = RouteNode(self._id, self._key, self._keys, tuple(self._branches))
        flow: Flow[In, Dict] = self._flow._close(self, node)
        return flow

    def _add(self, key: str | None, steps: Sequence[Any], name: str | None) -> BranchBuilder[In, Out]:
        self._flow._check_open(self)
        if not steps:
            raise ValueError("a branch needs at least one task: .branch(key, task, …)")
        if any(branch.key == key for branch in self._branches):
            shown = "the default branch" if key is None else f"key {key!r}"
            raise DefinitionError(f"route {self._id!r} has two branches for {shown}; keep one")
        nodes = self._flow._names.sequence(steps, name)
        self._branches.append(Branch(nodes[0].id, nodes, key))
        return self
