"""The benchmark: `python -m benchmarks.run`, or `make bench`.

Measures group after group, prints its table, and puts it into docs/benchmarks.md, its plot and docs/benchmarks.json; what
is there of other groups stays. A quick run only prints, unless it is told where to write.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import imports, memory, pages, postgres, sqlite, threads, workers
from benchmarks.environments import REQUIREMENTS, ROOT, interpreter
from benchmarks.machine import facts
from benchmarks.measure import Figure, Group, take
from benchmarks.page import HEADER, merge, row
from benchmarks.server import Server
from benchmarks.setting import QUICK, Scale, Setting
from sayiir.store.sqlite.filesystem import file_system
from tests.servers.ground import ServerError

SUBJECTS = {
    "memory": memory, "sqlite": sqlite, "threads": threads, "postgres": postgres, "workers": workers,
    "imports": imports, "pages": pages,
}  # fmt: skip
GROUPS = {key: group for subject in SUBJECTS.values() for key, group in subject.GROUPS.items()}
LARGE = "history-large"
"""Taken only when it is named: filling the tables takes long."""
NAMED = {LARGE, *pages.GROUPS}
"""Likewise; of these the subject is name enough."""


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    options = _options(arguments)
    parent = Path(options.dir) if options.dir else ROOT
    kind = file_system(parent) or "unknown"
    if kind == "tmpfs" and not options.quick:
        print(f"{parent} is in memory (tmpfs), where a commit costs nothing; give --dir on a disk", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=parent))
    docs = options.docs or (None if options.quick else ROOT / "docs")
    try:
        with Server(folder) as server:
            setting = Setting(folder, QUICK if options.quick else Scale(), _peers(options), server.database)
            for key in _wanted(options.only):
                group = GROUPS[key](setting)
                if not group.cases:
                    print(f"passing over {key}: there is no browser", file=sys.stderr)
                    continue
                figures = _measured(group, setting.scale.rounds)
                if docs is not None:
                    merge(Path(docs), group, figures, facts(folder) | server.facts())
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _wanted(only: list[str] | None) -> list[str]:
    """Return the keys of the groups that are asked for: by their own name, or by that of their subject."""
    if not only:
        return [key for key in GROUPS if key not in NAMED]
    named = {key for name in only for key in (SUBJECTS[name].GROUPS if name in SUBJECTS else ()) if key != LARGE}
    return [key for key in GROUPS if key in named or key in only]


def _measured(group: Group, rounds: int) -> list[Figure]:
    taken = take(group, rounds, _say)
    print(f"\n{group.title}\n\n{HEADER}")
    for figure in taken:
        print(row(figure), flush=True)
    return taken


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
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="other engines too")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON",
                        help=f"an interpreter that has the peer already; names: {', '.join(REQUIREMENTS)}")  # fmt: skip
    names = list(dict.fromkeys([*SUBJECTS, *GROUPS]))
    parser.add_argument("--only", action="append", choices=names, metavar="NAME",
                        help=f"only this subject or group (may be repeated): {', '.join(names)}")  # fmt: skip
    parser.add_argument("--dir", help="folder on the disk to measure; beside the project when not given")
    parser.add_argument("--docs", help="folder of benchmarks.md; docs/ when not given, none for a quick run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
