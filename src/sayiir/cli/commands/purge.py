"""`sayiir purge`."""

from __future__ import annotations

import click

from sayiir.cli import out
from sayiir.cli.given import confirmed
from sayiir.cli.lazy import Command
from sayiir.cli.place import Place, placed
from sayiir.flow.duration import parse_duration


@click.command(cls=Command, examples="""
sayiir purge --older-than 30d --dry-run
sayiir purge --older-than 12h --yes
""")  # fmt: skip
@click.option("--older-than", required=True, metavar="DURATION", help="How long ago they must have ended: 30d, 12h.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@out.output
@placed
def purge(place: Place, older_than: str, dry_run: bool, yes: bool, form: out.Form) -> None:
    """Delete instances that ended long ago, with their results and signals."""
    parse_duration(older_than)
    with place.open() as link:
        if not dry_run:
            count = link.api.purge(link.access, older_than, dry_run=True)
            confirmed(f"delete {count} instances that ended more than {older_than} ago?", yes=yes)
        count = link.api.purge(link.access, older_than, dry_run=dry_run)
    if form in {"table", "wide"}:
        out.facts([("would be deleted" if dry_run else "deleted", str(count))])
    elif form != "ids":  # what is deleted has no ids any more
        out.one(form, {"count": count, "dry_run": dry_run}, "", lambda _wide: ())
