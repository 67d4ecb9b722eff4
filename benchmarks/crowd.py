"""A store with a great many instances: real ones of every kind, copied row by row with an age of their own.

Rules of this file: one made-up past for both databases; every copied row is one that the engine wrote, only with another
number, id, metadata and time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from sayiir import Flow, TaskError, Workflow, WorkflowClient, connect, run_durable_workflow

SPAN_SECS = 60 * 86_400
"""The instances were created over so long a time, evenly."""
CUSTOMERS = 5_000
_KEYS = {"instances": "number", "tokens": "instance", "results": "instance"}
_NUMBER_BITS = 10
"""Of an instance's number below its microseconds (see sayiir.store.numbers)."""
_BATCH = 20_000
_CHAINS = ("order", "invoice", "import", "report", "mail", "resize", "sync")
# Of each 1,000 instances so many: unfinished, failed and cancelled ones are few, as where workflows mostly succeed.
_SHARES = {"payout": 10, "approval": 10, "reminder": 10, "paused": 5, "cancelled": 10, "due": 5}


def add_one(value: int) -> int:
    """Do next to nothing."""
    return value + 1


def refuse(value: int) -> int:
    """Fail."""
    raise ValueError(f"nobody takes {value}")


def workflows() -> dict[str, Workflow[Any, Any]]:
    """Return the workflows of a crowd, by name."""
    flows: dict[str, Any] = {name: Flow(name) for name in (*_CHAINS, "payout", "approval", "reminder")}
    for name in list(flows):
        for step in range(4 if name in _CHAINS else 1):
            flows[name] = flows[name].then(add_one, name=f"step_{step}")
    flows["payout"] = flows["payout"].then(refuse, name="refuse")
    flows["approval"] = flows["approval"].wait_for_signal("approve").then(add_one, name="after")
    flows["reminder"] = flows["reminder"].delay("long", "900d").then(add_one, name="after")
    return {name: flow.build() for name, flow in flows.items()}


@dataclass(frozen=True)
class Kind:
    """One instance as the engine left it: the columns of its rows, by table."""

    name: str
    columns: dict[str, list[str]]
    rows: dict[str, list[list[Any]]]

    def copies(self, table: str, number: int, instance_id: str, metadata: str) -> Iterator[list[Any]]:
        """Yield its rows of a table as those of another instance, which was created when its number says."""
        names = self.columns[table]
        own = self.rows["instances"][0]
        created = own[self.columns["instances"].index("created_at")]
        later = (number >> _NUMBER_BITS) - created
        changed: dict[str, Any] = {_KEYS[table]: number}
        if table == "instances":
            changed |= {"instance_id": instance_id, "metadata": metadata}
        for row in self.rows[table]:
            yield [
                changed.get(name, value + later if name.endswith("ed_at") and value is not None else value)
                for name, value in zip(names, row, strict=True)
            ]


def fill(url: str, count: int) -> None:
    """Fill a store, which is empty, with so many instances."""
    kinds = _kinds(url)
    with _target(url) as target:
        for start in range(0, count, _BATCH):
            some = [_one(kinds, number, count) for number in range(start, min(count, start + _BATCH))]
            for table in _KEYS:
                # The columns of a table are the same in all kinds.
                names = next(iter(kinds.values())).columns[table]
                rows = (row for kind, number, name, about in some for row in kind.copies(table, number, name, about))
                target.insert(table, names, rows)
        target.settle()


def _one(kinds: dict[str, Kind], place: int, count: int) -> tuple[Kind, int, str, str]:
    """Return which kind an instance is of, and its number, id and metadata."""
    age = SPAN_SECS * (count - place) / count
    number = int((time.time() - 60 - age) * 1e6) << _NUMBER_BITS
    left, name = place * 7919 % 1000, _CHAINS[place % len(_CHAINS)]
    for kind, share in _SHARES.items():
        if left < share:
            name = kind
            break
        left -= share
    metadata = json.dumps({"customer": f"customer-{place * 31 % CUSTOMERS}", "region": ("eu", "us", "asia")[place % 3]})
    return kinds[name], number | place % 1000, f"{name}-{place:07d}", metadata


def _kinds(url: str) -> dict[str, Kind]:
    """Make one instance of each kind, and return its rows."""
    known = workflows()
    with connect(url) as backend:
        client = WorkflowClient(backend)
        for name in (*_CHAINS, "payout", "approval", "reminder"):
            with contextlib.suppress(TaskError):
                run_durable_workflow(known[name], name, 1, backend)
        for name in ("paused", "cancelled", "due"):
            client.submit(known["order"], name, 1)
        client.pause("paused", reason="for now")
        client.cancel("cancelled", reason="not wanted")
    with _target(url) as target:
        return {name: target.read(name) for name in (*_CHAINS, *_SHARES)}


class _Sqlite:
    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path)

    def close(self) -> None:
        self._connection.close()

    def read(self, name: str) -> Kind:
        found, columns = dict[str, list[list[Any]]](), dict[str, list[str]]()
        for table, key in _KEYS.items():
            statement = f"""SELECT * FROM sayiir_{table} WHERE {key} =
                (SELECT number FROM sayiir_instances WHERE instance_id = ?)"""
            cursor = self._connection.execute(statement, (name,))
            columns[table] = [column[0] for column in cursor.description]
            found[table] = [list(row) for row in cursor]
        return Kind(name, columns, found)

    def insert(self, table: str, columns: list[str], rows: Iterable[list[Any]]) -> None:
        places = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO sayiir_{table} ({', '.join(columns)}) VALUES ({places})", rows)
        self._connection.commit()

    def settle(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class _Postgres:
    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def read(self, name: str) -> Kind:
        found, columns = dict[str, list[list[Any]]](), dict[str, list[str]]()
        for table, key in _KEYS.items():
            statement = f"""SELECT * FROM sayiir.{table} WHERE {key} =
                (SELECT number FROM sayiir.instances WHERE instance_id = %s)"""
            cursor = self._connection.execute(statement.encode(), (name,))
            columns[table] = [column.name for column in cursor.description or ()]
            found[table] = [list(row) for row in cursor]
        return Kind(name, columns, found)

    def insert(self, table: str, columns: list[str], rows: Iterable[list[Any]]) -> None:
        into = f"COPY sayiir.{table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(into.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def settle(self) -> None:
        for statement in (b"VACUUM ANALYZE", b"CHECKPOINT"):
            self._connection.execute(statement)


@contextlib.contextmanager
def _target(url: str) -> Iterator[_Sqlite | _Postgres]:
    path = url.removeprefix("sqlite:///")
    with contextlib.closing(_Postgres(url) if path == url else _Sqlite(path)) as target:
        yield target
