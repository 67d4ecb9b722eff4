"""Exit codes, and how an error becomes one: the same codes that the HTTP API answers with decide it.

Rules of this file: the table is the only one; `sayiir --help` and docs/cli.md are made from it. An error is one sentence
on stderr that names the fix.
"""

from __future__ import annotations

GRACEFUL = 0
ERROR = 1
USAGE = 2
FORBIDDEN = 3
NOT_FOUND = 4
CONFLICT = 5
TIMEOUT = 6
FAILED = 10
CANCELLED = 11
REPLACE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with the command; whoever supervises it should start it again."""
INTERRUPTED = 130

TABLE: tuple[tuple[str, str], ...] = (
    ("0", "done"),
    ("1", "an error: no database or server answers, a task ended the worker"),
    ("2", "wrong arguments, a filter or JSON that cannot be read, workflows that cannot be imported"),
    ("3", "not allowed: no token, or one whose role is not enough"),
    ("4", "not found: no such instance, workflow or task"),
    ("5", "a conflict: the instance's state does not allow it, or its id is taken"),
    ("6", "--timeout ran out; the instance goes on"),
    ("10", "what was waited for has failed"),
    ("11", "what was waited for was cancelled"),
    ("75", "worker: to be started again; its processes kept dying, or tasks hang in their threads"),
    ("130", "Ctrl-C; 128+n after a second signal of number n"),
)

_BY_CODE = {
    "forbidden": FORBIDDEN,
    "unauthorized": FORBIDDEN,
    "cross_site": FORBIDDEN,
    "bad_request": USAGE,
    "invalid_value": USAGE,
    "body_too_large": USAGE,
    "bad_filter": USAGE,
    "serialization_error": USAGE,
    "deserialization_error": USAGE,
    "unknown_workflow": NOT_FOUND,
    "instance_already_exists": CONFLICT,
    "definition_mismatch": CONFLICT,
    "idempotency_conflict": CONFLICT,
    "invalid_state": CONFLICT,
    "instance_busy": CONFLICT,
    "claim_lost": CONFLICT,
    "timeout": TIMEOUT,
}


def code_of(error: BaseException) -> int:
    """Return the exit code of an error that has a stable `code`; of any other, 2 for a ValueError and else 1.

    >>> from sayiir import InstanceNotFoundError
    >>> code_of(InstanceNotFoundError("no instance 'a'")), code_of(ValueError("limit must be an int"))
    (4, 2)
    """
    if isinstance(error, RefusedError):
        return error.code
    code = str(getattr(error, "code", ""))
    if code.endswith("not_found"):
        return NOT_FOUND
    return _BY_CODE.get(code, USAGE if isinstance(error, ValueError) else ERROR)


def one_line(error: BaseException) -> str:
    """Return an error's text as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def forced(signal_number: int) -> int:
    """Return the code of an end that a second signal forced, as shells count."""
    return 128 + signal_number


class RefusedError(Exception):
    """What was asked for cannot be done.

    Args:
        sentence: what, and how to put it right.
        code: the exit code.
    """

    def __init__(self, sentence: str, code: int = USAGE) -> None:
        super().__init__(sentence)
        self.code = code
