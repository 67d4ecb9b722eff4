"""The page of results: tables between two markers of docs/benchmarks.md, and the same figures as JSON beside it."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import UNITS, Figure, Group, Kind
from benchmarks.plot import bars

BEGIN, END = "<!-- figures: begin (written by `make bench`) -->", "<!-- figures: end -->"
HEADER = "| what | median | min – max | ratio | budget | verdict |\n|---|---:|---:|---:|---|---|"
PLOTTED = {
    "memory": "µs a step", "sqlite-full": "µs a step", "sqlite-normal": "µs a step", "threads": "steps a second",
    "postgres": "µs a step", "workers": "steps a second", "pick-up": "ms",
}  # fmt: skip


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


def tables(groups: list[Group], figures: list[Figure], facts: dict[str, str]) -> str:
    """Return the generated part of the page."""
    parts = ["Machine: " + "; ".join(f"{name}: {fact}" for name, fact in facts.items()) + "."]
    for group in groups:
        parts.append(f"### {group.title}")
        parts.append(group.how)
        if group.key in PLOTTED:
            parts.append(f"![{group.title}](img/bench-{group.key}.svg)")
        parts.append("\n".join([HEADER, *(row(figure) for figure in figures if figure.group == group.key)]))
    return "\n\n".join(parts)


def write(docs: Path, groups: list[Group], figures: list[Figure], facts: dict[str, str]) -> None:
    """Write page, figures and plots into the folder of the documentation."""
    (docs / "img").mkdir(parents=True, exist_ok=True)
    page = docs / "benchmarks.md"
    text = page.read_text("utf-8") if page.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{tables(groups, figures, facts)}\n\n{END}{after}", "utf-8")
    write_json(docs / "benchmarks.json", figures, facts)
    for group in groups:
        if group.key in PLOTTED:
            of_group = [figure for figure in figures if figure.group == group.key]
            (docs / "img" / f"bench-{group.key}.svg").write_text(
                bars(of_group, group.title, PLOTTED[group.key]), "utf-8"
            )


def write_json(path: Path, figures: list[Figure], facts: dict[str, str]) -> None:
    """Write the figures with all their samples."""
    content = {"machine": facts, "figures": [figure.plain() for figure in figures]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def parse(text: str) -> list[dict[str, str]]:
    """Return the lines of a page's tables, as what each column says."""
    names = [cell.strip() for cell in HEADER.splitlines()[0].strip("|").split("|")]
    lines = [line for line in text.split(BEGIN)[1].split(END, maxsplit=1)[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(names, line, strict=True)) for line in cells if line != names]


__all__ = ["BEGIN", "END", "Kind", "number", "parse", "row", "tables", "write", "write_json"]
