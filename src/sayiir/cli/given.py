"""What the shell hands in: JSON from an argument, a file or stdin; ids from arguments or stdin; the words of a filter."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from sayiir.cli.codes import RefusedError


def read_json(text: str, what: str) -> bytes:
    """Return the JSON that an option gives, as it stands.

    Args:
        text: JSON, "@file", or "-" for stdin.
        what: the option's name, for the refusal.

    Raises:
        RefusedError: it cannot be read, or is no JSON.
    """
    if text == "-":
        raw = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            raw = Path(text[1:]).read_bytes()
        except OSError as error:
            raise RefusedError(f"{what}: {text[1:]!r} cannot be read: {error.strerror}; check the path") from error
    else:
        raw = text.encode("utf-8", "surrogateescape")
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        problem = f"{what} is no JSON: {error}"
        if text.isprintable() and text not in ("", "-") and text[0] not in '@{["':
            problem += f"; text needs quotes: '\"{text}\"'"
        raise RefusedError(problem) from error
    return raw.strip()


def read_ids(given: Sequence[str]) -> Iterator[str]:
    """Yield ids; "-" stands for those on stdin, one a line."""
    for one in given:
        if one == "-":
            yield from (text for line in sys.stdin if (text := line.rstrip("\r\n")))
        else:
            yield one


def filter_of(words: Iterable[str]) -> str:
    """Return the words of a filter as one text; a value that the shell took the quotes from gets them back.

    >>> filter_of(["status:failed", "meta.customer:ann b"])
    'status:failed meta.customer:"ann b"'
    """
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    key, colon, value = word.partition(":")
    if colon and " " in value and " " not in key and '"' not in value and ":" not in value:
        return f'{key}:"{value}"'
    return word


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something that concerns many.

    Raises:
        RefusedError: the answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        asked = question.rstrip("?")
        raise RefusedError(f"{asked}: nobody can be asked here; add --yes, or --dry-run to see what it would do")
    if not click.confirm(question, err=True):
        raise RefusedError("nothing was done", 1)
