"""`Secret`: the mark of values that people must not see.

Rules of this file: small and quick to import, since every program imports it. What is made of the mark is in
`core/secrets.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")


class SecretMark:
    """What `Secret` puts beside a type; pydantic is told of it too, so that its schemas say the same as msgspec's."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        """Return pydantic's schema of the type, marked."""
        return {**handler(core_schema), "writeOnly": True}

    def __repr__(self) -> str:
        return "secret"


MARK: Final = SecretMark()
SCHEMA_MARK: Final = msgspec.Meta(extra_json_schema={"writeOnly": True})
"""The same for msgspec's schemas; it constrains nothing."""

Secret: TypeAlias = Annotated[T, MARK, SCHEMA_MARK]
"""A value that faces mask: `Secret[str]` is `str` to the program, to type checkers and in storage.

>>> from dataclasses import dataclass
>>> @dataclass
... class Login:
...     user: str
...     card: Secret[str]
>>> Login("ann", "4111").card
'4111'
"""
