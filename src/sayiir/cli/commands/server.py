"""`sayiir server`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sayiir.cli.codes import RefusedError
from sayiir.cli.lazy import Command
from sayiir.cli.place import Place
from sayiir.cli.serving import check_open, check_trace, listen, load_server, parse_bind, serve
from sayiir.cli.work import log_to_stderr
from sayiir.tracing import shutdown_tracing

if TYPE_CHECKING:
    from sayiir.store.base import ScriptedStore


@click.command(cls=Command, examples="""
sayiir server --url sqlite:///orders.db
sayiir server shop.flows:orders --bind 0.0.0.0:8787 --token "$SECRET"
sayiir server --read-only --root-path /ops
""")  # fmt: skip
@click.argument("targets", metavar="[MODULE:ATTR...]", nargs=-1)
@click.option("--bind", default="127.0.0.1:8787", show_default=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--token", envvar="SAYIIR_TOKEN", show_envvar=True,
              help="What callers must give; needed for any --bind but this machine's.")
@click.option("--host", "hosts", multiple=True, metavar="NAME",
              help="A name under which it is reached, repeatable; needed with --insecure, for pages elsewhere can lie.")
@click.option("--insecure", is_flag=True, help="Let other machines in without a token.")
@click.option("--read-only", is_flag=True, help="Show everything, change nothing.")
@click.option("--root-path", default="", metavar="PATH", help="The prefix under which a proxy offers it, as in /ops.")
@click.option("--trace-url", envvar="SAYIIR_TRACE_URL", show_envvar=True, metavar="URL",
              help="Where a trace can be seen, as in http://127.0.0.1:16686/trace/{trace_id}; instances link there.")
@click.option("--url", envvar="SAYIIR_URL", show_envvar=True,
              help="The database.  [default: sqlite:///sayiir.db, if it is there]")
@click.option("--schema", envvar="SAYIIR_SCHEMA",
              help="PostgreSQL: the schema of the tables.  [default: sayiir]")  # fmt: skip
def server(
    targets: tuple[str, ...], bind: str, token: str | None, hosts: tuple[str, ...], insecure: bool, read_only: bool,
    root_path: str, trace_url: str | None, url: str | None, schema: str | None,
) -> None:  # fmt: skip
    """Serve the dashboard and the HTTP API (below /api/v1).

    MODULE:ATTR are workflows whose code is at hand: their inputs get forms and are checked. No task runs here.
    """
    host, port = parse_bind(bind)
    check_open(host, token, insecure=insecure)
    root = checked_root(root_path)
    check_trace(trace_url)
    create_app, workflows = load_server(), _found(targets)
    log_to_stderr()

    def app(backend: ScriptedStore) -> Any:
        return create_app(
            backend, workflows, auth=token, read_only=read_only, allowed_hosts=hosts, trace_url=trace_url
        )

    with Place(url, schema=schema).backend() as backend, listen(host, port) as listening:
        serve(app(backend), listening, root)
    shutdown_tracing()


def checked_root(path: str) -> str:
    """Return the prefix as ASGI wants it.

    Raises:
        RefusedError: it does not begin with a slash.
    """
    if path and not path.startswith("/"):
        raise RefusedError(f"--root-path {path!r} must begin with /, as in /ops")
    return path.rstrip("/")


def _found(targets: tuple[str, ...]) -> list[object]:
    from sayiir.cli.find import find_workflows

    return [*find_workflows(list(targets))] if targets else []
