"""Bars as SVG, on a logarithmic scale; its colours follow the reader's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from benchmarks.measure import Figure

_STYLE = """text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}.q{fill:#57606a}
.g{stroke:#d0d7de}.e{stroke:#24292f;stroke-width:1.5}.floor{fill:#8c959f}.ours{fill:#0969da}.other{fill:#bc4c00}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.q{fill:#9198a1}.g{stroke:#30363d}.e{stroke:#e6edf3}
.floor{fill:#656c76}.ours{fill:#4493f8}.other{fill:#db6d28}}"""
_LEFT, _WIDTH, _RIGHT, _ROW, _TOP = 350, 420, 90, 24, 56
_OTHERS, _FLOORS = ("real", "dbos", "absurd", "pgqueuer"), ("calls", "bare", "by hand", "one", "raw")


def bars(figures: list[Figure], title: str, unit: str) -> str:
    """Return a drawing of medians, with a line from the lowest to the highest round.

    Args:
        figures: what is drawn, from top to bottom.
        title: what it is about.
        unit: what the numbers count.
    """
    first = math.floor(math.log10(min(figure.low for figure in figures)))
    last = math.ceil(math.log10(max(figure.high for figure in figures)))

    def x(value: float) -> float:
        return round(_LEFT + _WIDTH * (math.log10(value) - first) / max(1, last - first), 1)

    bottom, width = _TOP + _ROW * len(figures), _LEFT + _WIDTH + _RIGHT
    shapes = []
    for power in range(first, last + 1):
        at = x(10.0**power)
        shapes.append(f'<line class="g" x1="{at}" y1="{_TOP - 6}" x2="{at}" y2="{bottom}"/>')
        shapes.append(f'<text class="q" x="{at}" y="{_TOP - 12}" text-anchor="middle">{10.0**power:,g}</text>')
    for index, figure in enumerate(figures):
        shapes += _bar(figure, _TOP + _ROW * index, x)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 12}" width="{width}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<text class="t" x="8" y="20">{escape(title)}</text>'
        f'<text class="q" x="8" y="{_TOP - 12}">{escape(unit)}, logarithmic scale</text>{"".join(shapes)}</svg>\n'
    )


def _bar(figure: Figure, top: int, x: Callable[[float], float]) -> list[str]:
    end, low, high, middle = x(figure.median), x(figure.low), x(figure.high), top + _ROW / 2
    shown = f"{figure.median:.3g}" if figure.median < 100 else f"{figure.median:,.0f}"
    label = escape(figure.label.replace("`", ""))
    return [
        f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{label}</text>',
        f'<rect class="{_class(figure)}" x="{_LEFT}" y="{top + 4}" width="{end - _LEFT:.1f}" height="{_ROW - 8}"/>',
        f'<line class="e" x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>',
        f'<text x="{high + 6}" y="{middle + 4}">{shown}</text>',
    ]


def _class(figure: Figure) -> str:
    if figure.key.startswith(_OTHERS):
        return "other"
    return "floor" if figure.key.startswith(_FLOORS) else "ours"
