"""The language of the filter box: words separated by blanks, each of which narrows the list.

    order-42                 instances whose id begins so (also id:order-42)
    status:failed,paused     any of these statuses
    workflow:order           of this workflow, all versions
    since:2h  until:2026-11-01T12:00   created since, until: a length of time ago, or a date and time (UTC when not said)
    meta.customer:"ann b"    what the top level of the workflow's metadata says

A value may stand in double quotes, in which a backslash keeps the next character. Pure: the time is an argument.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from sayiir.core.lifecycle import State
from sayiir.errors import FilterError
from sayiir.flow.duration import parse_duration
from sayiir.runtime.checks import checked_id
from sayiir.store.port import Query

KEYS = ("status", "workflow", "since", "until", "id", "meta.…")
MAX_FILTER = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def parse_filter(text: str, now: int) -> Query:
    """Return what a filter asks for.

    Args:
        text: the words, as in the file's docstring.
        now: microseconds since 1970, for lengths of time.

    Raises:
        FilterError: a word cannot be read; the error names it and says how it is written.

    >>> parse_filter("status:failed order-", 0).id_prefix
    'order-'
    """
    if len(text) > MAX_FILTER:
        raise FilterError(f"the filter has {len(text)} characters; at most {MAX_FILTER} are allowed")
    facts: dict[str, object] = {}
    metadata: dict[str, object] = {}
    for key, value in words(text):
        if key.startswith("meta."):
            metadata[_storable(key, key[5:])] = _scalar(key, value)
            continue
        name, fact = _fact(key, value, now)
        if name in facts:
            raise FilterError(f"the filter has {key or 'an id'} twice; give it once")
        facts[name] = fact
    query = msgspec.convert({}, Query)
    return msgspec.structs.replace(query, **facts, metadata=metadata or None)


def format_filter(pairs: dict[str, str]) -> str:
    """Return the text of a filter, its values quoted where they must be; an empty value is left out.

    >>> format_filter({"status": "failed", "meta.customer": "ann b", "id": ""})
    'status:failed meta.customer:"ann b"'
    """
    return " ".join(f"{key}:{quoted(value)}" for key, value in pairs.items() if value)


def quoted(value: str) -> str:
    """Return a value as it stands in a filter."""
    if value and not any(char.isspace() or char in '"\\:' for char in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def words(text: str) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of each word; the key of a bare word is "".

    Raises:
        FilterError: a quote is not closed.
    """
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        word, place, colon = _word(text, place)
        yield ("", word) if colon is None else (word[:colon], word[colon + 1 :])


def _word(text: str, place: int) -> tuple[str, int, int | None]:
    """Return a word without its quotes, where it ends, and where its first unquoted colon is."""
    found: list[str] = []
    colon: int | None = None
    inside = False
    begin = place
    while place < len(text) and (inside or not text[place].isspace()):
        char = text[place]
        if char == '"':
            inside = not inside
        elif char == "\\" and inside and place + 1 < len(text):
            place += 1
            found.append(text[place])
        else:
            if char == ":" and colon is None and not inside:
                colon = len(found)
            found.append(char)
        place += 1
    if inside:
        raise FilterError(f'the quote in {text[begin : begin + 40]!r} is not closed; add a "')
    return "".join(found), place, colon


def _fact(key: str, value: str, now: int) -> tuple[str, object]:
    if not value:
        word = f"{key}:" if key else "an empty word"
        raise FilterError(f"{word} has no value; write {key or 'id'}:something or leave it out")
    match key:
        case "" | "id":
            return "id_prefix", _id(value)
        case "status":
            return "statuses", tuple(dict.fromkeys(_status(name) for name in value.split(",")))
        case "workflow":
            return "workflow_id", _storable(key, value)
        case "since":
            return "created_after", _moment(key, value, now)
        case "until":
            return "created_before", _moment(key, value, now)
        case _:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise FilterError(f'the filter knows {", ".join(KEYS)}, not {key!r}{hint} (quote an id that has a colon: "a:b")')


def _id(value: str) -> str:
    try:
        return checked_id(value, "id")
    except ValueError as error:
        raise FilterError(str(error)) from None


def _status(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise FilterError(f"status:{name} is none; the statuses are {', '.join(State)}") from None


def _moment(key: str, value: str, now: int) -> int:
    try:
        return max(0, now - round(parse_duration(value) * 1_000_000))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)
        return max(0, (moment - _EPOCH) // _MICRO)
    except (ValueError, OverflowError):
        raise FilterError(
            f"{key}:{value} is no time; write a length such as 2h or 30m (that long ago), or 2026-11-01, or 2026-11-01T12:00"
        ) from None


def _scalar(key: str, value: str) -> object:
    """Return true, false, null and numbers as such, and all else as text; text that looks so cannot be asked for."""
    found: object
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return _storable(key, value)
    if isinstance(found, int) and not isinstance(found, bool) and not -(1 << 63) <= found < 1 << 63:
        raise FilterError(f"{key}:{value} is not within 64 bits")
    return found if found is None or isinstance(found, bool | int | float) else _storable(key, value)


def _storable(key: str, text: str) -> str:
    if not text or "\0" in text or any(0xD800 <= ord(char) < 0xE000 for char in text):
        raise FilterError(f"{key} has a name or value that cannot be stored: {text!r}")
    return text
