"""`sayiir dev`: a worker and the dashboard in one process, which a parent starts anew when code changes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext

import click

from sayiir.cli import out
from sayiir.cli.lazy import Command
from sayiir.cli.place import LOCAL_URL, open_backend
from sayiir.cli.reload import reloading
from sayiir.cli.serving import check_local, check_server, check_trace, listen, load_server, parse_bind, serve, url_of

_GRACE_SECS = 3.0


@click.command(cls=Command, examples="""
sayiir dev shop.flows:orders
sayiir dev shop.flows:all --bind :9000 --open
""")  # fmt: skip
@click.argument("targets", metavar="MODULE:ATTR...", nargs=-1, required=True)
@click.option("--url", default=LOCAL_URL, show_default=True, help="Where the instances live.")
@click.option("--bind", default="127.0.0.1:8787", show_default=True, metavar="HOST:PORT",
              help="Where the dashboard listens.")
@click.option("--trace-url", envvar="SAYIIR_TRACE_URL", show_envvar=True, metavar="URL",
              help="Where a trace can be seen, as in http://127.0.0.1:16686/trace/{trace_id}; instances link there.")
@click.option("--open", "browse", is_flag=True, help="Open it in a browser.")
@click.option("--no-reload", is_flag=True, help="Do not start anew when a Python file below this folder changes.")
@click.option("--child", is_flag=True, hidden=True)  # fmt: skip
def dev(
    targets: tuple[str, ...], url: str, bind: str, trace_url: str | None, browse: bool, no_reload: bool, child: bool
) -> None:
    """Run your workflows with a dashboard, on a local file, reloaded as you type.

    For one's own machine only. In production the same two are `sayiir worker` and `sayiir server`.
    """
    host, port = parse_bind(bind)
    check_local(host)
    check_trace(trace_url)
    check_server()
    if no_reload or child:
        if child:
            _end_with_parent()
        _work_and_serve(list(targets), url, host, port, browse=browse, trace_url=trace_url)
        return
    words = [*targets, "--url", url, "--bind", bind, *(["--trace-url", trace_url] if trace_url else [])]
    sys.exit(reloading([sys.executable, "-m", "sayiir.cli", "dev", *words, "--child"], *(["--open"] if browse else [])))


def _work_and_serve(
    targets: list[str], url: str, host: str, port: int, *, browse: bool, trace_url: str | None
) -> None:
    from sayiir.cli.find import find_workflows
    from sayiir.cli.options import default_worker_id
    from sayiir.cli.work import log_to_stderr
    from sayiir.runtime.worker import Worker
    from sayiir.tracing import shutdown_tracing

    workflows = find_workflows(targets)
    log_to_stderr()
    with (
        open_backend(url, None) as backend,
        listen(host, port) as listening,
        _measured(),
        Worker(default_worker_id(), backend, shutdown_grace=_GRACE_SECS).start(workflows) as handle,
    ):
        if browse:
            import webbrowser

            webbrowser.open(url_of(listening, ""))
        names = ", ".join(sorted({workflow.workflow_id for workflow in workflows}))
        out.note(f"sayiir: working on {names} at {url}")
        serve(load_server()(backend, workflows, trace_url=trace_url), listening, "", ended=handle.shutdown)
    shutdown_tracing()


def _measured() -> AbstractContextManager[object]:
    """Count what the worker does, for the server's /metrics, where what that takes is installed."""
    try:
        from sayiir.telemetry.metrics import Metrics
    except ModuleNotFoundError:
        return nullcontext()
    return Metrics()


def _end_with_parent() -> None:
    """End when stdin does: then the parent is gone."""

    def mind() -> None:
        # Not by sys.stdin, whose lock would be held while the interpreter ends.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=mind, name="sayiir-parent", daemon=True).start()
