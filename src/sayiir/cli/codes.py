"""Exit codes, as documented in `--help` and docs/workers.md, and the error that is one sentence on stderr."""

from __future__ import annotations

GRACEFUL = 0
ERROR = 1
USAGE = 2
REPLACE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with the command; whoever supervises it should start it again."""


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
