"""Helper types of the builders' signatures; nothing here exists at run time beyond names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from sayiir.core.loop import LoopResult, OnMax
from sayiir.flow.workflow import Workflow


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Model(Protocol):
    @classmethod
    def model_validate(cls, obj: Any) -> Any: ...


class _Struct(Protocol):
    __struct_fields__: ClassVar[tuple[str, ...]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


Record: TypeAlias = "_Dataclass | _Model | _Struct | _Attrs"
"""A class that a JSON object decodes into."""
Dict: TypeAlias = "dict[str, Any]"
Step: TypeAlias = "Callable[[Any], Any] | Workflow[Any, Any]"
"""What a branch is made of."""
Body: TypeAlias = "LoopResult[B] | Awaitable[LoopResult[B]]"
"""What a loop's body returns."""
Key: TypeAlias = "str | Awaitable[str]"
"""What a route's key function returns."""
Limit: TypeAlias = OnMax | Literal["fail", "exit_with_last"]
Last: TypeAlias = Literal["exit_with_last", OnMax.EXIT_WITH_LAST]

In = TypeVar("In")
Out = TypeVar("Out")
if TYPE_CHECKING:
    # Every type checker knows it: type variables with a value for what nothing decides.
    import typing_extensions as later

    A = later.TypeVar("A", default=Any)
    B = later.TypeVar("B", default=Any)
    R = later.TypeVar("R", bound=Record, default=Any)
    J = later.TypeVar("J", bound="Mapping[str, Any] | Record", default=Any)
    """What a join's parameter may be: something that a dict of branch outputs decodes into."""
    Default = later.TypeVar("Default", default=None)
else:
    A, B, R, J, Default = map(TypeVar, ("A", "B", "R", "J", "Default"))
Returned_co = TypeVar("Returned_co", covariant=True)


# The first step of a flow may be a lambda, of whose parameter nothing is known. Pyright gives it the type of a free
# type variable, with which a body can do nothing, unless the signature offers another callable to try. Mypy gives it
# Any, and would learn nothing from functions with annotations any more if they fitted the other callable too.
MYPY = False
if MYPY:

    class Loose(Protocol[Returned_co]):  # pyright: ignore[reportRedeclaration]
        """A callable that takes anything, and that nothing is."""

        no_callable_has_this: None

        def __call__(self, value: Any, /) -> Returned_co:
            """Take anything."""
            ...

else:

    class Loose(Protocol[Returned_co]):
        """A callable that takes anything."""

        def __call__(self, value: Any, /) -> Returned_co:
            """Take anything."""
            ...
