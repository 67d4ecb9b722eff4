"""What the demonstration leaves outside of the database, all in one folder: effects that no rollback undoes.

- `effects.jsonl`: one line for every time a task's code begins; the proof compares it with the timeline.
- `power-cut`: while it is there, the flow kills its own process. Whoever dies removes it first: once is enough.
- `inventory.json`: the list that another program writes.
- `catalogue.json`, and its draft: the product.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sayiir import get_task_context

if TYPE_CHECKING:
    from demo.flow import Catalogue

FOLDER = "SAYIIR_DEMO_FOLDER"
"""The environment variable that tells the demo's processes where the folder is."""


class NotReadyError(Exception):
    """The other program has not finished."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """One line of the ledger: somebody began to run this."""

    node: str
    iteration: int
    attempt: int
    pid: int


def folder() -> Path:
    """Return the demo's folder."""
    return Path(os.environ.get(FOLDER, "demo-data"))


def note() -> None:
    """Append to the ledger that the running task has begun; one write, so that lines never mix."""
    context = get_task_context()
    if context is None:
        return  # called as a plain function, by a test
    effect = Effect(context.task_id, context.iteration, context.attempt, os.getpid())
    line = json.dumps(dataclasses.asdict(effect)) + "\n"
    ledger = os.open(folder() / "effects.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


def effects() -> list[Effect]:
    """Return the ledger."""
    path = folder() / "effects.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [Effect(**json.loads(line)) for line in lines]


def power_cut() -> None:
    """Kill this process with SIGKILL, if that is still to happen: no handler runs, nothing is flushed or closed."""
    try:
        (folder() / "power-cut").unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


# --- the other program ------------------------------------------------------------------------------------------------


def start_exporter() -> None:
    """Start a program of its own that writes the inventory, and do not wait for it."""
    subprocess.Popen(
        [sys.executable, "-m", "demo.outside", str(_inventory())],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def read_export() -> list[str]:
    """Return the inventory.

    Raises:
        NotReadyError: the other program is still at it.
    """
    try:
        return [str(name) for name in json.loads(_inventory().read_text())]
    except FileNotFoundError:
        raise NotReadyError("the other program has not finished its list yet") from None


def export(path: Path) -> None:
    """Write the inventory: complete or not at all."""
    from demo.packages import installed

    _replace(path, json.dumps(installed()))


def _inventory() -> Path:
    return folder() / "inventory.json"


# --- the product ------------------------------------------------------------------------------------------------------


def write_draft(catalogue: Catalogue) -> str:
    """Write the draft and return its path. Doing it twice does no harm."""
    path = folder() / "catalogue.draft.json"
    _replace(path, json.dumps(dataclasses.asdict(catalogue), indent=1))
    return str(path)


def publish(draft: str) -> str:
    """Give the draft its final name, and return that. Doing it twice does no harm."""
    final = folder() / "catalogue.json"
    if Path(draft).exists():
        Path(draft).replace(final)
    return str(final)


def discard(draft: str) -> None:
    """Remove the draft."""
    Path(draft).unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
