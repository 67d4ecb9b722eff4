"""How times and counts are written in sentences for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Return an aware time."""
    return _EPOCH + timedelta(microseconds=micros)


def clock_time(micros: int) -> str:
    """Return a time as a sentence has it.

    >>> clock_time(0)
    '1970-01-01 00:00:00 UTC'
    """
    return moment(micros).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(micros: int) -> str:
    """Return a length of time in at most two units.

    >>> span(90_000_000), span(1_400_000), span(-5), span(190_000_000_000), span(142_000), span(66)
    ('1 min 30 s', '1.4 s', '0 s', '2 d 4 h', '142 ms', '66 µs')
    """
    seconds = max(0, micros) / 1_000_000
    if 0 < micros < 1000:
        return f"{micros} µs"
    if 0 < seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    rest = round(seconds)
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def cut(text: str, limit: int = 200) -> str:
    """Return the first line of a text, cut to a length."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plural(count: int, word: str, many: str | None = None) -> str:
    """Return a count with its noun.

    >>> plural(1, "branch", "branches"), plural(2, "worker")
    ('1 branch', '2 workers')
    """
    return f"{count:,} {word if count == 1 else many or word + 's'}"
