"""The workflow of the demonstration: a catalogue of the installed packages.

Plain functions become tasks; the chain at the end of this file puts them together. Nothing in here knows about
processes, files of the database, or crashes: each task is called like any function, and its result is stored before the
next one starts. The first line of every task, `note()`, stands for an effect that cannot be taken back: it appends to a
file outside of the database, and in the end that file is compared with the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo import outside, packages
from demo.outside import note
from demo.packages import Package
from sayiir import Flow, LoopResult, RetryPolicy, Workflow, task

# --- the values that go from task to task: stored as JSON, handed on as these types ----------------------------------


@dataclass(frozen=True)
class Order:
    """What is asked for: the input of the instance."""

    rounds: int = 20
    limit: int | None = None


@dataclass(frozen=True)
class Work:
    """What a loop hands to its next round."""

    batch: int
    todo: list[str]
    done: list[Package] = field(default_factory=list)


@dataclass(frozen=True)
class Parts:
    """What the first fork's branches bring to their join, each under its name."""

    metadata: Work
    files: Work
    imports: Work


@dataclass(frozen=True)
class Catalogue:
    """The finished catalogue."""

    packages: list[Package]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Routed:
    """What a route gives: the key it went by, and what the branch returned."""

    branch: str
    result: Catalogue


@dataclass(frozen=True)
class Approval:
    """The payload of the signal."""

    approved: bool
    by: str


@dataclass(frozen=True)
class Decision:
    """What the second fork's branches bring to their join."""

    draft: str
    approval: Approval


# --- the tasks -------------------------------------------------------------------------------------------------------


@task
def order_inventory(order: Order) -> Order:
    """Start another program, which lists the installed packages in its own time."""
    note()
    outside.start_exporter()
    return order


@task(retries=RetryPolicy(max_retries=8, initial_delay_secs=0.4), retry_on=outside.NotReadyError)
def read_inventory(order: Order) -> Work:
    """Read that program's list; as long as it is not finished, this fails and is tried again."""
    note()
    names = outside.read_export()[: order.limit]
    return Work(max(1, -(-len(names) // order.rounds)), names)


@task
def read_metadata(work: Work) -> LoopResult[Work]:
    """Read version and licence of the next packages."""
    note()
    return _next_round(work, packages.with_metadata)


@task
def hash_files(work: Work) -> LoopResult[Work]:
    """Hash every file of the next packages, and compare with what the installer wrote down."""
    note()
    following = _next_round(work, packages.with_files)
    if 3 * len(work.done) >= len(work.todo):
        # In the midst of it, three tasks are running. This batch is hashed, its checkpoint is not written yet.
        outside.power_cut()
    return following


@task
def count_imports(work: Work) -> LoopResult[Work]:
    """Parse the sources of the next packages and count what they import."""
    note()
    return _next_round(work, packages.with_imports)


def _next_round(work: Work, look: Callable[[Package], Package]) -> LoopResult[Work]:
    now, later = work.todo[: work.batch], work.todo[work.batch :]
    rest = Work(work.batch, later, [*work.done, *(look(Package(name)) for name in now)])
    return LoopResult.again(rest) if later else LoopResult.done(rest)


@task
def merge(parts: Parts) -> Catalogue:
    """Put the three views of every package together."""
    note()
    views = zip(parts.metadata.done, parts.files.done, parts.imports.done, strict=True)
    return Catalogue([packages.merged(*three) for three in views])


@task
def strictest_licence(catalogue: Catalogue) -> str:
    """Say which way to go: by the most demanding family of licences that was found."""
    note()
    families = {package.family for package in catalogue.packages}
    return next((family for family in ("unknown", "copyleft") if family in families), "permissive")


@task
def list_obligations(catalogue: Catalogue) -> Catalogue:
    """Write down which packages somebody should look at before they are shipped."""
    note()
    demanding = [package for package in catalogue.packages if package.family != "permissive"]
    return Catalogue(catalogue.packages, [f"{one.name}: {one.licence or 'no licence given'}" for one in demanding])


@task
def all_clear(catalogue: Catalogue) -> Catalogue:
    """Write down that there is nothing to look at."""
    note()
    return Catalogue(catalogue.packages, ["There is nothing to look at."])


@task(name="draft")
def write_draft(routed: Routed) -> str:
    """Write the catalogue beside its final place."""
    note()
    return outside.write_draft(routed.result)


@task
def publish(decision: Decision) -> str | None:
    """Put the draft in its place, if it was approved."""
    note()
    if decision.approval.approved:
        return outside.publish(decision.draft)
    outside.discard(decision.draft)
    return None


# --- the workflow ----------------------------------------------------------------------------------------------------


def batch_by_batch(body: Callable[[Work], LoopResult[Work]]) -> Workflow[Work, Work]:
    """Return a workflow that repeats a task until nothing is left; every round is a checkpoint."""
    return Flow("batches").loop(body, max_iterations=500).build()


approval: Workflow[Any, Approval] = Flow("approval").wait_for_signal("approval", type=Approval).build()

catalogue = (
    Flow("catalogue")
    .then(order_inventory)
    .then(read_inventory)
    .fork()
    .branch(batch_by_batch(read_metadata), name="metadata")
    .branch(batch_by_batch(hash_files), name="files")
    .branch(batch_by_batch(count_imports), name="imports")
    .join(merge)
    .route(strictest_licence, keys=["permissive", "copyleft"])
    .branch("permissive", all_clear)
    .branch("copyleft", list_obligations)
    .default_branch(list_obligations, name="list_unknown")
    .done()
    .delay("second_thoughts", "2s")
    .fork()
    .branch(write_draft)
    .branch(approval, name="approval")
    .join(publish)
    .build()
)
