"""`sayiir submit`, `instance result`, `instance watch`: an instance from its beginning to its end."""

import json
import re
import threading
from contextlib import contextmanager

import pytest

from sayiir import Worker, WorkflowClient, connect
from tests.cli.conftest import Shop, serving
from tests.cli.shop import everything, quick

QUICK = "tests.cli.shop:quick"


@contextmanager
def moved(shop, instance_id):
    """Let a worker of another thread move an instance to its end, beside the block."""

    def move():
        with connect(shop.database) as backend, Worker("w", backend, poll_interval=0.05).start(everything()):
            WorkflowClient(backend).wait(instance_id, timeout=60)

    moving = threading.Thread(target=move)
    moving.start()
    try:
        yield
    finally:
        moving.join()


def test_submit_by_module(place):
    lines = place("submit", QUICK, "q-1", "--input", '{"n": 1}', "--priority", "2").lines
    assert lines[1].split()[:3] == ["q-1", "quick", "in_progress"]
    view = place.json("instance", "show", "q-1")
    assert json.loads(view["input"]["text"]) == {"n": 1}
    assert view["row"]["priority"] == 2


def test_submit_in_the_other_forms(shop, tmp_path):
    (tmp_path / "in.json").write_text("[1, 2]")
    assert shop.json("submit", QUICK, "a", "-i", f"@{tmp_path}/in.json")["instance_id"] == "a"
    assert shop.jsonl("submit", QUICK, "b", "-i", "-", input="3")[0]["instance_id"] == "b"
    assert shop.ids("submit", QUICK, "c") == ["c"]
    assert "VERSION" in shop("submit", QUICK, "d", "-o", "wide").out
    new, = shop.ids("submit", QUICK)
    assert re.fullmatch(r"[0-9a-f-]{36}", new)
    assert shop.json("instance", "show", "a")["input"]["text"].split() == ["[", "1,", "2", "]"]


def test_fields_of_the_input(shop):
    shop("submit", "tests.cli.shop:orders", "o-1", "--set", "amount=12", "--set", "customer=bob")
    assert json.loads(shop.json("instance", "show", "o-1")["input"]["text"]) == {"amount": 12, "customer": "bob"}
    shop("submit", QUICK, "o-2", "--input", '{"a": 1}', "--set", "b=x=y")
    assert json.loads(shop.json("instance", "show", "o-2")["input"]["text"]) == {"a": 1, "b": "x=y"}
    assert "NAME=VALUE" in shop("submit", QUICK, "--set", "b", code=2).err
    assert "JSON object" in shop("submit", QUICK, "--input", "1", "--set", "b=1", code=2).err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([QUICK, "new-1"], 5, "sayiir: instance 'new-1' already exists"),
        (["tests.cli.shop:orders", "x", "--input", '{"amount": "many"}'], 2, "sayiir: "),
        (["tests.cli.shop:everything", "x"], 2, "sayiir: tests.cli.shop:everything has several workflows (lately, orders, quick)"),
        (["tests.cli.shop:nothing", "x"], 2, "sayiir: module 'tests.cli.shop' has no 'nothing'"),
        ([QUICK, "x", "--wait", "soon"], 2, "sayiir: Invalid duration: 'soon'."),
        ([QUICK, "x", "--version", "0" * 64], 4, "sayiir: workflow 'quick' with definition 000000000000… is not known"),
    ],
)
def test_submissions_that_are_refused(place, words, code, said):
    done = place("submit", *words, code=code)
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1
    assert len(place.ids("instance", "list")) == 7


def test_a_name_alone_is_for_servers(stored):
    said = "sayiir: 'quick' is only a name here, and its input is checked by its code: sayiir submit module:attr\n"
    assert stored("submit", "quick", code=4).err == said
    with serving(stored.database) as url:
        assert Shop(url).ids("submit", "quick", "named") == ["named"]
        assert Shop(url)("submit", "unknown", code=4).err.startswith("sayiir: workflow 'unknown' is not known to this server")


def test_an_id_that_is_taken(shop):
    done = shop("submit", QUICK, "new-1", "--if-exists", "use_existing", "-o", "ids")
    assert (done.lines, done.err) == (["new-1"], "new-1 was there already\n")
    assert shop("submit", QUICK, "new-1", "--if-exists", "terminate_existing").err == ""


