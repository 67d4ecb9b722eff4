"""The type of a flow that has no step yet, for type checkers only: its first step decides what goes in.

At run time `Flow(…)` is a Flow. The methods here only differ in their signatures from those of Flow, which have the
documentation.
"""
# ruff: noqa: D102 -- signatures only

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, overload

from sayiir.flow.builder import BranchBuilder, Flow
from sayiir.flow.duration import Duration
from sayiir.flow.typing import A, B, Body, Dict, Key, Last, Limit, Loose
from sayiir.flow.workflow import Workflow


class FreshFlow(Flow[Any, Any]):
    """A flow without a step."""

    @overload  # type: ignore[override]  # what goes in is decided here, once
    def then(
        self, task_func: Callable[[A], Awaitable[B]] | Loose[Awaitable[Any]], *, name: str | None = None
    ) -> Flow[A, B]: ...
    @overload
    def then(self, task_func: Callable[[A], B] | Loose[Any], *, name: str | None = None) -> Flow[A, B]: ...
    def then(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, task_func: Any, *, name: str | None = None
    ) -> Any:
        raise NotImplementedError

    def delay(self, name: str, duration: Duration) -> FreshFlow:
        raise NotImplementedError

    @overload
    def loop(
        self,
        task_func: Callable[[A], Body[B]] | Loose[Body[Any]],
        *,
        max_iterations: int = 10,
        on_max: Last,
        name: str | None = None,
    ) -> Flow[A, A | B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[A], Body[B]] | Loose[Body[Any]],
        *,
        max_iterations: int = 10,
        on_max: Limit = "fail",
        name: str | None = None,
    ) -> Flow[A, B]: ...
    @overload
    def loop(
        self,
        task_func: Callable[[A], Dict | Awaitable[Dict]] | Loose[Dict | Awaitable[Dict]],
        *,
        max_iterations: int = 10,
        on_max: Limit = "fail",
        name: str | None = None,
    ) -> Flow[A, Any]: ...
    def loop(
        self, task_func: Any, *, max_iterations: int = 10, on_max: Limit = "fail", name: str | None = None
    ) -> Any:
        raise NotImplementedError

    def route(self, key_fn: Callable[[A], Key] | Loose[Key], *, keys: Sequence[str]) -> BranchBuilder[A, A]:
        raise NotImplementedError

    def then_flow(self, workflow: Workflow[A, B]) -> Flow[A, B]:
        raise NotImplementedError
