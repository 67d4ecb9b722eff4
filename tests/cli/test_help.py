"""The help is a page one wants to read, and true: examples, exit codes, one document; it starts without the engine."""

import re
import shlex
import subprocess
import sys

import click
import pytest

from sayiir.cli import codes
from sayiir.cli.app import sayiir
from sayiir.cli.codes import TABLE, RefusedError, code_of
from sayiir.cli.lazy import Command, Default, LazyGroup
from sayiir.server.problems import STATUS_BY_CODE
from tests.cli.reference import PAGE, commands, help_of, reference
from tests.cli.support import ROOT, environment, run

COMMANDS = dict(commands())
HEAVY = ("sqlite3", "psycopg", "starlette", "rich", "uvicorn", "asyncio", "sayiir.service", "sayiir.server", "urllib.request")


def loaded(*words):
    """Run a command in a process of its own and return which heavy modules it has loaded."""
    code = f"""
import sys
sys.argv = ["sayiir", *{list(words)!r}]
from sayiir.cli import main
try:
    main()
except SystemExit as error:
    assert not error.code, error.code
sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout
    return done.stderr.split()


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["instance", "--help"], ["db", "--help"], ["completion", "bash"], ["instance", "list", "--help"]]
)
def test_help_and_version_load_nothing_heavy(words):
    assert loaded(*words) == []


def test_the_check_above_can_fail(tmp_path):
    assert "sqlite3" in loaded("db", "migrate", "--url", f"sqlite:///{tmp_path}/a.db")


def test_the_version():
    from sayiir import __version__

    assert run("--version", cwd=ROOT).stdout == f"sayiir, version {__version__}\n"


def test_all_that_the_issue_names_is_there():
    assert set(COMMANDS) >= {
        "demo", "dev", "worker", "worker list", "server", "submit", "instance list", "instance show", "instance why",
        "instance result", "instance cancel", "instance pause", "instance unpause", "instance retry", "instance watch",
        "instance timeline", "signal send", "workflow list", "workflow show", "workflow graph", "task list", "db migrate",
        "db check", "db stats", "db backup", "purge", "completion",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_that_it_understands(name, monkeypatch):
    monkeypatch.setenv("SAYIIR_URL", "sqlite:///orders.db")
    command = COMMANDS[name]
    assert command.help
    assert isinstance(command, Command)
    own = [line for line in command.examples if f"sayiir {name}" in line]
    assert own
    text = help_of(name)
    for line in command.examples:
        assert line in text
    assert max(map(len, text.splitlines())) <= 100
    for line in own:
        call = line[line.index(f"sayiir {name}"):].partition("|")[0].partition("&&")[0]
        words = shlex.split(re.sub(r"   +.*| > .*|\)\".*", "", call))[1 + len(name.split()):]
        command.make_context(name, words, resilient_parsing=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name):
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, param.name


def test_a_group_says_in_short_what_its_commands_are():
    for name, (_, short) in sayiir.entries.items():
        assert short.endswith("."), name
        assert len(short) <= 75, name
    text = help_of("")
    shown = {line.split()[0] for line in text.splitlines() if re.match(r"  [a-z]+ +[A-Z]", line)}
    assert shown == set(sayiir.entries)
    assert {name for names in sayiir.sections().values() for name in names} == set(sayiir.entries)


def test_groups_show_their_commands():
    with click.Context(sayiir, info_name="sayiir") as context:
        for name in sayiir.entries:
            group = sayiir.get_command(context, name)
            if isinstance(group, LazyGroup):
                text = help_of(name)
                assert all(f"  {entry} " in text for entry in group.entries)
                assert isinstance(group, Default) or group.help == sayiir.entries[name][1]


def test_exit_codes_are_told_once_and_for_all():
    told = {int(code) for code, _ in TABLE}
    named = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    assert told == named
    text = " ".join(help_of("").split())
    for code, meaning in TABLE:
        assert f"{code} {meaning}" in text


def test_each_code_of_the_api_is_an_exit_code():
    class Error(Exception):
        pass

    found = {}
    for code in STATUS_BY_CODE:
        error = Error()
        error.code = code
        found[code] = code_of(error)
    by_status = {400: 2, 401: 3, 403: 3, 404: 4, 409: 5, 422: 2, 500: 1, 503: 1}
    for code, status in STATUS_BY_CODE.items():
        if status in by_status and code != "definition_error":
            assert found[code] == by_status[status], code
    assert code_of(RefusedError("x", 6)) == 6
    assert (code_of(ValueError("x")), code_of(OSError("x"))) == (2, 1)


def test_the_document_is_the_help():
    assert PAGE.read_text("utf-8") == reference(), "run: python -m tests.cli.reference"


def test_a_slip_of_the_pen():
    done = run("instanec", cwd=ROOT)
    assert done.returncode == 2
    assert "No such command 'instanec'" in done.stderr
    assert run("instance", "lst", cwd=ROOT).returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    done = run("completion", shell, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_SAYIIR_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sayiir inst", ["instance"]),
        ("sayiir instance un", ["unpause"]),
        ("sayiir instance list --lim", ["--limit"]),
        ("sayiir worker li", ["list"]),
        ("sayiir instance list -o js", ["json", "jsonl"]),
    ],
)
def test_what_bash_is_offered(typed, offered):
    words = typed.split()
    done = run(cwd=ROOT, _SAYIIR_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1))
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == offered


def test_bash_takes_the_script(tmp_path):
    script = run("completion", "bash", cwd=ROOT).stdout
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def shell_lines():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                for call in re.findall(r"(?:^|\| |\$\()(sayiir [^|#&]+)", line):
                    yield page.name, call.strip().rstrip(')"')


@pytest.mark.parametrize(("page", "call"), list(shell_lines()))
def test_what_pages_say_to_a_shell_is_understood(page, call, monkeypatch):
    monkeypatch.setenv("SAYIIR_URL", "sqlite:///orders.db")
    words = shlex.split(call)[1:]
    context = click.Context(sayiir, info_name="sayiir")
    command = sayiir
    while isinstance(command, LazyGroup) and words:
        if isinstance(command, Default) and words[0] not in command.entries:
            command = command.command_itself
            break
        command = command.get_command(context, words.pop(0))
    assert command is not None
    assert command.make_context("sayiir", words) is not None
