"""Whatever is in the rows, the ids and the values: a typed error or a sound answer, and nobody else is held up.

A damaged instance ends with an error, or is read as if nothing had happened; it is not claimed again and again, and the
healthy ones beside it complete.
"""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from sayiir import (
    Flow,
    InMemoryBackend,
    SqliteBackend,
    Worker,
    WorkflowClient,
    WorkflowError,
    resume_workflow,
    run_durable_workflow,
)
from sayiir.core.values import encode, plain, unpack
from sayiir.core.values.envelope import pack
from sayiir.errors import DeserializationError, SerializationError
from tests.proof.common import PROVE, examples

_TEMPLATE: list[Path] = []
VALUES = (
    ("sayiir_results", "output"), ("sayiir_results", "parts"), ("sayiir_results", "error"), ("sayiir_instances", "input"),
    ("sayiir_instances", "metadata"), ("sayiir_instances", "error"), ("sayiir_instances", "halted"),
    ("sayiir_signals", "payload"), ("sayiir_tokens", "keys"),
)  # fmt: skip
PLACES = (
    ("sayiir_tokens", "state"), ("sayiir_tokens", "node"), ("sayiir_tokens", "ref"), ("sayiir_tokens", "signal"),
    ("sayiir_results", "next"), ("sayiir_results", "node"), ("sayiir_results", "kind"), ("sayiir_instances", "status"),
    ("sayiir_instances", "output_ref"), ("sayiir_instances", "request"),
)  # fmt: skip


def step(value: Any) -> Any:
    return {"made of": value}


def breaks(value: Any) -> Any:
    raise ValueError("broken")


def flow() -> Any:
    made: Any = Flow("fuzzed", metadata={"team": "a"}).then(step)
    made = made.fork().branch(step, name="l").branch(step, name="r").join(step, name="join")
    made = made.route(lambda _: "k", keys=["k"]).branch("k", step, name="in_route").done()
    return made.wait_for_signal("go").then(step, name="last").build()


