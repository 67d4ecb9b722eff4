"""Where a command finds the instances: a database, or the URL of a server.

Rules of this file: a command never knows which. It gets a `Link`: the methods of `Service`, and who asks. A file that is
not there is refused rather than made, for a slip of the pen would look like an empty list.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click
import msgspec

from sayiir.cli.codes import ERROR, RefusedError, one_line
from sayiir.errors import WorkflowError

if TYPE_CHECKING:
    from sayiir.service.model import (
        Access,
        Action,
        Attempt,
        BulkResult,
        InstancePage,
        InstanceRow,
        InstanceView,
        Selection,
        Trouble,
        WorkerRow,
        WorkflowRow,
    )
    from sayiir.store.base import ScriptedStore

LOCAL_URL = "sqlite:///sayiir.db"
"""Where `sayiir dev` keeps its instances, and where commands in its folder look for them."""
PATIENCE_SECS = 5.0
"""How long a command waits for a server."""
_LOOKS_OVER_HTTP_SECS = 15.0
"""How often a server is asked whatever its stream says."""


class Api(Protocol):
    """What commands ask for: the part of `Service` that a server offers over HTTP, too."""

    def find(
        self, access: Access, where: str = "", *, cursor: str | None = None, limit: int = 50
    ) -> InstancePage: ...
    def show(self, access: Access, instance_id: str) -> InstanceView: ...
    def attempts(self, access: Access, instance_id: str) -> tuple[Attempt, ...]: ...
    def graph_svg(
        self, access: Access, instance_id: str | None = None, *, workflow_id: str | None = None,
        definition_hash: str | None = None,
    ) -> str: ...  # fmt: skip
    def graph_text(
        self, access: Access, workflow_id: str, *, definition_hash: str | None = None, form: Literal["mermaid", "text"] = ...
    ) -> str: ...
    def result(self, access: Access, instance_id: str, *, timeout: float = 0) -> InstanceView: ...
    def output(self, access: Access, instance_id: str) -> tuple[InstanceRow, Any, Trouble | None]: ...
    def submit(
        self, access: Access, workflow_id: str, instance_id: str | None, input_json: bytes, *,
        priority: int | None = None, policy: Any = None, definition_hash: str | None = None,
    ) -> tuple[InstanceRow, bool]: ...  # fmt: skip
    def cancel(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow: ...
    def pause(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow: ...
    def unpause(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow: ...
    def retry(
        self, access: Access, instance_id: str, *, from_task: str | None = None, input_json: bytes | None = None,
        reason: str | None = None,
    ) -> InstanceRow: ...  # fmt: skip
    def signal(
        self, access: Access, instance_id: str, name: str, payload_json: bytes, *, dedup_key: str | None = None
    ) -> bool: ...
    def bulk(
        self, access: Access, action: Action, selection: Selection, *, dry_run: bool = False,
        reason: str | None = None, cursor: str | None = None,
    ) -> BulkResult: ...  # fmt: skip
    def purge(self, access: Access, older_than: Any, *, dry_run: bool = False) -> int: ...
    def workflows(self, access: Access) -> tuple[WorkflowRow, ...]: ...
    def workflow(self, access: Access, workflow_id: str) -> WorkflowRow: ...
    def workers(self, access: Access) -> tuple[WorkerRow, ...]: ...
    def stats(self, access: Access) -> dict[str, Any]: ...
    def check(self, access: Access) -> list[str]: ...
    def changed(self, seen: int, timeout: float) -> int: ...


class Link(msgspec.Struct, frozen=True):
    """An open connection: what can be asked, who asks, and how often to look where nothing is heard, in seconds."""

    api: Api
    access: Access
    looks_secs: float = 1.0


class Place(msgspec.Struct, frozen=True):
    """Where the instances live, as the shell said."""

    url: str | None
    token: str | None = None
    schema: str | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is a server's URL rather than a database's."""
        return (self.url or "").startswith(("http://", "https://"))

    @contextmanager
    def open(
        self, workflows: Sequence[Any] = (), *, make: bool = False, traces: bool = False
    ) -> Generator[Link, None, None]:
        """Connect.

        Args:
            workflows: whose code is at hand.
            make: whether a file that is missing shall be made.
            traces: whether what is done to a database shall be traced, where a collector is named; a server traces itself.

        Raises:
            RefusedError: there is nothing behind the URL.
        """
        from sayiir.service.model import Access, Role

        if self.is_server:
            from sayiir.cli.remote import Remote

            if self.schema is not None:
                raise RefusedError("--schema is for PostgreSQL only; the server knows its own; leave it out")
            with closing(Remote(str(self.url), self.token)) as remote:
                yield Link(remote, Access("", Role.ADMIN), _LOOKS_OVER_HTTP_SECS)
            return
        from sayiir.service import Service

        with self.backend(make=make) as backend, _traced() if traces else nullcontext():
            yield Link(Service(backend, workflows=workflows), Access(user_name(), Role.ADMIN))

    def backend(self, *, make: bool = False) -> ScriptedStore:
        """Open the database.

        Raises:
            RefusedError: there is none, or this is a server's URL.
        """
        from sayiir.store.url import sqlite_path

        url = self.database
        path = sqlite_path(url)
        if not make and path is not None and not Path(path).exists():
            raise RefusedError(f"there is no file {path!r}; check --url, or make it: sayiir db migrate --url {url}", ERROR)
        return open_backend(url, self.schema, patience_secs=PATIENCE_SECS)

    @property
    def database(self) -> str:
        """The URL of the database; the local one when nothing was said and it is there.

        Raises:
            RefusedError: this is a server's URL, or nothing was said.
        """
        if self.is_server:
            raise RefusedError(f"this works on a database, not through a server; give its URL instead of {self.url}")
        if self.url is None and not Path("sayiir.db").exists():
            raise RefusedError("give --url or set SAYIIR_URL, such as sqlite:///orders.db")
        return self.url or LOCAL_URL


