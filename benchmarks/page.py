"""The page of results: tables between two markers of docs/benchmarks.md, and the same figures as JSON beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import UNITS, Figure, Group, Kind
from benchmarks.plot import bars

BEGIN, END = "<!-- figures: begin (written by `make bench`) -->", "<!-- figures: end -->"
HEADER = "| what | median | min – max | ratio | budget | verdict |\n|---|---:|---:|---:|---|---|"
PLOTTED = {
    "memory": "µs a step", "sqlite-full": "µs a step", "sqlite-normal": "µs a step", "threads": "steps a second",
    "postgres": "µs a step", "workers": "steps a second", "pick-up": "ms",
}  # fmt: skip
ORDER = (
    "memory", "durable-memory", "sqlite-full", "sqlite-normal", "sqlite-more", "threads", "postgres", "postgres-submit",
    "postgres-forks", "postgres-bytes", "workers", "worker-bytes", "pick-up", "delays", "history", "history-large",
    "imports", "pages-start", "pages-lists", "pages-graphs", "pages-open",
    "pages-weight",
)  # fmt: skip
"""Of the groups on the page."""


def number(value: float) -> str:
    """Return a figure with three digits that count.

    >>> number(0.1234), number(12.345), number(1234.5)
    ('0.123', '12.3', '1,234')
    """
    for limit, digits in ((1, 3), (10, 2), (100, 1)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def row(figure: Figure) -> str:
    """Return a line of the table."""
    unit = UNITS[figure.kind]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} × {figure.floor}"
    cells = (
        figure.label, number(figure.median) + unit, f"{number(figure.low)} – {number(figure.high)}", ratio,
        figure.budget, _marked(figure.verdict),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if "not met" in verdict else verdict


def merge(docs: Path, group: Group, figures: list[Figure], facts: dict[str, str]) -> None:
    """Put the figures of one group into page, JSON and plots; those of all others stay as they are."""
    (docs / "img").mkdir(parents=True, exist_ok=True)
    groups, others = stored(docs)
    groups[group.key] = {"key": group.key, "title": group.title, "how": group.how, "machine": facts}
    kept = [figure for figure in others if figure.group != group.key] + figures
    ordered = [groups[key] for key in sorted(groups, key=_place)]
    every = sorted(kept, key=lambda figure: _place(figure.group))
    content = {"groups": ordered, "figures": [figure.plain() for figure in every]}
    (docs / "benchmarks.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if group.key in PLOTTED:
        (docs / "img" / f"bench-{group.key}.svg").write_text(bars(figures, group.title, PLOTTED[group.key]), "utf-8")
    page = docs / "benchmarks.md"
    text = page.read_text("utf-8") if page.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{tables(ordered, every)}\n\n{END}{rest.split(END)[1]}", "utf-8")


def stored(docs: Path) -> tuple[dict[str, dict[str, Any]], list[Figure]]:
    """Return the groups, by key, and the figures that were measured before."""
    path = docs / "benchmarks.json"
    content = json.loads(path.read_text("utf-8")) if path.exists() else {"groups": [], "figures": []}
    return {group["key"]: group for group in content["groups"]}, [Figure(**figure) for figure in content["figures"]]


def tables(groups: list[dict[str, Any]], figures: list[Figure]) -> str:
    """Return the generated part of the page."""
    parts = []
    for group in groups:
        parts += [f"### {group['title']}", group["how"]]
        if group["key"] in PLOTTED:
            parts.append(f"![{group['title']}](img/bench-{group['key']}.svg)")
        parts.append("\n".join([HEADER, *(row(figure) for figure in figures if figure.group == group["key"])]))
        parts.append("Measured: " + "; ".join(f"{name}: {fact}" for name, fact in group["machine"].items()) + ".")
    return "\n\n".join(parts)


def _place(key: str) -> int:
    return ORDER.index(key) if key in ORDER else len(ORDER)


def parse(text: str) -> list[dict[str, str]]:
    """Return the lines of a page's tables, as what each column says."""
    names = [cell.strip() for cell in HEADER.splitlines()[0].strip("|").split("|")]
    lines = [line for line in text.split(BEGIN)[1].split(END, maxsplit=1)[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(names, line, strict=True)) for line in cells if line != names]


__all__ = ["BEGIN", "END", "Kind", "merge", "number", "parse", "row", "tables"]
