"""The card of reliability: docs/reliability.md, made from docs/reliability.json and from nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proof.aims import aims
from proof.part import WORDS, ZEROS, Figures
from proof.parts.takeover import percentile

Results = dict[str, Any]
_MARKS = re.compile(r"(<!-- reliability -->).*?(<!-- /reliability -->)", re.DOTALL)
PUBLIC = {
    "postgres_restart": ("100 %", "101 %", "0 %", "0 %", "0 %"),
    "pg_backend_kill": ("100 %", "101 %", "100 %", "0 %", "0 %"),
    "pool_exhaustion": ("100 %", "100 %", "86 %", "87 %", "99 %"),
    "crash_recovery": ("98 %", "121 %", "98 %", "103 %", "73 %"),
    "repeated_kills": ("99 %", "109 %", "88 %", "112 %", "18 %"),
}
"""What awa, river, oban, absurd and procrastinate reached in hardbyte/postgresql-job-queue-benchmarking (2026-05-09)."""
_TITLES = {
    "lost": "instances lost", "committed_twice": "results committed twice", "inputs_diverged": "inputs that diverged",
    "signals_lost": "signals lost", "joins_wrong": "joins wrong",
}  # fmt: skip


def write(results: Results, folder: Path) -> Results:
    """Write both files; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    slim = {**results, "parts": {name: _slim(part) for name, part in results["parts"].items()}}
    (folder / "reliability.json").write_text(json.dumps(slim, indent=1) + "\n", "utf-8")
    (folder / "reliability.md").write_text(render(slim), "utf-8")
    readme = folder.parent / "README.md"
    if readme.exists():
        readme.write_text(in_readme(readme.read_text("utf-8"), slim), "utf-8")
    return slim


def in_readme(text: str, results: Results) -> str:
    """Return the README with the five most telling numbers between its marks."""
    lines = "".join(f"- {line}\n" for line in headline(results))
    return _MARKS.sub(lambda found: f"{found[1]}\n{lines}{found[2]}", text)


def _slim(part: Figures) -> Figures:
    """Keep of long lists of samples what the card shows."""
    shown: Figures = {}
    for name, value in part.items():
        if name.startswith("takeover_ms") and isinstance(value, list):
            shown[name] = {
                "samples": len(value),
                "p50": percentile(value, 0.5),
                "p99": percentile(value, 0.99),
                "max": max(value, default=0),
            }
        else:
            shown[name] = value
    return shown


def render(results: Results) -> str:
    """Return the card."""
    return "\n".join(_lines(results)) + "\n"


def zeros(results: Results) -> dict[str, int | None]:
    """Return what must be zero, as counted over all parts; None where a part found a violation that it did not name."""
    parts = results["parts"].values()
    unnamed = any(part.get("violations") for part in parts)
    return {word: sum(part.get(word, 0) for part in parts) or (None if unnamed else 0) for word in ZEROS}


def total(results: Results, word: str) -> int:
    """Return a figure over all parts."""
    return sum(part.get(word, 0) for part in results["parts"].values())


def headline(results: Results) -> list[str]:
    """Return the five most telling numbers, as README shows them."""
    parts = results["parts"]
    nothing = zeros(results)
    done = sum("not_run" not in part for part in parts.values())
    made = [
        f"{done} of {len(parts)} parts of the proof run: 0 lost, 0 committed twice, 0 inputs diverged, 0 signals lost, "
        "0 joins wrong"
        if all(value == 0 for value in nothing.values())
        else "violations were found, see the card",
        f"{total(results, 'kills'):,} processes killed, {total(results, 'repeats'):,} executions repeated",
    ]
    takeover = parts.get("takeover", {}).get("takeover_ms_postgres")
    if takeover:
        p50, p99 = takeover["p50"] / 1000, takeover["p99"] / 1000
        made.append(f"takeover after SIGKILL on PostgreSQL: p50 {p50:.1f} s, p99 {p99:.1f} s")
    recovery = parts.get("scenarios", {}).get("recovery")
    if recovery:
        made.append(f"recovery in the five public scenarios: at least {min(recovery.values()):.0%}")
    if "mutants" in parts.get("mutants", {}):
        made.append(_mutants(parts["mutants"]))
    return made