def test_a_file_is_made_for_the_first_one(tmp_path):
    shop = Shop(f"sqlite:///{tmp_path}/new.db")
    shop("submit", QUICK, "first")
    assert shop.ids("instance", "list") == ["first"]


def test_submit_and_wait(place):
    with connect(place.database) as backend, Worker("w", backend, poll_interval=0.05).start([quick]):
        assert place("submit", QUICK, "a", "--input", "[1]", "--wait", "60s").out == "[\n  1\n]\n"
        done = place("submit", QUICK, "b", "--watch")
    assert done.lines[-1] == "null"
    assert re.search(r"^\d\d:\d\d:\d\d  b  completed$", done.out, re.M)


def test_result(place):
    assert place("instance", "result", "done-1").out == '"shipped: True"\n'
    failed = place("instance", "result", "failed-1", code=10)
    assert failed.out == ""
    assert "NonRetryableError: nothing to charge" in failed.err
    assert failed.err.endswith(" sayiir instance retry failed-1\n")
    assert "the customer called" in place("instance", "result", "cancelled-1", code=11).err
    told = place("instance", "result", "waits-1", code=5).err
    assert told.startswith("sayiir: waits-1 has not ended: ")
    assert told.endswith("; send it the signal 'approval'\n")
    assert place("instance", "result", "waits-1", "--timeout", "50ms", code=6).out == ""
    assert place("instance", "result", "nobody", code=4).out == ""


def test_result_in_the_other_forms(shop):
    assert shop.json("instance", "result", "done-1")["row"]["status"] == "completed"
    assert shop.jsonl("instance", "result", "failed-1", code=10)[0]["error"]["error_type"] == "NonRetryableError"
    assert shop.ids("instance", "result", "done-1") == ["done-1"]
    assert shop("instance", "result", "done-1", "-o", "wide").out == '"shipped: True"\n'


def test_a_long_output_is_printed_whole(shop):
    shop("submit", QUICK, "long", "--input", json.dumps("x" * 200_000))
    with connect(shop.database) as backend, Worker("w", backend, poll_interval=0.05).start([quick]):
        done = shop("instance", "result", "long", "--timeout", "60s")
    assert len(done.out) == 200_003


def test_result_waits_for_the_end(place):
    with moved(place, "new-1"):
        assert json.loads(place("instance", "result", "new-1", "--timeout", "60s").out)["n"] == 1


def test_watch_of_what_has_ended(place):
    lines = place("instance", "watch", "done-1").lines
    assert [line.split("  ")[1:3] for line in lines if "  ship  " in line] == [["ship", "completed"]]
    assert lines[-1] == '"shipped: True"'
    assert "nothing to charge" in place("instance", "watch", "failed-1", code=10).err
    place("instance", "watch", "cancelled-1", code=11)


def test_watch_follows_to_the_end(place):
    with moved(place, "new-1"):
        views = place.jsonl("instance", "watch", "new-1")
    assert views[-1]["row"]["status"] == "completed"
    assert [view["row"]["status"] for view in views].count("completed") == 1


def test_watch_in_the_other_forms(shop):
    assert shop("instance", "watch", "done-1", "-o", "ids").lines == ["done-1"]
    assert json.loads(shop("instance", "watch", "done-1", "-o", "json").lines[-1])["row"]["status"] == "completed"
    assert "completed" in shop("instance", "watch", "done-1", "-o", "wide").out


def test_watch_gives_up(place):
    done = place("instance", "watch", "waits-1", "--timeout", "50ms", code=6)
    assert "waits-1  awaiting_signal  It waits for the signal 'approval'" in done.lines[-1]
    assert done.err.startswith("sayiir: waits-1 has not ended within 0.05 s: ")
    assert done.err.endswith("; send it the signal 'approval'\n")
    place("instance", "watch", "nobody", code=4)


def test_ctrl_c_ends_the_watching_only(shop, monkeypatch):
    from sayiir.service import Service

    def interrupted(self, seen, timeout):
        if timeout:
            raise KeyboardInterrupt
        return 1

    monkeypatch.setattr(Service, "changed", interrupted)
    done = shop("instance", "watch", "waits-1", code=130)
    assert done.err == "waits-1 goes on; look again: sayiir instance watch waits-1\n"
    assert shop.json("instance", "show", "waits-1")["row"]["status"] == "awaiting_signal"
