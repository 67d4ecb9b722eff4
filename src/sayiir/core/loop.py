"""What a loop's body returns."""

from __future__ import annotations

import enum
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class OnMax(enum.StrEnum):
    """What a loop does when `max_iterations` is reached."""

    FAIL = "fail"
    EXIT_WITH_LAST = "exit_with_last"


class LoopResult(Generic[T]):
    """Tells a loop to go on with a value or to end with one.

    Type parameter: what the loop ends with; the value it goes on with may be of another type.

    >>> LoopResult.done(3).to_dict()
    {'_loop': 'done', 'value': 3}
    """

    __slots__ = ("_again", "value")

    def __init__(self, again: bool, value: T) -> None:
        self._again = again
        self.value = value

    @classmethod
    def again(cls, value: Any) -> LoopResult[Any]:
        """Return "run the body once more with this value"."""
        return cls(True, value)

    @classmethod
    def done(cls, value: T) -> LoopResult[T]:
        """Return "leave the loop with this value"."""
        return cls(False, value)

    @property
    def is_again(self) -> bool:
        """Whether the loop goes on."""
        return self._again

    @property
    def is_done(self) -> bool:
        """Whether the loop ends."""
        return not self._again

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form, which a body may return just as well."""
        return {"_loop": "again" if self._again else "done", "value": self.value}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoopResult) and self._again == other._again and self.value == other.value

    def __hash__(self) -> int:
        return hash((self._again, self.value))

    def __repr__(self) -> str:
        return f"LoopResult.{'again' if self._again else 'done'}({self.value!r})"