def _mutants(part: Figures) -> str:
    every = "" if part["mutants"] == part["of"] else f", drawn from {part['of']}"
    return f"{part['killed']} of {part['mutants']} mutants killed{every}"


def _lines(results: Results) -> Iterator[str]:
    yield "# Reliability card"
    yield ""
    yield "Made by `make prove` (`python -m proof.run`), which runs everything below; nothing is typed in."
    yield "What is promised stands in the README; how it is proved, in `proof/` and `tests/`."
    yield ""
    machine = results["machine"]
    yield f"- Date: {results['date']}; version {results['version']}"
    yield f"- Machine: {machine['processor']}, {machine['memory']}, {machine['system']}"
    servers = f", PostgreSQL {machine['postgresql']}" if "postgresql" in machine else ""
    yield f"- {machine['python']}, SQLite {machine['sqlite']}{servers}"
    yield ""
    yield "## What must be zero"
    yield ""
    yield "| | |"
    yield "|---|---:|"
    for word, value in zeros(results).items():
        yield f"| {_TITLES[word]} | {'**see below**' if value is None else value} |"
    yield ""
    if missing := [name for name, part in results["parts"].items() if "not_run" in part]:
        yield f"Parts that were not run: {', '.join(missing)}."
        yield ""
    yield from _violations(results)
    yield "Each of these is asserted again and again in the parts below; a part that finds one tells it as a violation."
    yield ""
    yield from _reached(results["parts"])
    yield "## How hard it was tried"
    yield ""
    yield "| | |"
    yield "|---|---:|"
    for word, title in WORDS.items():
        if number := total(results, word):
            yield f"| {title} | {number:,} |"
    yield ""
    yield from _counts(results["parts"])
    yield from _scenarios(results["parts"].get("scenarios", {}))
    yield from _takeovers(results["parts"].get("takeover", {}))
    yield from _beside(results["parts"].get("real", {}))
    yield from _growth(results["parts"])
    yield from _parts(results)


def _reached(parts: dict[str, Figures]) -> Iterator[str]:
    yield "## What is to be reached"
    yield ""
    yield "| | wanted | found | |"
    yield "|---|---:|---:|---|"
    for aim in aims(parts):
        yield f"| {aim.title} | {aim.wanted} | {aim.found} | {'reached' if aim.reached else '**not reached**'} |"
    yield ""


def _counts(parts: dict[str, Figures]) -> Iterator[str]:
    simulation, kills = parts.get("simulation", {}), parts.get("kills", {})
    if faults := simulation.get("faults"):
        days = f" in {simulation['simulated_days']:g} days of virtual time" if "simulated_days" in simulation else ""
        told = ", ".join(f"{kind} {count:,}" for kind, count in faults.items())
        yield f"Faults of the simulation, by kind{days}: {told}."
        yield ""
    if kills.get("kills"):
        each = kills.get("repeats", 0) / kills["kills"]
        yield f"Of processes killed on SQLite each made {each:.2f} executions run again: those that were in hand."
        yield ""
    if "mutants" in parts.get("mutants", {}):
        yield f"Faults in our own code: {_mutants(parts['mutants'])}."
        yield ""


def _violations(results: Results) -> Iterator[str]:
    found = [(name, text) for name, part in results["parts"].items() for text in part.get("violations", ())]
    if found:
        yield "**Violations:**"
        yield ""
        yield from (f"- {name}: {' '.join(text.split())[:300]}" for name, text in found)
        yield ""


def _scenarios(part: Figures) -> Iterator[str]:
    yield "## Five public scenarios"
    yield ""
    if "recovery" not in part:
        yield "Not run."
        yield ""
        return
    yield "Recovery is the rate of completions after the fault against that before it: 100 % means as many a second as if"
    yield "nothing had happened, more than that: what was held up is made up for, 0 %: nothing goes on. Under the fault"
    yield "means the same while it lasts. Two worker processes at half of what they can"
    yield f"do, windows of {part.get('max_window_secs', 0):g} s. The other engines' figures are those published for"
    yield "these names (hardbyte/postgresql-job-queue-benchmarking, 2026-05-09), on other machines and with longer windows."
    yield ""
    yield "| scenario | sayiir | under the fault | awa | river | oban | absurd | procrastinate |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, others in PUBLIC.items():
        ours, during = part["recovery"].get(name), part["during"].get(name)
        if ours is not None:
            yield f"| {name} | **{ours:.0%}** | {during:.0%} | {' | '.join(others)} |"
    yield ""


