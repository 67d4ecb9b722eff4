"""The command at the top: its table of commands and the page that `sayiir --help` shows."""

from __future__ import annotations

import click

from sayiir import __version__
from sayiir.cli.codes import TABLE
from sayiir.cli.lazy import SETTINGS, Root


class _Sayiir(Root):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        with formatter.section("Where the instances live"):
            formatter.write_text(
                "Each command takes --url, or SAYIIR_URL: sqlite:///orders.db (a file), postgresql://user@host/database, "
                "or https://host of a `sayiir server`, with --token or SAYIIR_TOKEN. Without any it is sqlite:///sayiir.db, "
                "if that file is there."
            )
        with formatter.section("Exit codes"):
            formatter.write_dl([*TABLE])
        with formatter.section("Start here"):
            indent = " " * formatter.current_indent
            formatter.write(
                f"{indent}sayiir demo                     see an instance wait, fail, and be retried\n"
                f"{indent}sayiir dev shop.flows:orders    your workflows with a dashboard, reloaded as you type\n"
                f"{indent}sayiir instance list status:failed since:1d\n"
                f"{indent}sayiir instance why order-7     why it does not move\n"
            )


sayiir = _Sayiir(
    "sayiir",
    context_settings=SETTINGS,
    help="Durable workflows from plain Python functions: run them, see them, steer them.",
    headings={
        "Get started": ["demo", "dev"],
        "Run": ["worker", "server"],
        "See and steer": ["submit", "instance", "signal", "workflow", "task"],
        "Look after": ["db", "purge", "completion"],
    },
    entries={
        "demo": ("demo:demo", "Watch a few instances on a local file; needs nothing else."),
        "dev": ("dev:dev", "A worker and the dashboard on a local file, reloaded when code changes."),
        "worker": ("worker:group", "Move the instances of workflows until told to end; list who does."),
        "server": ("server:server", "Serve the dashboard and the HTTP API."),
        "submit": ("submit:submit", "Store a new instance, for a worker to move."),
        "instance": ("instance:instance", "List, show, explain, follow and steer instances."),
        "signal": ("signal:signal", "Send signals to instances that wait for them."),
        "workflow": ("workflow:workflow", "List, show and draw workflows."),
        "task": ("task:task", "List the tasks of a workflow or of an instance."),
        "db": ("db:db", "Migrate, check, measure and back up the database."),
        "purge": ("purge:purge", "Delete instances that ended long ago."),
        "completion": ("completion:completion", "Print what makes your shell complete commands."),
    },
)
click.version_option(__version__, prog_name="sayiir")(sayiir)
