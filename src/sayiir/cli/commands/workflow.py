"""`sayiir workflow list|show|graph`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from sayiir.cli import out
from sayiir.cli.codes import RefusedError
from sayiir.cli.lazy import Command, LazyGroup
from sayiir.cli.out import Column
from sayiir.cli.place import Place, placed
from sayiir.picture import to_text
from sayiir.picture.words import duration

if TYPE_CHECKING:
    from sayiir.cli.find import Found
    from sayiir.service.model import Count, WorkflowRow

workflow = LazyGroup(
    "workflow",
    help="List, show and draw workflows.",
    entries={
        "list": ("workflow:list_", "List workflows with their figures."),
        "show": ("workflow:show", "Show a workflow's figures and versions."),
        "graph": ("workflow:graph", "Draw a workflow: Mermaid, SVG or text."),
    },
)


def _secs(value: float | None) -> str:
    return "" if value is None else duration(value)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _count(count: Count) -> str:
    return f"{count.count:,}{'+' if count.capped else ''}"


def _counts(row: WorkflowRow) -> str:
    return ", ".join(f"{_count(one)} {one.name}" for one in row.statuses if one.count)


_COLUMNS: tuple[Column[Any], ...] = (
    Column("WORKFLOW", lambda row: row.workflow_id),
    Column("INSTANCES", _counts),
    Column("SUCCESS", lambda row: _rate(row.success_rate), right=True),
    Column("P50", lambda row: _secs(row.p50_secs), right=True),
    Column("P95", lambda row: _secs(row.p95_secs), right=True),
    Column("VERSIONS", lambda row: len(row.versions), wide=True, right=True),
    Column("WORKERS", lambda row: " ".join(sorted({name for one in row.versions for name in one.served_by})), wide=True),
)
_VERSIONS: tuple[Column[Any], ...] = (
    Column("VERSION", lambda one: one.definition_hash[:12]),
    Column("UNFINISHED", lambda one: _count(one.unfinished), right=True),
    Column("WORKERS", lambda one: " ".join(one.served_by) or "none"),
)


@click.command("list", cls=Command, examples="""
sayiir workflow list
sayiir workflow list -o wide
""")  # fmt: skip
@out.output
@placed
def list_(place: Place, form: out.Form) -> None:
    """List workflows with how many instances they have, how many succeed, and how long they take."""
    with place.open() as link:
        found = link.api.workflows(link.access)
    out.rows(
        form, found, _COLUMNS, lambda row: row.workflow_id, empty="no workflows yet; a worker or sayiir submit brings them"
    )


@click.command(cls=Command, examples="""
sayiir workflow show orders
""")  # fmt: skip
@click.argument("workflow_id", metavar="WORKFLOW")
@out.output
@placed
def show(place: Place, workflow_id: str, form: out.Form) -> None:
    """Show a workflow: its figures, its versions, and who serves them."""
    with place.open() as link:
        row = link.api.workflow(link.access, workflow_id)
    if form not in {"table", "wide"}:
        out.one(form, row, row.workflow_id, lambda _wide: ())
        return
    out.facts([("workflow", row.workflow_id), ("instances", _counts(row)), ("success", _rate(row.success_rate)),
               ("p50", _secs(row.p50_secs)), ("p95", _secs(row.p95_secs))])  # fmt: skip
    out.heading("Versions")
    out.rows(form, row.versions, _VERSIONS, lambda one: one.definition_hash, empty="none")


@click.command(cls=Command, examples="""
sayiir workflow graph shop.flows:orders
sayiir workflow graph shop.flows:orders --format mermaid
sayiir workflow graph orders --format svg > orders.svg
sayiir workflow graph --instance order-7 > order-7.svg
""")  # fmt: skip
@click.argument("workflow", metavar="[WORKFLOW|MODULE:ATTR]", required=False)
@click.option("--format", "kind", type=click.Choice(["text", "mermaid", "svg"]),
              help="[default: text for module:attr, else svg]")
@click.option("--instance", "instance_id", metavar="ID", help="Draw it as it stands in this instance.")
@placed
def graph(
    place: Place, workflow: str | None, kind: Literal["text", "mermaid", "svg"] | None, instance_id: str | None
) -> None:
    """Draw a workflow on stdout. With module:attr no database is needed."""
    if bool(workflow) == bool(instance_id):
        raise click.UsageError("say which: a workflow's name, module:attr, or --instance ID")
    if workflow is not None and ":" in workflow:
        click.echo(_drawn(workflow, kind or "text"))
        return
    if workflow is None and kind in ("text", "mermaid"):
        raise click.UsageError(f"--format {kind} draws workflows; leave it out to see an instance, as svg")
    with place.open() as link:
        if workflow is not None and kind in ("text", "mermaid"):
            lines = link.api.graph_text(link.access, workflow, form=kind).splitlines()
            click.echo("\n".join(map(out.harmless, lines)))
            return
        click.echo(link.api.graph_svg(link.access, instance_id, workflow_id=workflow))


def _drawn(target: str, kind: Literal["text", "mermaid", "svg"]) -> str:
    from sayiir.cli.find import find_workflows

    found = find_workflows([target])
    if kind == "svg" and len(found) > 1:
        raise RefusedError(f"{target} has {len(found)} workflows; name the attribute that is one of them")
    return "\n\n".join(_one(workflow, kind).rstrip() for workflow in found)


def _one(workflow: Found, kind: Literal["text", "mermaid", "svg"]) -> str:
    match kind:
        case "text":
            return to_text(workflow.graph)
        case "mermaid":
            return workflow.to_mermaid()
        case "svg":
            return workflow.to_svg()
