"""`sayiir task list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from sayiir.cli import out
from sayiir.cli.codes import NOT_FOUND, RefusedError
from sayiir.cli.lazy import Command, LazyGroup
from sayiir.cli.out import Column
from sayiir.cli.place import Place, placed
from sayiir.cli.sheets import nodes
from sayiir.picture.words import duration

if TYPE_CHECKING:
    from sayiir.core.graph import NodeInfo

task = LazyGroup(
    "task",
    help="List the tasks of a workflow or of an instance.",
    entries={"list": ("task:list_", "List tasks, with how each stands in an instance.")},
)


class Declared(msgspec.Struct, frozen=True):
    """A node as its definition declares it."""

    workflow_id: str
    node_id: str
    kind: str
    after: str | None
    timeout_secs: float | None
    max_retries: int
    priority: int | None


_DECLARED: tuple[Column[Any], ...] = (
    Column("WORKFLOW", lambda one: one.workflow_id, wide=True),
    Column("TASK", lambda one: one.node_id),
    Column("KIND", lambda one: one.kind),
    Column("AFTER", lambda one: one.after or ""),
    Column("TIMEOUT", lambda one: "" if one.timeout_secs is None else duration(one.timeout_secs), right=True),
    Column("RETRIES", lambda one: one.max_retries or "", right=True),
    Column("PRIORITY", lambda one: one.priority or "", wide=True, right=True),
)


@click.command("list", cls=Command, examples="""
sayiir task list shop.flows:orders
sayiir task list --instance order-7
sayiir task list --instance order-7 -o jsonl | jq -r 'select(.status == "failed") | .node_id'
""")  # fmt: skip
@click.argument("workflow", metavar="[WORKFLOW|MODULE:ATTR]", required=False)
@click.option("--instance", "instance_id", metavar="ID", help="How its tasks stand.")
@out.output
@placed
def list_(place: Place, workflow: str | None, instance_id: str | None, form: out.Form) -> None:
    """List the tasks, waits and structures of a workflow or of an instance.

    Those of module:attr are read from the code; those of a workflow's name from its newest instance.
    """
    if bool(workflow) == bool(instance_id):
        raise click.UsageError("say which: a workflow's name, module:attr, or --instance ID")
    if workflow is not None and ":" in workflow:
        out.rows(form, _declared(workflow), _DECLARED, lambda one: one.node_id)
        return
    with place.open() as link:
        if instance_id is None:
            newest = link.api.find(link.access, f'workflow:"{workflow}"', limit=1).items
            if not newest:
                sentence = f"no workflow {workflow!r} has an instance; give module:attr, or look at sayiir workflow list"
                raise RefusedError(sentence, NOT_FOUND)
            instance_id = newest[0].instance_id
            out.note(f"as they stand in its newest instance, {out.harmless(instance_id)}")
        view = link.api.show(link.access, instance_id)
    nodes(view.nodes, form)


def _declared(target: str) -> list[Declared]:
    from sayiir.cli.find import find_workflows

    return [_row(one.workflow_id, node) for one in find_workflows([target]) for node in one.iter_nodes()]


def _row(workflow_id: str, node: NodeInfo) -> Declared:
    retries = node.retry_policy.max_retries if node.retry_policy else 0
    return Declared(workflow_id, node.id, node.kind, node.predecessor_id, node.timeout_secs, retries, node.priority)
