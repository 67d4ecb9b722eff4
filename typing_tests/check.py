"""Runs mypy and basedpyright over the files beside it: good ones are clean, and in bad.py every marked line is an error.

`python typing_tests/check.py` prints what is not as it should be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from mypy import api

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MARK = "  # wrong: "
FILES = tuple(HERE / name for name in ("good.py", "documented.py", "bad.py"))

Errors = dict[Path, dict[int, str]]
"""What a checker says about each line of each file."""


def marked(path: Path) -> set[int]:
    """Return the numbers of the lines that carry the mark."""
    return {number for number, line in enumerate(path.read_text().splitlines(), 1) if MARK in line}


def mypy(paths: Sequence[Path]) -> Errors:
    """Return the lines to which mypy objects."""
    # A cache beside the files: mypy takes files of one name in different folders for one.
    places = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(paths[0].parent / ".mypy_cache")]
    report, failure, _ = api.run([*places, "--output", "json", "--no-error-summary", *map(str, paths)])
    if failure:
        raise RuntimeError(failure)
    errors: Errors = defaultdict(dict)
    for item in map(json.loads, report.splitlines()):
        if item["severity"] == "error":
            errors[Path(item["file"]).resolve()][item["line"]] = item["message"]
    return errors


def basedpyright(paths: Sequence[Path]) -> Errors:
    """Return the lines to which basedpyright objects."""
    command = [sys.executable, "-m", "basedpyright", "--project", str(ROOT), "--outputjson", *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise RuntimeError(run.stdout + run.stderr)
    report = json.loads(run.stdout)
    if report["summary"]["filesAnalyzed"] != len(paths):
        raise RuntimeError(f"basedpyright did not look at all of {', '.join(map(str, paths))}")
    errors: Errors = defaultdict(dict)
    for item in report["generalDiagnostics"]:
        if item["severity"] != "information":
            errors[Path(item["file"]).resolve()][item["range"]["start"]["line"] + 1] = item["message"]
    return errors


CHECKERS: dict[str, Callable[[Sequence[Path]], Errors]] = {"mypy": mypy, "basedpyright": basedpyright}


def complaints(checker: str, paths: Sequence[Path] = FILES) -> list[str]:
    """Return what is wrong with a checker's judgement: marked lines that it accepts, and others that it does not."""
    errors = CHECKERS[checker](paths)
    missed = [f"{path}:{line}: {checker} accepts it" for path in paths for line in sorted(marked(path) - errors[path].keys())]
    alarms = [
        f"{path}:{line}: {checker}: {message}"
        for path, lines in errors.items()
        for line, message in lines.items()
        if path not in paths or line not in marked(path)
    ]
    return missed + alarms


if __name__ == "__main__":
    everything = [text for name in CHECKERS for text in complaints(name)]
    print("\n".join(everything) or "as it should be")
    sys.exit(bool(everything))
