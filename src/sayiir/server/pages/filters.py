"""The filter of the list, changed one word at a time: what facets and links are made of.

Rules of this file: pure; the language has one parser, `sayiir.service.filter`. A filter that cannot be read is left to
the service, which says what is wrong with it.
"""

from __future__ import annotations

from sayiir.errors import FilterError
from sayiir.service.filter import quoted, words


def value_of(where: str, key: str) -> str:
    """Return what a filter asks of one key; "" for nothing.

    >>> value_of('status:failed meta.x:"a b"', "status")
    'failed'
    """
    return dict(_pairs(where)).get(key, "")


def with_word(where: str, key: str, value: str) -> str:
    """Return the filter with another value for a key; "" takes the key out.

    >>> with_word("order- status:failed", "status", ""), with_word("order-", "workflow", "a b")
    ('order-', 'order- workflow:"a b"')
    """
    pairs = [(name, old) for name, old in _pairs(where) if name != key]
    if value:
        pairs.append((key, value))
    return " ".join(f"{name}:{_value(name, text)}" if name else quoted(text) for name, text in pairs)


def toggled(where: str, key: str, value: str) -> str:
    """Return the filter with a value of a comma list in, or out if it is in already.

    >>> toggled("status:failed", "status", "paused"), toggled("status:failed", "status", "failed")
    ('status:failed,paused', '')
    """
    chosen = [one for one in value_of(where, key).split(",") if one]
    kept = [one for one in chosen if one != value] if value in chosen else [*chosen, value]
    return with_word(where, key, ",".join(kept))


def _pairs(where: str) -> list[tuple[str, str]]:
    try:
        return list(words(where))
    except FilterError:
        return []


def _value(name: str, text: str) -> str:
    return text if name == "status" else quoted(text)
