"""The benchmark: `python -m benchmarks.run`, or `make bench`.

Measures every group, prints its table, and writes docs/benchmarks.md with its plots and docs/benchmarks.json. A quick
run only prints, unless it is told where to write.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import imports, memory, postgres, sqlite, threads, workers
from benchmarks.environments import REQUIREMENTS, ROOT, interpreter
from benchmarks.machine import facts
from benchmarks.measure import Figure, Group, take
from benchmarks.page import HEADER, row, write, write_json
from benchmarks.server import Server
from benchmarks.setting import QUICK, Scale, Setting
from sayiir.store.sqlite.filesystem import file_system
from tests.servers.ground import ServerError

SUBJECTS = {
    "memory": memory, "sqlite": sqlite, "threads": threads, "postgres": postgres, "workers": workers,
    "imports": imports,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    options = _options(arguments)
    parent = Path(options.dir) if options.dir else ROOT
    kind = file_system(parent) or "unknown"
    if kind == "tmpfs" and not options.quick:
        print(f"{parent} is in memory (tmpfs), where a commit costs nothing; give --dir on a disk", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=parent))
    try:
        about = facts(folder)
        with Server(folder) as server:
            setting = Setting(folder, _scale(options), _peers(options), server.database)
            groups, figures = _measure(setting, options.only)
            about |= server.facts()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        write_json(Path(options.json), figures, about)
    docs = options.docs or (None if options.quick or options.only else ROOT / "docs")
    if docs is not None:
        write(Path(docs), groups, figures, about)
    return 0


def _measure(setting: Setting, only: list[str] | None) -> tuple[list[Group], list[Figure]]:
    groups: list[Group] = []
    figures: list[Figure] = []
    for name, subject in SUBJECTS.items():
        if only and name not in only:
            continue
        for group in subject.groups(setting):
            taken = take(group, setting.scale.rounds, _say)
            print(f"\n{group.title}\n\n{HEADER}")
            for figure in taken:
                print(row(figure), flush=True)
            groups.append(group)
            figures += taken
    return groups, figures


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    return replace(scale, finished=1_000_000, parked=100_000) if options.large else scale


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _peers(options: argparse.Namespace) -> dict[str, str]:
    if not options.peers:
        return {}
    given = dict(item.split("=", 1) for item in options.peer)
    found = {name: interpreter(name, given.get(name)) for name in REQUIREMENTS}
    return {name: python for name, python in found.items() if python is not None}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="Measure sayiir beside floors.")
    parser.add_argument(
        "--quick", action="store_true", help="very little of everything: shows that it works, not how well"
    )
    parser.add_argument("--large", action="store_true", help="much longer history in the tables: 1,000,000 instances")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="other engines too")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON",
                        help=f"an interpreter that has the peer already; names: {', '.join(REQUIREMENTS)}")  # fmt: skip
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), help="only this subject (may be repeated)")
    parser.add_argument("--dir", help="folder on the disk to measure; beside the project when not given")
    parser.add_argument("--docs", help="folder of benchmarks.md; docs/ when not given, none for a quick or partial run")
    parser.add_argument("--json", help="write all figures to this file too")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
