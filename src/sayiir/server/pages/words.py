"""How the pages say things: times, lengths, numbers, statuses.

Rules of this file: pure functions, registered as filters of the templates; nothing here makes markup.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from sayiir.picture.icons import STATUS_ICONS
from sayiir.picture.state import STATUS_WORDS
from sayiir.picture.words import duration, plural
from sayiir.service.model import Count

_AGO = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_MONTH = 30 * 86_400

STATUS_OF = {"in_progress": "running", "crashed": "failed", "abandoned": "cancelled", "expired": "failed"}
"""The picture's word for what instances and attempts call otherwise."""
WORDS: dict[str, str] = {
    **{str(status): said for status, said in STATUS_WORDS.items()},
    "in_progress": "In progress",
    "crashed": "Crashed",
    "abandoned": "Abandoned",
}


def look(status: str) -> str:
    """Return the status whose colours and icon another status shares.

    >>> look("in_progress"), look("failed"), look("unheard of")
    ('running', 'failed', 'pending')
    """
    name = STATUS_OF.get(status, status)
    return name if name in STATUS_WORDS else "pending"


def glyph(status: str) -> str:
    """Return the path of a status's icon."""
    return STATUS_ICONS[look(status)]  # type: ignore[index] # one of its keys, by `look`


def word(status: str) -> str:
    """Return a status as people read it.

    >>> word("awaiting_signal"), word("in_progress"), word("x_y")
    ('Awaiting signal', 'In progress', 'X y')
    """
    return WORDS.get(status) or status.replace("_", " ").capitalize()


def exact(moment: datetime) -> str:
    """Return a time for people, exact to the millisecond.

    >>> exact(datetime(2030, 1, 31, 9, 30, tzinfo=UTC))
    '2030-01-31 09:30:00.000 UTC'
    """
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03} UTC"


def machine(moment: datetime) -> str:
    """Return a time for `<time datetime>`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def relative(moment: datetime, now: datetime) -> str:
    """Return a time as seen from now.

    >>> now = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
    >>> relative(now, now), relative(now.replace(hour=7), now), relative(now.replace(hour=11, minute=29), now)
    ('now', '2 h ago', 'in 1 h 59 min')
    """
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    if size < 1:
        return "now"
    if size >= _MONTH:
        return f"{moment.astimezone(UTC):%Y-%m-%d}"
    if seconds < 0:  # "in 1 d" for what ends in 47 hours would be a day too early
        return f"in {duration(int(size))}"
    amount, unit = next((int(size // unit), name) for unit, name in _AGO if size >= unit)
    return f"{amount} {unit} ago"


def between(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, or nothing where that is not known."""
    return duration(max(0.0, (end - start).total_seconds())) if start and end else ""


def amount(count: Count | int) -> str:
    """Return a number for people; one that was not counted to its end has a plus.

    >>> amount(1234), amount(Count("x", 10_000, capped=True))
    ('1,234', '10,000+')
    """
    return f"{count:,}" if isinstance(count, int) else f"{count.count:,}{'+' if count.capped else ''}"


def size(count: int) -> str:
    """Return a size of data for people.

    >>> size(17), size(2048), size(5 << 20)
    ('17 B', '2.0 kB', '5.2 MB')
    """
    if count < 1000:
        return f"{count} B"
    value = count / 1000
    return f"{value:.1f} kB" if value < 1000 else f"{value / 1000:.1f} MB"


def sentence(text: str) -> str:
    """Return a phrase as a sentence.

    >>> sentence("look again"), sentence("Do it.")
    ('Look again.', 'Do it.')
    """
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def percent(part: float) -> str:
    """Return a share for people; only all is 100 %, only nothing is 0 %.

    >>> percent(1.0), percent(0.9996), percent(0.5), percent(0.0004)
    ('100 %', '99.9 %', '50 %', '0.1 %')
    """
    value = round(part * 100, 1)
    if part < 1 and value >= 100:
        value = 99.9
    if part > 0 and value <= 0:
        value = 0.1
    return f"{value:g} %"


def path(text: str) -> str:
    """Return text as a part of a URL's path; slashes stay, as ids may have them."""
    return quote(text, safe="/")


def compact(value: object) -> str:
    """Return a value as JSON on one line."""
    return msgspec.json.encode(value).decode()


FILTERS = {
    "look": look,
    "glyph": glyph,
    "word": word,
    "exact": exact,
    "machine": machine,
    "between": between,
    "amount": amount,
    "bytes": size,
    "percent": percent,
    "duration": duration,
    "compact": compact,
    "plural": plural,
    "sentence": sentence,
}