def failing() -> Any:
    return Flow("fails").then(breaks).build()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an instance in every situation: submitted, waiting with its signal there, completed, failed, cancelled."""
    path = tmp_path_factory.mktemp("fuzz") / "runs.db"
    with SqliteBackend(path, durability="normal") as store:
        client = WorkflowClient(store)
        client.submit(flow(), "submitted", 1)
        for name in ("waits", "completes", "is cancelled"):
            run_durable_workflow(flow(), name, 1, store)
            client.send_signal(name, "go", "went")
        resume_workflow(flow(), "completes", store)
        client.cancel("is cancelled")
        run_durable_workflow(failing(), "fails", 1, store)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


NAMES = ("submitted", "waits", "completes", "is cancelled", "fails")


def damage(raw: bytes, how: str, chance: random.Random) -> bytes:
    """Cut bytes off, turn a bit, or put others in their place."""
    if how == "cut":
        return raw[: chance.randrange(len(raw))] if raw else raw
    if how == "bit" and raw:
        at = chance.randrange(len(raw))
        return raw[:at] + bytes((raw[at] ^ (1 << chance.randrange(8)),)) + raw[at + 1 :]
    return chance.choice((b"", b"\x00", b"\x00\x02\x04zstd", b"\xff\xfe", b"[" * 500, b'{"a":', b"nul", b"9" * 400, b'"\xed\xa0\x80"'))


def damaged(template: Path, folder: Path, column: tuple[str, str], how: str, seed: int, as_text: bool) -> Path | None:
    """Return a copy whose one column has a damaged value in one row; None when there is nothing to damage."""
    path, chance = folder / "runs.db", random.Random(seed)
    path.write_bytes(template.read_bytes())
    table, name = column
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = bytes
        keys = "rowid" if table in ("sayiir_instances", "sayiir_signals") else "instance, " + ("ref" if "results" in table else "number")
        rows = connection.execute(f"SELECT {name}, {keys} FROM {table} WHERE {name} IS NOT NULL").fetchall()
        if not rows:
            return None
        value, *key = chance.choice(rows)
        raw = value if isinstance(value, bytes) else str(value).encode()
        made: Any = damage(raw, how, chance)
        if as_text:
            with suppress(UnicodeDecodeError):
                made = made.decode()
        where = " AND ".join(f"{part} = ?" for part in keys.split(", "))
        connection.execute(f"UPDATE {table} SET {name} = ? WHERE {where}", (made, *key))
    return path


def look(store: SqliteBackend, name: str) -> None:
    """Ask everything that can be asked of an instance."""
    client = WorkflowClient(store)
    for ask in (
        lambda: client.status(name), lambda: client.timeline(name), lambda: client.get_task_result(name, "step"),
        lambda: client.get_task_result(name, "join"), lambda: client.find(metadata={"team": "a"}),
    ):  # fmt: skip
        with suppress(WorkflowError):
            ask()


def survive(path: Path) -> None:
    """Read all of it, then let a worker at it: the healthy one completes and nobody spins."""
    healthy = Flow("healthy").then(step).build()
    with SqliteBackend(path, durability="normal") as store:
        for name in NAMES:
            look(store, name)
        client = WorkflowClient(store)
        client.submit(healthy, "healthy", 1)
        claims = 0
        claim_due = store.claim_due

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal claims
            due = claim_due(*args, **options)
            claims += len(due.works)
            return due

        store.claim_due = counted  # type: ignore[method-assign]
        with Worker("w", store, shutdown_grace=1).start([flow(), failing(), healthy]):
            assert client.wait("healthy", 20).is_completed()
        assert claims < 100, "something is claimed again and again"
        for name in NAMES:
            with suppress(WorkflowError):
                client.retry(name)
            look(store, name)


columns = st.sampled_from(VALUES)
hows = st.sampled_from(["cut", "bit", "other"])


@pytest.mark.timeout(1800 if PROVE else 180)
def test_a_damaged_value_is_an_error_of_its_instance_alone(template: Path, record_property: Any) -> None:
    count = 0

    @examples(40, 1500)
    @given(columns, hows, st.integers(0, 2**20), st.booleans())
    def prove(column: tuple[str, str], how: str, seed: int, as_text: bool) -> None:
        nonlocal count
        count += 1
        event(f"{column} {how}")
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            path = damaged(template, Path(folder), column, how, seed, as_text)
            assume(path is not None)
            assert path is not None
            survive(path)

    prove()
    record_property("cases", count)


@pytest.mark.timeout(1800 if PROVE else 180)
def test_a_damaged_place_is_an_error_of_its_instance_alone(template: Path, record_property: Any) -> None:
    count = 0

    @examples(25, 1000)
    @given(st.sampled_from(PLACES), st.integers(0, 2**20))
    def prove(column: tuple[str, str], seed: int) -> None:
        nonlocal count
        count += 1
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            path = damaged(template, Path(folder), column, "bit", seed, as_text=True)
            assume(path is not None)
            assert path is not None
            survive(path)

    prove()
    record_property("cases", count)


# --- values -------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def test_any_json_value_comes_back(record_property: Any) -> None:
    count = 0

    @examples(300, 20_000)
    @given(json_values)
    @example(2**200)
    @example({"": [[], {}, -0.0, 5e-324, 1.7976931348623157e308, "\u2028\x7f\U0001f600"]})
    def prove(value: Any) -> None:
        nonlocal count
        count += 1
        try:
            raw = encode(value)
        except SerializationError:
            # Half a surrogate pair is no text; ask for nothing else to be refused.
            assert any(0xD800 <= ord(character) < 0xE000 for character in json.dumps(value, ensure_ascii=False))
            return
        assert plain(raw) == value
        assert plain(unpack(pack(raw))) == value
        assert encode(plain(raw)) == raw

    prove()
    record_property("cases", count)


def test_any_bytes_are_a_value_or_a_typed_error(record_property: Any) -> None:
    count = 0

    @examples(300, 20_000)
    @given(st.one_of(st.binary(max_size=60), json_values.map(lambda value: json.dumps(value).encode())), hows, st.integers())
    def prove(raw: bytes, how: str, seed: int) -> None:
        nonlocal count
        count += 1
        for made in (raw, damage(raw, how, random.Random(seed)), pack(raw, "other")):
            with suppress(DeserializationError):
                encode(plain(unpack(made)), allow_nan=True)

    prove()
    record_property("cases", count)


# --- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_any_text_is_an_id_or_a_clear_error(kind: str, tmp_path: Path, record_property: Any) -> None:
    workflow, count = Flow("ids").then(step).build(), 0
    with InMemoryBackend() if kind == "memory" else SqliteBackend(tmp_path / "runs.db", durability="normal") as store:
        client = WorkflowClient(store)

        @examples(150, 5000)
        @given(st.one_of(st.text(), st.text(alphabet=st.characters(max_codepoint=0x2F), min_size=1), st.integers(), st.binary()))
        @example("a" * 256)
        @example("ä" * 128)
        @example("ä" * 129)
        @example("a/../b' OR 1=1 --%_\\\"<script>")
        def prove(name: Any) -> None:
            nonlocal count
            count += 1
            try:
                client.submit(workflow, name, 1)
            except ValueError as error:
                assert "instance_id" in str(error)
                return
            except WorkflowError:
                client.status(name)  # drawn before
                return
            assert client.status(name).instance_id == name
            assert [found.instance_id for found in client.find(id_prefix=name, limit=5).items].count(name) <= 1
            client.cancel(name)
            assert client.status(name).is_cancelled()

        prove()
    record_property("cases", count)
