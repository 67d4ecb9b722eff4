"""`sayiir submit`."""

from __future__ import annotations

import sys

import click
import msgspec

from sayiir.cli import out
from sayiir.cli.codes import NOT_FOUND, RefusedError
from sayiir.cli.commands.instance_wait import told, waited, watched
from sayiir.cli.given import read_json
from sayiir.cli.lazy import Command
from sayiir.cli.place import Place, placed
from sayiir.cli.sheets import INSTANCES
from sayiir.errors import UnknownWorkflowError
from sayiir.flow.duration import parse_duration
from sayiir.store.port import POLICIES


@click.command(cls=Command, examples="""
sayiir submit shop.flows:orders order-7 --input '{"amount": 12}'
sayiir submit shop.flows:orders --set amount=12 --set customer=ann --watch
sayiir submit orders order-8 --input @order.json --priority 1 --url https://flows.example
sayiir submit orders order-8 --input @order.json --if-exists use_existing --wait 30s
""")  # fmt: skip
@click.argument("workflow")
@click.argument("instance_id", metavar="[ID]", required=False)
@click.option("-i", "--input", "input_", metavar="JSON", help="JSON, @file, or - for stdin.  [default: null]")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A field of the input; JSON if it can be read so.")
@click.option("--priority", type=click.IntRange(1, 5), help="1 (first) to 5 (last).")
@click.option("--if-exists", "policy", type=click.Choice(POLICIES), default="fail", show_default=True,
              help="What to do when the id is taken.")
@click.option("--version", "definition_hash", metavar="HASH", help="Of which definition.  [default: the newest]")
@click.option("--wait", metavar="DURATION", help="Wait so long for its output, and print that.")
@click.option("--watch", is_flag=True, help="Follow it until it ends.")
@out.output
@placed
def submit(
    place: Place, workflow: str, instance_id: str | None, input_: str | None, pairs: tuple[str, ...], priority: int | None,
    policy: str, definition_hash: str | None, wait: str | None, watch: bool, form: out.Form,
) -> None:  # fmt: skip
    """Store a new instance, for a worker to move.

    WORKFLOW is module:attr, whose code checks the input, or with a server's URL the name of a workflow that the server
    knows, which then checks it. Without ID the instance gets a new one.
    """
    raw = _input(input_, pairs)
    secs = None if wait is None else parse_duration(wait)
    found, name, version = _named(workflow, definition_hash)
    with place.open(found, make=True, traces=True) as link:
        try:
            row, is_new = link.api.submit(
                link.access, name, instance_id, raw, priority=priority, policy=policy, definition_hash=version
            )
        except UnknownWorkflowError as error:
            if found or place.is_server:
                raise
            sentence = f"{name!r} is only a name here, and its input is checked by its code: sayiir submit module:attr"
            raise RefusedError(sentence, NOT_FOUND) from error
        if not is_new:
            out.note(f"{out.harmless(row.instance_id)} was there already")
        if watch:
            sys.exit(watched(link, row.instance_id, secs, form))
        if secs is not None:
            sys.exit(told(link, waited(link, row.instance_id, secs), form, patience=secs))
    if form == "json":
        out.json(row)
    else:
        out.rows(form, [row], INSTANCES, lambda one: one.instance_id)


def _named(workflow: str, version: str | None) -> tuple[list[object], str, str | None]:
    """Return the code that is at hand, the name, and the version to be used."""
    if ":" not in workflow:
        return [], workflow, version
    from sayiir.cli.find import find_workflows

    found = find_workflows([workflow])
    if len(found) > 1:
        names = ", ".join(sorted({one.workflow_id for one in found}))
        raise RefusedError(f"{workflow} has several workflows ({names}); name the attribute that is one of them")
    return [*found], found[0].workflow_id, version or found[0].definition_hash


def _input(text: str | None, pairs: tuple[str, ...]) -> bytes:
    raw = read_json(text, "--input") if text is not None else b"null"
    if not pairs:
        return raw
    fields = msgspec.json.decode(raw) if text is not None else {}
    if not isinstance(fields, dict):
        raise RefusedError("--set is for an input that is a JSON object; leave --input or --set out")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise RefusedError(f"--set {pair!r} is not NAME=VALUE, as in --set amount=12")
        try:
            fields[name] = msgspec.json.decode(value.encode())
        except msgspec.DecodeError:
            fields[name] = value
    return msgspec.json.encode(fields)
