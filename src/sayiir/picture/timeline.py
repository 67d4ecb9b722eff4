"""The attempts of an instance as bars on one axis of time, inside a real table.

Rules of this file: pure; times are integer microseconds. Bars are placed with percentages in geometry attributes:
they stretch with the page, need no script, and pass a policy that forbids `style="…"`. Whatever a bar shows, a
cell says in words too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sayiir.core.graph import NodeKind
from sayiir.picture.blocks import BlockKind
from sayiir.picture.icons import KIND_ICONS, STATUS_ICONS
from sayiir.picture.state import STATUS_WORDS, Status
from sayiir.picture.text import one_line, xml
from sayiir.picture.words import duration

_ICON_OF: dict[NodeKind, BlockKind] = {
    "task": "task",
    "fork": "fork",
    "delay": "delay",
    "await_signal": "signal",
    "branch": "route",
    "loop": "loop",
    "child_workflow": "child",
}
_TICKS = 5
_SECOND = 1_000_000
# Steps between ticks, in microseconds: 1, 2, 5 of each power up to seconds, then what clocks count in.
_STEPS = (
    *(digit * 10**power for power in range(7) for digit in (1, 2, 5)),
    *(seconds * _SECOND for seconds in (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)),
)
_DAY = 86_400 * _SECOND


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """One attempt of a node, or one wait.

    Args:
        label: name of the node.
        kind: kind of the node, as `iter_nodes()` has it.
        status: how it ended or where it stands.
        attempt: number of the attempt, from 1.
        iteration: number of the loop's round, from 1; None outside of loops.
        start_us: start, microseconds since the epoch.
        end_us: end; None for not over, which is drawn to the latest time of all bars.
        worker: who ran it.
        error: why it failed.
    """

    label: str
    kind: NodeKind
    status: Status
    attempt: int
    iteration: int | None
    start_us: int
    end_us: int | None
    worker: str | None = None
    error: str | None = None


def timeline_table(bars: Sequence[TimelineBar]) -> str:
    """Return the table of bars as HTML, in the given order."""
    first = min(bar.start_us for bar in bars)
    last = max(max(bar.start_us, bar.end_us or bar.start_us) for bar in bars)
    span = max(1, last - first)
    ticks = _ticks(span)
    column = 'th role="columnheader" scope="col"'
    head = (
        f'<thead role="rowgroup"><tr role="row"><{column}>Task</th><{column}>Status</th>'
        f'<{column} class="sy-axis"><span class="sy-hidden">Time</span>{_axis(ticks, span)}</th>'
        f'<{column} class="sy-took">Took</th></tr></thead>'
    )
    grid = "".join(f'<line class="sy-tick" x1="{at}" x2="{at}" y2="100%"/>' for at in _places(ticks, span))
    rows = "\n".join(_row(bar, first, last, grid) for bar in bars)
    return (
        f'<table class="sy-gantt" role="table">{head}\n<tbody role="rowgroup">\n{rows}\n</tbody></table>\n'
        f'<p class="sy-note">Starts at {xml(moment(first))}; {xml(duration(span / _SECOND))} in all.</p>'
    )


def moment(micros: int) -> str:
    """Return a time in UTC for people.

    >>> moment(0)
    '1970-01-01 00:00:00.000 UTC'
    """
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    except OverflowError:
        return f"{micros} µs since 1970"
    return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03} UTC"


def icon(path: str, css: str) -> str:
    """Return an icon that says nothing by itself; words stand beside it."""
    return f'<svg class="{css}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="{path}"/></svg>'


def status_words(status: Status, count: str = "") -> str:
    """Return icon and word of a status, with a count before the word if there is one."""
    number = f"<b>{xml(count)}</b> " if count else ""
    word = STATUS_WORDS[status].lower() if count else STATUS_WORDS[status]
    mark = icon(STATUS_ICONS[status], "sy-glyph")
    return f'<span class="sy-status sy-{status}">{mark}<span>{number}{word}</span></span>'


def _ticks(span: int) -> list[int]:
    step = next((step for step in _STEPS if span <= step * _TICKS), None)
    if step is None:
        step = _DAY * -(-span // (_DAY * _TICKS))
    return list(range(0, span + 1, step))


def _percent(part: int, span: int) -> str:
    # Integers only: the same text on every machine.
    thousandths = part * 100_000 // span
    return f"{thousandths // 1000}.{thousandths % 1000:03}%"


def _places(ticks: list[int], span: int) -> list[str]:
    return [_percent(tick, span) for tick in ticks]


def _axis(ticks: list[int], span: int) -> str:
    texts = []
    for tick, at in zip(ticks, _places(ticks, span), strict=True):
        anchor = _anchor(tick, span)
        texts.append(f'<text x="{at}" y="14" text-anchor="{anchor}">{xml(duration(tick / _SECOND))}</text>')
    return f'<svg class="sy-scale" width="100%" height="20" aria-hidden="true">{"".join(texts)}</svg>'


def _anchor(tick: int, span: int) -> str:
    # The first and the last label stay inside; one that would be cut in half is left out.
    return "start" if tick == 0 else "end" if tick * 100 > span * 92 else "middle"


def _row(bar: TimelineBar, first: int, last: int, grid: str) -> str:
    end = max(bar.start_us, last if bar.end_us is None else bar.end_us)
    took = duration((end - bar.start_us) / _SECOND)
    track = _bar(bar, end, first, max(1, last - first), grid)
    return (
        f'<tr role="row" class="sy-{bar.status}">'
        f'<th role="rowheader" scope="row">{icon(KIND_ICONS[_ICON_OF[bar.kind]], "sy-kind")}'
        f'<span class="sy-who"><span class="sy-label">{xml(one_line(bar.label))}</span>{_facts(bar)}</span></th>'
        f'<td role="cell">{status_words(bar.status)}</td>'
        f'<td role="cell" class="sy-track">{track}{"".join(_error(bar))}</td>'
        f'<td role="cell" class="sy-took">{xml(took)}{" so far" if bar.end_us is None else ""}</td></tr>'
    )


def _facts(bar: TimelineBar) -> str:
    facts = [f"attempt {bar.attempt}"]
    if bar.iteration is not None:
        facts.insert(0, f"round {bar.iteration}")
    if bar.worker:
        facts.append(f"on {one_line(bar.worker)}")
    return f'<span class="sy-small">{xml(" · ".join(facts))}</span>'


def _bar(bar: TimelineBar, end: int, first: int, span: int, grid: str) -> str:
    at, wide = _percent(bar.start_us - first, span), _percent(end - bar.start_us, span)
    said = xml(f"{moment(bar.start_us)} to {'now' if bar.end_us is None else moment(end)}")
    # The narrow bar below keeps an attempt of no length visible.
    return (
        f'<svg class="sy-lane" width="100%" height="22" role="img" aria-label="{said}"><title>{said}</title>{grid}'
        f'<rect class="sy-bar" x="{at}" y="5" width="4" height="12" rx="2"/>'
        f'<rect class="sy-bar" x="{at}" y="5" width="{wide}" height="12" rx="4"/></svg>'
    )


def _error(bar: TimelineBar) -> Iterator[str]:
    if not bar.error:
        return
    head, _, rest = bar.error.strip().partition("\n")
    if rest:
        yield f'<details class="sy-error"><summary>{xml(head)}</summary><pre>{xml(rest)}</pre></details>'
    else:
        yield f'<p class="sy-error">{xml(head)}</p>'


def axis(span_us: int) -> list[tuple[str, str, str]]:
    """Return the ticks of an axis from 0 to so many microseconds: (place in percent, words, text anchor).

    >>> axis(2_000_000)[-1]
    ('100.000%', '2 s', 'end')
    """
    return [(percent(tick, span_us), duration(tick / _SECOND), _anchor(tick, span_us)) for tick in _ticks(span_us)]


def percent(part: int, whole: int) -> str:
    """Return a part of a whole as an SVG attribute has it, the same text on every machine.

    >>> percent(1, 3)
    '33.333%'
    """
    return _percent(part, whole)
