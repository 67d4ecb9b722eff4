"""`sayiir worker`: move instances; `sayiir worker list`: who does. Options are checked where they are used."""

from __future__ import annotations

import queue
import sys
from typing import NoReturn

import click

from sayiir.cli.find import find_workflows
from sayiir.cli.lazy import Command, Default
from sayiir.cli.options import Options, default_worker_id
from sayiir.cli.parent import Parent
from sayiir.cli.work import first_then_now, log_to_stderr, work

_CODES = """\b
Exit codes:
  0      ended in good order
  1      an error: the database cannot be reached, a task ended the worker
  2      wrong arguments, or workflows that cannot be found or imported
  75     to be started again: worker processes kept dying, or tasks hang
         in their threads
  128+n  a second signal, of number n, ended it at once (130, 143)"""


def _days(_context: click.Context, _param: click.Parameter, value: str) -> float | None:
    """Read a number of days; None for "none"."""
    if value.lower() == "none":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number of days nor none") from None


@click.command(cls=Command, epilog=_CODES, examples="""
sayiir worker shop.flows:orders --url sqlite:///orders.db
sayiir worker shop.flows:all --url postgresql://app@db/orders --processes 4 --tag gpu
sayiir worker list
""")  # fmt: skip
@click.argument("targets", metavar="MODULE:ATTR...", nargs=-1, required=True)
@click.option("--url", envvar="SAYIIR_URL", show_envvar=True, required=True,
              help="Where the instances live: postgresql://user@host/database or sqlite:///file.db.")
@click.option("--processes", type=click.IntRange(min=1),
              help="Start so many worker processes and replace those that die; without it this process is the worker.")
@click.option("--concurrency", type=int, help="Tasks at once in each process.  [default: 32 sync, 1000 async]")
@click.option("--tag", "tags", multiple=True, help="What this worker has, repeatable; without any it takes every task.")
@click.option("--poll-interval", type=float, default=5.0, show_default=True, metavar="SECONDS",
              help="Look for work after this at the latest.")
@click.option("--claim-ttl", type=float, default=300.0, show_default=True, metavar="SECONDS",
              help="After so much silence the work of a worker that hangs is given to another.")
@click.option("--grace", type=float, default=25.0, show_default=True, metavar="SECONDS",
              help="What running tasks get to finish at the end.")
@click.option("--worker-id", help="Its name in timelines; processes add their number.  [default: host-process]")
@click.option("--retention", callback=_days, default="30", show_default=True, metavar="DAYS|none",
              help="Purge what ended so long ago.")
@click.option("--schema", help="PostgreSQL: the schema of the tables.  [default: sayiir]")
@click.option("--alive-file", metavar="PATH",
              help="Touch it every two seconds, for a liveness probe; processes add their number.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), metavar="PORT",
              help="Serve Prometheus metrics on loopback; processes take this port and those that follow.")
@click.option("--max-restarts", type=click.IntRange(min=0), default=10, show_default=True,
              help="With --processes: give up when one dies more often in a row.")  # fmt: skip
def worker(
    targets: tuple[str, ...], url: str, processes: int | None, concurrency: int | None, tags: tuple[str, ...],
    poll_interval: float, claim_ttl: float, grace: float, worker_id: str | None, retention: float | None,
    schema: str | None, alive_file: str | None, metrics_port: int | None, max_restarts: int,
) -> NoReturn:  # fmt: skip
    """Move the instances of workflows until told to end.

    MODULE:ATTR is a Workflow, a list of them, or a function that returns either; the current folder can be imported.

    SIGTERM or Ctrl-C: nothing more is claimed, running tasks may finish within the grace time, everything else is left
    to other workers. A second one: it ends at once.
    """
    options = Options(
        list(targets), url, worker_id or default_worker_id(), concurrency, list(tags), poll_interval, claim_ttl, grace,
        retention, schema, alive_file, metrics_port,
    )  # fmt: skip
    sys.exit(_run(options, processes, max_restarts))


def _run(options: Options, processes: int | None, max_restarts: int) -> int:
    """Check everything that can be checked before anything runs, then work."""
    workflows = find_workflows(options.targets)
    log_to_stderr()
    with options.backend(check=True) as backend:
        (options if processes is None else options.numbered(processes)).worker(backend)
    if processes is not None:
        return Parent(options, processes, max_restarts).run()
    return work(options, workflows, queue.SimpleQueue(), first_then_now())


group = Default(
    "worker", command=worker, entries={"list": ("workers:list_", "List the processes that move instances.")}
)
