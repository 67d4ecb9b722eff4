"""Helper types of the builders' signatures; nothing here exists at run time beyond names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias


class Unset:
    """The type of a flow that has no step yet."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Model(Protocol):
    @classmethod
    def model_validate(cls, obj: Any) -> Any: ...


class _Struct(Protocol):
    __struct_fields__: ClassVar[tuple[str, ...]]


JoinInput: TypeAlias = "Mapping[str, Any] | _Dataclass | _Model | _Struct"
"""What a join's parameter may be: something that a dict of branch outputs decodes into."""
