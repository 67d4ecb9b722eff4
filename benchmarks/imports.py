"""The time of `import sayiir`: a new interpreter with it, less one without."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from benchmarks.environments import ROOT
from benchmarks.measure import Budget, Case, Group, timed
from benchmarks.setting import Setting


def _group(setting: Setting) -> Group:
    starts = setting.scale.starts
    cases = [
        Case(
            "ours", "`import sayiir`", lambda: _cost(sys.executable, "sayiir", starts), "millis", None, (Budget(60.0),)
        )
    ]
    for peer, module, label in (
        ("sayiir_real", "sayiir", "real sayiir 1.0.0"),
        ("dbos", "dbos", "DBOS 3.4.0"),
    ):
        python = setting.peers.get(peer)
        if python is not None:
            cases.append(
                Case(peer, f"`import {module}` of {label}",
                     lambda python=python, module=module: _cost(python, module, starts), "millis", "ours")  # type: ignore[misc]
            )  # fmt: skip
    return Group(
        "imports",
        "Import",
        f"Start and end of an interpreter with the import, less one without; the best of {starts} each.",
        cases,
    )


_BYTECODE = tempfile.TemporaryDirectory(prefix="sayiir-bench-")


def _cost(python: str, module: str, starts: int) -> float:
    with_it, without = [], []
    for _ in range(starts):
        with_it.append(timed(lambda: _start(python, f"import {module}")))
        without.append(timed(lambda: _start(python, "pass")))
    return max(0.0, min(with_it) - min(without)) * 1e3


def _start(python: str, program: str) -> None:
    # Ours is taken from this source tree, a peer's from its own environment alone.
    ours = python == sys.executable
    environment = None
    if ours:
        # An installed library has its bytecode; a source tree gets it at the first start, beside the project.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONPYCACHEPREFIX": str(_BYTECODE.name)}
    subprocess.run([python, *([] if ours else ["-I"]), "-c", program], check=True, capture_output=True, env=environment)


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "imports": _group,
}
