"""`sayiir db migrate|check|stats|backup`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sayiir.cli import out
from sayiir.cli.codes import ERROR, RefusedError
from sayiir.cli.lazy import Command, LazyGroup
from sayiir.cli.place import Place, placed
from sayiir.picture.words import plural

db = LazyGroup(
    "db",
    help="Migrate, check, measure and back up the database.",
    entries={
        "migrate": ("db:migrate", "Make the tables, or bring them to this release."),
        "check": ("db:check", "Look for damage; exit 1 if there is any."),
        "stats": ("db:stats", "Count rows and bytes, and how far behind the workers are."),
        "backup": ("db:backup", "Copy a SQLite file while it is in use."),
    },
)


@click.command(cls=Command, examples="""
sayiir db migrate --url sqlite:///orders.db
sayiir db migrate --url postgresql://owner@db/orders --print-sql > sayiir.sql
""")  # fmt: skip
@click.option("--print-sql", is_flag=True, help="Print what is to be done instead of doing it.")
@out.output
@placed
def migrate(place: Place, print_sql: bool, form: out.Form) -> None:
    """Make the tables, or bring them to this release; nothing happens when they are.

    Workers and programs do the same when they start; this is for those who may not.
    """
    from sayiir.store.url import pending_migrations

    found = pending_migrations(place.database, place.schema)
    if print_sql:
        click.echo(found.sql, nl=False)
        return
    place.backend(make=True).close()
    done = {"version": found.newest, "applied": [*found.names]}
    if form in {"table", "wide"}:
        out.facts([("version", str(found.newest)), ("applied", ", ".join(found.names) or "nothing; it was so already")])
    elif form == "ids":
        for name in found.names:
            click.echo(name)
    else:
        out.one(form, done, "", lambda _wide: ())


@click.command(cls=Command, examples="""
sayiir db check
""")  # fmt: skip
@out.output
@placed
def check(place: Place, form: out.Form) -> None:
    """Look whether the tables are sound and agree with each other; exit 1 if not."""
    with place.open() as link:
        problems = link.api.check(link.access)
    if form in {"table", "wide"}:
        for problem in problems:
            click.echo(out.harmless(problem))
        if not problems:
            click.echo("sound")
    elif form == "json":
        out.json({"items": problems})
    else:
        for problem in problems:
            click.echo(out.harmless(problem)) if form == "ids" else out.line(problem)
    sys.exit(ERROR if problems else 0)


@click.command(cls=Command, examples="""
sayiir db stats
sayiir db stats -o json
""")  # fmt: skip
@out.output
@placed
def stats(place: Place, form: out.Form) -> None:
    """Count rows and bytes of each table, the tokens that are due, and how long the oldest waits."""
    with place.open() as link:
        found = link.api.stats(link.access)
    if form == "json":
        out.json(found)
    elif form == "jsonl":
        out.line(found)
    elif form == "ids":
        for name in found:
            click.echo(name)
    else:
        out.facts(_flat(found, ""))


def _flat(value: dict[str, Any], prefix: str) -> list[tuple[str, object]]:
    """Return nested figures as names and values."""
    pairs: list[tuple[str, object]] = []
    for name, inside in value.items():
        if isinstance(inside, dict):
            pairs += _flat(inside, f"{prefix}{name}.")
        elif inside is not None:
            pairs.append((f"{prefix}{name}", f"{inside:,}" if isinstance(inside, int) else str(inside)))
    return pairs


@click.command(cls=Command, examples="""
sayiir db backup orders-monday.db --url sqlite:///orders.db
""")  # fmt: skip
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@placed
def backup(place: Place, target: Path) -> None:
    """Copy a SQLite database while programs use it, as it stands at one moment; PostgreSQL has pg_dump for this."""
    from sayiir.store.url import backup as copy

    url = place.database
    if target.exists():
        raise RefusedError(f"{str(target)!r} is there already; name a new file", ERROR)
    copy(url, str(target))
    click.echo(f"{target}: {plural(target.stat().st_size, 'byte')}")