@contextmanager
def _traced() -> Generator[None, None, None]:
    from sayiir.tracing import shutdown_tracing, trace_only

    trace_only()
    try:
        yield
    finally:
        shutdown_tracing()


def open_backend(url: str, schema: str | None, *, patience_secs: float | None = None) -> ScriptedStore:
    """Open the backend that a URL names.

    Args:
        url: as `connect` takes it.
        schema: of PostgreSQL.
        patience_secs: how long to wait for PostgreSQL; its own default when None.

    Raises:
        RefusedError: the URL is wrong, or there is nothing behind it.
    """
    from sayiir.store.url import connect

    is_postgres = url.startswith(("postgresql:", "postgres:"))
    if url.startswith("memory:") or url in ("sqlite://", "sqlite:///:memory:"):
        raise RefusedError("an in-memory backend is known to one process only; give the URL of a file or server")
    if schema is not None and not is_postgres:
        raise RefusedError("--schema is for PostgreSQL only; leave it out")
    settings: dict[str, object] = {} if schema is None else {"schema": schema}
    if patience_secs is not None and is_postgres:
        settings["acquire_timeout_secs"] = patience_secs
    try:
        return connect(url, **settings)
    except WorkflowError as error:
        raise RefusedError(one_line(error), ERROR) from error
    except ValueError as error:
        raise RefusedError(one_line(error)) from error


def user_name() -> str:
    """Return who is at the shell, for the audit."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "cli"


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --url, --token and --schema, which reach it as its first argument, a `Place`."""

    @functools.wraps(function)
    def command(*args: Any, url: str | None, token: str | None, schema: str | None, **kwargs: Any) -> Any:
        return function(Place(url, token, schema), *args, **kwargs)

    for option in (
        click.option("--schema", envvar="SAYIIR_SCHEMA", help="PostgreSQL: the schema of the tables.  [default: sayiir]"),
        click.option("--token", envvar="SAYIIR_TOKEN", show_envvar=True, help="What the server at --url asks for."),
        click.option("--url", envvar="SAYIIR_URL", show_envvar=True,
                     help="A database, or a server.  [default: sqlite:///sayiir.db, if it is there]"),
    ):  # fmt: skip
        command = option(command)
    return command
