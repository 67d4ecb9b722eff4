"""What a server, or its pool, refuses is explained: what to do about it, and never a password."""

from __future__ import annotations

import hashlib
import logging
import traceback

import pytest

from sayiir import BackendError
from sayiir.store.postgres import PostgresBackend
from tests.postgres.common import Beside, begin, blocked_by, lanes, opened, transaction
from tests.postgres.test_faults import count
from tests.servers.postgres import PostgresServer


def test_a_pool_without_a_free_connection(pg_url):
    with opened(pg_url, max_connections=1, acquire_timeout_secs=0.3) as store:
        lanes(store)
        with transaction(pg_url) as other:
            other.execute("LOCK sayiir.signals IN ACCESS EXCLUSIVE MODE")
            sending = Beside(lambda: store.send_signal("a", "go", b"1"))
            blocked_by(pg_url, other)
            with pytest.raises(BackendError, match="max_connections"):
                store.load("a")
        assert sending.result()
        assert store.load("a") is None


def test_a_statement_that_takes_too_long(pg_url):
    with opened(pg_url) as patient:  # it makes the tables, which may take longer
        lanes(patient)
    with opened(pg_url, statement_timeout_secs=0.5, acquire_timeout_secs=0.5) as store:
        with transaction(pg_url) as other:
            other.execute("LOCK sayiir.signals IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(BackendError, match="statement_timeout_secs"):
                store.send_signal("a", "go", b"1")
        assert store.send_signal("a", "go", b"1")
        assert count(pg_url, "signals") == 1


def test_a_value_that_no_index_takes_is_refused_at_once(pg_url):
    with opened(pg_url, acquire_timeout_secs=60) as store:
        key = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(200))
        begin(store)
        refused = Beside(lambda: store.send_signal("a", "go", b"1", key))
        assert refused.ended.wait(30)
        with pytest.raises(BackendError):
            refused.result()


def everything_of(error):
    """Return all text that an error, and what led to it, could ever show."""
    seen, text = [error], ""
    for one in seen:
        text += repr(one) + str(one) + repr(vars(one)) + "".join(traceback.format_exception(one))
        seen += [other for other in (one.__cause__, one.__context__) if other is not None and other not in seen]
    return text


SECRET = "s3cr%45t%2Fword"
PLAIN = "s3crEt/word"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://nobody:{SECRET}@127.0.0.1:1/db",
        f"postgresql://nobody:{SECRET}@nowhere.invalid/db",
        f"host=127.0.0.1 port=1 user=nobody password={PLAIN} dbname=db",
        f"postgresql://nobody:{PLAIN}%zz@127.0.0.1:1/db",
        f"postgresql://nobody:{PLAIN}@127.0.0.1:1/db?nonsense=1",
        f"host=127.0.0.1 password='{PLAIN}",
        f"password={PLAIN} nonsense",
    ],
)
def test_no_connection_and_no_password_in_the_error(url, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BackendError) as caught:
        PostgresBackend(url)
    shown = everything_of(caught.value) + caplog.text
    assert "s3cr" not in shown


@pytest.fixture
def strict(tmp_path_factory):
    """A server that asks for passwords over TCP."""
    with PostgresServer(fast=True) as server:
        with server.connect() as admin:
            admin.execute("SET password_encryption = 'scram-sha-256'")
            admin.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PLAIN}'")
            admin.execute("REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
        hba = server.folder / "data" / "pg_hba.conf"
        hba.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        with server.connect() as admin:
            admin.execute("SELECT pg_reload_conf()")
        yield server


def test_what_the_server_refuses_is_explained(strict, caplog):
    caplog.set_level(logging.DEBUG)
    base = f"127.0.0.1:{strict.port}"
    cases = {
        f"postgresql://guest:{SECRET}x@{base}/postgres": "check user and password",
        f"postgresql://guest:{SECRET}@{base}/missing": "create the database",
        f"postgresql://guest:{SECRET}@{base}/postgres": "grant",
    }
    for url, advice in cases.items():
        with pytest.raises(BackendError, match=advice) as caught:
            PostgresBackend(url)
        assert "s3cr" not in everything_of(caught.value)
    with strict.connect() as admin:
        admin.execute("CREATE SCHEMA sayiir AUTHORIZATION guest")
    with PostgresBackend(f"postgresql://guest:{SECRET}@{base}/postgres") as store:
        assert "s3cr" not in repr(store)
        begin(store)
        strict.stop("immediate")
        store._links.patience = 0.2
        with pytest.raises(BackendError) as caught:
            store.load("a")
        assert "s3cr" not in everything_of(caught.value)
        strict.start()
    assert "s3cr" not in caplog.text
