"""Wrong arguments are refused before anything runs: one sentence, a code, no traceback, no password."""

import importlib
import inspect
import subprocess
import sys
import tomllib

import pytest

from sayiir import SqliteBackend, Worker
from sayiir.cli import main
from sayiir.cli.commands.worker import worker
from sayiir.cli.options import Options
from tests.cli.support import ROOT, environment, run
from tests.servers.ground import free_port

MODULE = """
from sayiir import Flow
order = Flow("order").then(lambda x: x, name="one").build()
twin = Flow("order").then(lambda x: x * 2, name="one").build()
newer = Flow("order").then(lambda x: x, name="two").build()
both = [order, newer]
nothing = []
number = 7
draft = Flow("draft").then(lambda x: x, name="one")
def make(): return both
def broken(): raise KeyError("no such flow")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "torn.py").write_text("import shop\nimport not_installed_anywhere\n")
    (tmp_path / "bad.py").write_text("def (:\n")
    return tmp_path


def refused(folder, *arguments, **more):
    done = run("worker", *arguments, cwd=folder, **more)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["shop"], "sayiir: 'shop' names no workflows; write module:attr, as in shop.flows:order"),
        (["shop:"], "sayiir: 'shop:' names no workflows; write module:attr, as in shop.flows:order"),
        (["shpo:order"], "sayiir: there is no module 'shpo' for 'shpo:order'; start in its folder, or install it"),
        (["shop:ordre"], "sayiir: module 'shop' has no 'ordre'; check 'shop:ordre' for a slip of the pen"),
        (["shop:nothing"], "sayiir: shop:nothing has no workflows; a worker needs at least one"),
        (["shop:number"], "sayiir: shop:number: expected a Workflow, not 7"),
        (["shop:broken"], "sayiir: shop:broken could not be called: KeyError: 'no such flow' ("),
        (["torn:x"], "sayiir: module 'torn' cannot be imported: ModuleNotFoundError: No module named 'not_installed_anywhere' ("),
        (["bad:x"], "sayiir: module 'bad' cannot be imported: SyntaxError: "),
        (
            ["shop:order", "shop:twin"],
            "sayiir: workflow 'order' is there twice with the same definition, in shop:order and shop:twin; name one of them, ",
        ),
    ],
)
def test_workflows_that_cannot_be_used(folder, targets, message):
    code, said = refused(folder, *targets, "--url", "sqlite:///runs.db")
    assert code == 2
    assert said.startswith(message)
    assert said.count("\n") == 1
    assert not (folder / "runs.db").exists()


def test_a_draft_is_not_built_for_its_author(folder):
    code, said = refused(folder, "shop:draft", "--url", "sqlite:///runs.db")
    assert code == 2
    assert said.startswith("sayiir: shop:draft: expected a Workflow, not ")
    assert said.endswith("; call .build() on the Flow first\n")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--url", "mysql://u:secret@h/d"], 2, "sayiir: cannot connect to mysql://…: expected "),
        (["--url", "memory://"], 2, "sayiir: an in-memory backend is known to one process only"),
        (["--url", "sqlite://"], 2, "sayiir: an in-memory backend is known to one process only"),
        (["--url", "sqlite:///no/such/folder/runs.db"], 1, "sayiir: cannot open 'no/such/folder/runs.db': folder "),
        (["--url", "sqlite:///runs.db", "--schema", "tenant"], 2, "sayiir: --schema is for PostgreSQL only; leave it out"),
        (["--url", "sqlite:///runs.db", "--claim-ttl", "0"], 2, "sayiir: claim_ttl must be a positive number of seconds"),
        (["--url", "sqlite:///runs.db", "--grace", "-1"], 2, "sayiir: shutdown_grace must be a number of seconds"),
        (["--url", "sqlite:///runs.db", "--concurrency", "0"], 2, "sayiir: concurrency must be an int of 1 or more"),
        (["--url", "sqlite:///runs.db", "--tag", ""], 2, "sayiir: a tag must be a string of 1 to 64 characters"),
        (["--url", "sqlite:///runs.db", "--worker-id", "x" * 257], 2, "sayiir: worker_id must have 1 to 256 bytes"),
        (["--url", "sqlite:///runs.db", "--retention", "0"], 2, "sayiir: retention must be a positive number of seconds"),
        (["--url", "sqlite:///runs.db", "--alive-file", "no/such/folder/alive"], 1, "sayiir: --alive-file cannot be written: "),
        (["--url", "sqlite:///runs.db", "--processes", "2", "--worker-id", "x" * 255], 2, "sayiir: worker_id must have 1 to"),
    ],
)
def test_options_that_cannot_be(folder, options, code, message):
    got, said = refused(folder, "shop:order", *options)
    assert got == code
    assert said.startswith(message)
    assert said.count("\n") == 1
    assert "secret" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Error: Missing argument 'MODULE:ATTR...'."),
        (["shop:order"], "Error: Missing option '--url' (env var: 'SAYIIR_URL')."),
        (["shop:order", "--url", "x", "--processes", "0"], "Error: Invalid value for '--processes': 0 is not in the range x>=1."),
        (["shop:order", "--url", "x", "--retention", "ever"],
         "Error: Invalid value for '--retention': 'ever' is neither a number of days nor none"),
        (["shop:order", "--url", "x", "--grace", "long"], "Error: Invalid value for '--grace': 'long' is not a valid float."),
    ],
)  # fmt: skip
def test_what_the_shell_got_wrong(folder, arguments, message):
    code, said = refused(folder, *arguments)
    assert code == 2
    assert said.splitlines()[-1] == message


def test_a_server_that_is_not_there(folder):
    code, said = refused(folder, "shop:order", "--url", f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
    assert code == 1
    assert said.startswith("sayiir: PostgreSQL at u@127.0.0.1:")
    assert said.count("\n") == 1
    assert "secret" not in said


def test_the_url_may_come_from_the_environment(folder):
    code, said = refused(folder, "shop:make", SAYIIR_URL="sqlite:///no/such/folder/runs.db")
    assert code == 1
    assert "no/such/folder" in said


def test_a_log_level_that_is_none(folder):
    code, said = refused(folder, "shop:order", "--url", "sqlite:///runs.db", SAYIIR_LOG="loud")
    assert code == 2
    assert said.startswith("sayiir: SAYIIR_LOG must be one of ")


def test_modules_are_found_in_the_current_folder_wherever_the_command_lies(folder, tmp_path_factory):
    command = tmp_path_factory.mktemp("bin") / "sayiir"
    command.write_text("from sayiir.cli import main\nmain()\n")
    done = subprocess.run(
        [sys.executable, command, "worker", "shop:nothing", "--url", "sqlite:///runs.db"],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "sayiir: shop:nothing has no workflows; a worker needs at least one\n")


def test_the_command_is_installed_by_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    module, _, name = scripts["sayiir"].partition(":")
    assert getattr(importlib.import_module(module), name) is main


def test_without_click_one_sentence_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['click'] = None; from sayiir.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "sayiir: the command line needs click: pip install 'sayiir[cli]'\n")


def test_the_defaults_are_those_of_the_worker():
    ours = worker.make_context("worker", ["m:a", "--url", "x"]).params
    theirs = {name: param.default for name, param in inspect.signature(Worker).parameters.items()}
    for name in ("poll_interval", "claim_ttl", "concurrency"):
        assert ours[name] == theirs[name]
    assert ours["grace"] == theirs["shutdown_grace"]
    assert ours["retention"] == theirs["retention"].days


def test_what_is_asked_for_reaches_the_worker(tmp_path):
    options = Options(["m:a"], f"sqlite:///{tmp_path}/runs.db", "w", 3, ["gpu", "eu"], 0.5, 20.0, 7.0, 1.5, None)
    with options.backend() as backend:
        assert isinstance(backend, SqliteBackend)
        plan = options.numbered(2).worker(backend)._plan
    assert (plan.worker_id, plan.tags, plan.limits.sync) == ("w-2", {"gpu", "eu"}, 3)
    assert (plan.poll_interval, plan.claim_ttl, plan.shutdown_grace, plan.retention) == (0.5, 20.0, 7.0, 129_600.0)


@pytest.mark.parametrize("words", [["--help"], ["worker", "--help"]])
def test_help(words, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Usage: sayiir" in done.stdout
    assert "Exit codes:" in done.stdout
