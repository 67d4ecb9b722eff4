"""What a person at a terminal sees: colours and rich's tables, unless NO_COLOR or a pipe; questions; a live picture."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading

import pytest

from sayiir import WorkflowClient, connect
from tests.cli.conftest import STATES
from tests.cli.support import PATIENCE_SECS, ROOT, environment

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of its own; what it writes is gathered."""

    def __init__(self, *words, **more):
        ours, theirs = pty.openpty()
        self._ours = ours
        self.process = subprocess.Popen(
            [sys.executable, *more.pop("python", ()), "-m", "sayiir.cli", *words], cwd=ROOT,
            env={**environment(), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **more},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.raw = ""

    @property
    def text(self):
        return ESCAPE.sub("", self.raw).replace("\r", "")

    def _more(self):
        if not select.select([self._ours], [], [], PATIENCE_SECS)[0]:
            raise AssertionError(self.text)
        try:
            got = os.read(self._ours, 65536)
        except OSError:  # the other side is closed
            got = b""
        self.raw += got.decode()
        return bool(got)

    def until(self, pattern):
        while not re.search(pattern, self.text):
            assert self._more(), self.text

    def type(self, text):
        os.write(self._ours, text.encode())

    def end(self):
        while self._more():
            pass
        return self.process.wait(PATIENCE_SECS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)


def shown(*words, **more):
    with Terminal(*words, **more) as terminal:
        assert terminal.end() == 0, terminal.text
        return terminal


def test_a_table_has_colours_and_words(sqlite_url):
    terminal = shown("instance", "list", "--url", sqlite_url)
    assert "\x1b[" in terminal.raw
    rows = {line.split()[0]: line.split()[2] for line in terminal.text.splitlines()[1:]}
    assert rows == STATES


def test_no_color(sqlite_url):
    for words in (["instance", "list"], ["instance", "show", "failed-1"]):
        raw = shown(*words, "--url", sqlite_url, NO_COLOR="1").raw
        assert not re.search(r"\x1b\[[0-9;]*3[0-7][;m]", raw)
        assert "failed" in raw


def test_a_sheet_has_colours(sqlite_url):
    assert "\x1b[" in shown("instance", "show", "failed-1", "--url", sqlite_url).raw


def test_without_rich_the_columns_are_plain(sqlite_url, tmp_path):
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError(name='rich')\n")
    places = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    raw = shown("instance", "list", "--url", sqlite_url, PYTHONPATH=places).raw
    assert "\x1b[" not in raw
    assert raw.startswith("INSTANCE     WORKFLOW  STATUS")


def test_json_has_no_colours(sqlite_url):
    assert "\x1b[" not in shown("instance", "list", "-o", "json", "--url", sqlite_url).raw


@pytest.mark.parametrize(("answer", "code", "status"), [("y", 0, "paused"), ("n", 1, "in_progress")])
def test_a_filter_is_asked_about(sqlite_url, answer, code, status):
    with Terminal("instance", "pause", "--where", "id:new workflow:quick", "--url", sqlite_url) as terminal:
        terminal.until(r"pause 1 instances that fit 'id:new workflow:quick'\? \[y/N\]: ")
        terminal.type(f"{answer}\n")
        assert terminal.end() == code
    assert ("nothing was done" in terminal.text) == (answer == "n")
    with connect(sqlite_url) as backend:
        assert WorkflowClient(backend).status("new-1").status == status


def test_a_live_picture(sqlite_url):
    with Terminal("instance", "watch", "waits-1", "--url", sqlite_url) as terminal:
        terminal.until(r"✉ +approval +awaiting_signal(.|\n)*It waits for the signal 'approval'")
        with connect(sqlite_url) as backend:
            WorkflowClient(backend).cancel("waits-1", reason="enough")
        assert terminal.end() == 11
    assert re.search(r"⊘ +approval +cancelled", terminal.text)
    assert terminal.raw.rstrip().count("\x1b[?25h") >= 1  # the cursor is there again


def test_ctrl_c_leaves_a_live_picture(sqlite_url):
    with Terminal("instance", "watch", "waits-1", "--url", sqlite_url) as terminal:
        terminal.until("It waits for the signal")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.end() == 130
    assert terminal.text.rstrip().endswith("waits-1 goes on; look again: sayiir instance watch waits-1")
    assert "Traceback" not in terminal.text


def test_watching_in_a_pipe_is_left_alike(sqlite_url):
    command = [sys.executable, "-m", "sayiir.cli", "instance", "watch", "waits-1", "--url", sqlite_url]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(PATIENCE_SECS, process.kill)
        timer.start()
        while "waits-1  awaiting_signal" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        timer.cancel()
    assert (process.returncode, err) == (130, "waits-1 goes on; look again: sayiir instance watch waits-1\n")


def test_json_and_ids_do_nothing_to_a_terminal(tmp_path):
    from tests.cli.shop import quick

    url, name = f"sqlite:///{tmp_path}/bad.db", "a\x9b2J\u202eb\x1b[2J"
    with connect(url) as backend:
        WorkflowClient(backend).submit(quick, name, "\x9b")
    for form in ("json", "jsonl", "ids"):
        raw = shown("instance", "show", name, "-o", form, "--url", url).raw
        assert not set(raw) & set("\x1b\x9b\u202e"), form
    raw = subprocess.run(
        [sys.executable, "-m", "sayiir.cli", "instance", "list", "-o", "ids", "--url", url], cwd=ROOT, env=environment(),
        capture_output=True,
    ).stdout  # fmt: skip
    assert raw.decode() == f"{name}\n"


def test_a_reader_that_has_seen_enough(sqlite_url):
    with connect(sqlite_url) as backend:
        from tests.cli.shop import quick

        WorkflowClient(backend).submit_many(quick, [(f"many-{number}", None) for number in range(3000)])
    command = [sys.executable, "-m", "sayiir.cli", "instance", "list", "--all", "-o", "jsonl", "--url", sqlite_url]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith('{"instance_id":')
        process.stdout.close()
        assert process.stderr.read() == ""
