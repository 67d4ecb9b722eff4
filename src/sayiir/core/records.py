"""The values that planner, runtime and stores hand to each other.

Small Structs only; no behaviour beyond reading themselves. A *reference* names a stored value inside an instance:
`token << 32 | step`, so on the main line (token 0) it is simply the step's number; 0 is the instance's input.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Ref: TypeAlias = int
INPUT_REF: Ref = 0
STEP_BITS = 32
STEP_MASK = (1 << STEP_BITS) - 1

RecordStatus: TypeAlias = Literal["completed", "failed", "crashed"]


def ref_of(token: int, step: int) -> Ref:
    """Return the reference of a token's step."""
    return token << STEP_BITS | step


Routing: TypeAlias = dict[str, tuple[int | None, str]]
"""Node → (priority, tags as text), for the nodes that have either (see `program.tags_text`)."""


class Definition(msgspec.Struct, frozen=True, gc=False):
    """A definition as stores know it: its name, its text, which nodes ask for tags or a priority, and what is secret.

    `secrets` is a JSON text (see `core.secrets`); "" where nobody has worked it out. `attempts` has the tasks that are
    retried, and how many attempts each has.
    """

    workflow_id: str
    definition_hash: str
    structure: str
    routing: Routing = {}
    secrets: str = ""
    attempts: dict[str, int] = {}


class Record(msgspec.Struct, gc=False):
    """One line of an instance's history: an attempt that ended, or a structure that was passed.

    A line holds its value in `output`, or says in `parts` of which earlier values it is made (values are written once).
    """

    ref: Ref
    node: str
    kind: str
    iteration: int = 1
    attempt: int = 1
    status: RecordStatus = "completed"
    output: bytes | None = None
    parts: bytes | None = None
    source: Ref = INPUT_REF
    error: bytes | None = None
    worker: str | None = None
    started_at: int = 0
    finished_at: int = 0
    superseded: bool = False


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a token stands: the node to do next and the value it continues from."""

    node: str
    ref: Ref = INPUT_REF
    step: int = 0
    attempt: int = 1
    iteration: int = 1
    crashes: int = 0
    keys: tuple[str, ...] = ()
    """The keys of the routes around the token, outermost first."""


class Run(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Run the task at the position."""


class Wait(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Park for a length of time: a delay, or the pause before a retry."""

    seconds: float
    retry: bool = False


class Await(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Park until a signal is there, or until the timeout."""

    signal: str
    seconds: float | None = None


class Fork(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Park the token and start one for each branch: (token number, position, whether a task stands there)."""

    children: tuple[tuple[int, Position, bool], ...]


class Arrive(msgspec.Struct, frozen=True, tag=True, gc=False):
    """End a branch token at its join; the last one to arrive moves the parent to `join`."""

    parent: int
    fork: str
    join: str
    expected: tuple[tuple[int, str], ...]
    """Every branch of the fork: (token number, branch name) in declaration order."""


class Complete(msgspec.Struct, frozen=True, tag=True, gc=False):
    """End the instance with the value at the position."""


class Fail(msgspec.Struct, frozen=True, tag=True, gc=False):
    """End the instance as failed."""

    error: bytes


Decision: TypeAlias = Run | Wait | Await | Fork | Arrive | Complete | Fail


class Move(msgspec.Struct, frozen=True, gc=False):
    """What one checkpoint writes: the lines of history, the token's new position, and what it does there."""

    records: tuple[Record, ...]
    position: Position
    decision: Decision


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why a task failed, as it is stored and shown."""

    error_type: str
    message: str
    task_id: str
    node_id: str
    attempts: int = 1
    traceback: str = ""
    code: str = "task_failed"
    details: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The one-line form, "ErrorType: message"."""
        return f"{self.error_type}: {self.message}" if self.message else self.error_type
