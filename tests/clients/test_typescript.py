"""The TypeScript client against a live server with a worker; its types are those of the document. Needs Node."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import uvicorn

from sayiir import Flow, SqliteBackend, Worker
from sayiir.server import create_app
from sayiir.server.api import ENDPOINTS
from sayiir.server.openapi import document

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
NODE = shutil.which("node")
TSC = shutil.which("tsc", path=os.pathsep.join((str(CLIENT / "node_modules" / ".bin"), os.environ.get("PATH", ""))))
needs_node = pytest.mark.skipif(NODE is None, reason="the TypeScript client's tests need Node 18 or newer on the PATH")


def double(x: int) -> int:
    return x * 2


FLOWS = [
    Flow("double").then(double, name="double").build(),
    Flow("gate").wait_for_signal("go", type=int).then(lambda x: x, name="last").build(),
    Flow("bad").then(lambda x: 1 // 0, name="boom").build(),
]


def test_it_needs_no_other_package() -> None:
    package = json.loads((CLIENT / "package.json").read_text("utf-8"))
    assert not {"dependencies", "peerDependencies", "optionalDependencies", "bundledDependencies"} & package.keys()
    imported = re.findall(r"""(?:\bfrom|\bimport\(?|\brequire\()\s*["']([^"']+)""", (CLIENT / "src" / "index.js").read_text("utf-8"))
    assert [name for name in imported if not name.startswith("./")] == []


@needs_node
def test_the_types_are_those_of_the_document() -> None:
    text = json.dumps(document(ENDPOINTS, "0"))
    made = subprocess.run([NODE, "scripts/types.mjs"], cwd=CLIENT, input=text, capture_output=True, text=True, check=True)
    assert made.stdout == (CLIENT / "src" / "api.d.ts").read_text("utf-8"), "run scripts/types.mjs"


@pytest.mark.skipif(TSC is None, reason="needs TypeScript's tsc, on the PATH or by `npm install` in clients/typescript")
def test_the_types_compile_and_the_tests_fit_them() -> None:
    done = subprocess.run([TSC, "-p", "."], cwd=CLIENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_node
def test_against_a_live_server(tmp_path: Path) -> None:
    with (
        SqliteBackend(tmp_path / "runs.db") as backend,
        Worker("w-1", backend).start(FLOWS),
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        app = create_app(backend, FLOWS, auth="secret")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            done = subprocess.run(
                [NODE, "--test", "test/"], cwd=CLIENT, capture_output=True, text=True, timeout=200,
                env={**os.environ, "SAYIIR_TEST_URL": url, "SAYIIR_TEST_TOKEN": "secret"},
            )
        finally:
            server.should_exit = True
            thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