def _takeovers(part: Figures) -> Iterator[str]:
    yield "## Takeover after SIGKILL"
    yield ""
    yield "From the kill of a worker with 8 tasks at work to each one's next attempt elsewhere; default settings."
    yield ""
    yield "| store | samples | p50 | p99 | longest |"
    yield "|---|---:|---:|---:|---:|"
    for name in ("postgres", "sqlite"):
        found = part.get(f"takeover_ms_{name}")
        if found:
            times = " | ".join(f"{found[key] / 1000:.2f} s" for key in ("p50", "p99", "max"))
            yield f"| {name} | {found['samples']} | {times} |"
    yield ""


def _beside(part: Figures) -> Iterator[str]:
    yield "## Beside real `sayiir` 1.0.0"
    yield ""
    if "told" not in part:
        yield f"Not run: {part['not_run']}." if "not_run" in part else "Not run."
        yield ""
        return
    yield "The same script in both interpreters (`proof/twins/actor.py`), by the API that both document, on PostgreSQL; what"
    yield "happened, as the tasks themselves noted it in a file. The two are not versions of one another."
    yield ""
    yield "| case | this engine | real `sayiir` 1.0.0 |"
    yield "|---|---|---|"
    for name, title in part["titles"].items():
        ours, real = (" ".join(part["told"][name][engine].split()).replace("|", "/") for engine in ("ours", "real"))
        yield f"| {title} | {ours} | {real} |"
    yield ""


def _growth(parts: dict[str, Figures]) -> Iterator[str]:
    soak, parked = parts.get("soak", {}), parts.get("parked", {})
    if "rss_mb_per_100k" in soak:
        yield "## What grows"
        yield ""
        yield f"- {soak['instances']:,} instances through one worker, {soak['per_second']:g} a second: memory"
        yield f"  {soak['rss_mb_per_100k']:+.2f} MiB for 100,000 instances, threads {soak['threads_grown']:+d}, descriptors"
        yield f"  {soak['descriptors_grown']:+d}; with a retention of {soak['retention_secs']:g} s its tables had at most"
        yield f"  {soak['tables_mb_early']:g} MiB in the first half and {soak['tables_mb']:g} in the second,"
        yield f"  and {soak['rows_left']} rows in the end."
    if "parked" in parked:
        for name in ("sqlite", "postgres"):
            found = parked[name]
            yield f"- {parked['parked']:,} parked on {name}: the worker has {found['rss_mb']} MiB and uses"
            yield f"  {found['idle_cpu_percent']} % of a processor; 1,000 woken at once are done after"
            yield f"  {found['wake_p50_ms']:,} ms (p50), {found['wake_p99_ms']:,} ms (p99); restarted, the first result"
            yield f"  after {found['restart_to_first_result_ms']:,} ms."
    yield ""


def _parts(results: Results) -> Iterator[str]:
    yield "## Part by part"
    yield ""
    yield "| part | outcome | figures | seconds | to repeat |"
    yield "|---|---|---|---:|---|"
    for name, part in results["parts"].items():
        told = {key: value for key, value in part.items() if key in WORDS or key in ("tests", "rounds", "mutants", "killed")}
        shown = ", ".join(f"{key} {value:,}" for key, value in told.items())
        outcome = "not run" if "not_run" in part else "**violated**" if part.get("violations") else "held"
        if part.get("version", results["version"]) != results["version"]:
            outcome += f", at {part['version']}"
        why = part.get("not_run", shown).replace("|", "/")
        seed = f" --seed {part['seed']}" if "seed" in part else ""
        yield f"| {name} | {outcome} | {why} | {part.get('seconds', 0):g} | `python -m proof.run --only {name}{seed}` |"
