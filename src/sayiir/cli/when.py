"""Times as people read them: relative in tables; JSON keeps them exact."""

from __future__ import annotations

from datetime import UTC, datetime

from sayiir.picture.words import duration

_OLD_SECS = 60 * 86_400.0


def now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def ago(moment: datetime | None, at: datetime | None = None) -> str:
    """Return how long ago a moment was, or how far off it is; "" for none.

    >>> from datetime import timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> ago(noon, noon + timedelta(minutes=3, seconds=20)), ago(noon, noon - timedelta(hours=2)), ago(noon, noon)
    ('3 min ago', 'in 2 h', 'now')
    """
    if moment is None:
        return ""
    secs = ((at or now()) - moment).total_seconds()
    if abs(secs) > _OLD_SECS:
        return moment.strftime("%Y-%m-%d")
    if abs(secs) < 1:
        return "now"
    text = _rough(abs(secs))
    return f"{text} ago" if secs > 0 else f"in {text}"


def took(started: datetime | None, finished: datetime | None) -> str:
    """Return how long something took; "" when that is not known."""
    if started is None or finished is None:
        return ""
    return duration(max(0.0, (finished - started).total_seconds()))


def clock(moment: datetime) -> str:
    """Return the time of day, in this machine's zone."""
    return moment.astimezone().strftime("%H:%M:%S")


def _rough(secs: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if secs >= 2 * size or (size == 60 and secs >= size):
            return f"{int(secs // size)} {unit}"
    return f"{int(secs)} s"
