"""`sayiir instance list|show|why|timeline` in every form, on both databases."""

import json
import re

import pytest

from sayiir import WorkflowClient, connect
from tests.cli.conftest import STATES, Shop
from tests.cli.shop import quick

NEWEST_FIRST = ["naps-1", "waits-1", "new-1", "paused-1", "cancelled-1", "failed-1", "done-1"]


def test_list_as_a_table(place):
    lines = place("instance", "list").lines
    assert lines[0].split() == ["INSTANCE", "WORKFLOW", "STATUS", "CREATED", "CHANGED", "NOTE"]
    assert [line.split()[0] for line in lines[1:]] == NEWEST_FIRST
    assert {line.split()[0]: line.split()[2] for line in lines[1:]} == STATES
    assert lines[5].endswith("by ann: the customer called")
    assert re.search(r" (now|\d+ s ago) ", lines[1])


def test_list_wide(place):
    done = place("instance", "list", "-o", "wide").lines[-1]
    assert "team=shop floor" in done
    assert re.search(r" [0-9a-f]{12} ", done)


def test_list_as_json_is_the_page_of_the_api(place):
    page = place.json("instance", "list", "--limit", "2")
    assert [row["instance_id"] for row in page["items"]] == NEWEST_FIRST[:2]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", page["items"][0]["created_at"])
    rest = place.json("instance", "list", "--cursor", page["next"])
    assert [row["instance_id"] for row in rest["items"]] == NEWEST_FIRST[2:]
    assert rest["next"] is None


def test_list_as_lines_and_ids(place):
    assert [row["instance_id"] for row in place.jsonl("instance", "list")] == NEWEST_FIRST
    assert place.ids("instance", "list") == NEWEST_FIRST


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["status:failed,cancelled"], ["cancelled-1", "failed-1"]),
        (["workflow:orders", "status:completed"], ["done-1"]),
        (["new"], ["new-1"]),
        (["since:1h", "id:waits"], ["waits-1"]),
        (["until:1h"], []),
        (["meta.team:shop floor"], ["waits-1", "failed-1", "done-1"]),
        (['meta.team:"shop floor" status:failed'], ["failed-1"]),
    ],
)  # fmt: skip
def test_the_words_of_the_filter(place, words, found):
    assert place.ids("instance", "list", *words) == found


def test_a_list_that_goes_on_says_how(shop):
    done = shop("instance", "list", "-n", "3")
    assert len(done.lines) == 4
    assert re.fullmatch(r"there are more: --limit 30, --all, or --cursor \S+\n", done.err)
    assert shop("instance", "list", "--all").err == ""


def test_a_list_longer_than_a_page(shop):
    with connect(shop.database) as backend:
        WorkflowClient(backend).submit_many(quick, [(f"many-{number}", number) for number in range(1200)])
    assert len(shop.ids("instance", "list", "--all")) == 1207
    assert len(shop.ids("instance", "list", "--limit", "1100")) == 1100
    assert len(shop.ids("instance", "list")) == 50


def test_an_empty_list(shop):
    done = shop("instance", "list", "nobody-")
    assert (done.out, done.err) == ("", "no instances fit; sayiir instance list shows all\n")
    assert shop.json("instance", "list", "nobody-") == {"items": [], "next": None}
    assert shop.ids("instance", "list", "nobody-") == []


def test_a_filter_that_cannot_be_read(shop):
    done = shop("instance", "list", "statuss:failed", code=2)
    assert done.err.startswith("sayiir: the filter knows ")
    assert "did you mean status?" in done.err
    assert done.err.count("\n") == 1


def test_show_as_a_sheet(place):
    text = place("instance", "show", "waits-1").out
    assert re.search(r"^status +awaiting_signal$", text, re.M)
    assert re.search(r"^why +It waits for the signal 'approval'", text, re.M)
    assert re.search(r"^waits +for signal approval at approval, since ", text, re.M)
    assert re.search(r"^ship +task +pending$", text, re.M)
    assert "Input" not in text


def test_show_wide_has_values_and_the_traceback(place):
    text = place("instance", "show", "failed-1", "-o", "wide").out
    assert re.search(r"^error +NonRetryableError: nothing to charge$", text, re.M)
    assert "Traceback" in text
    assert '"amount": -1' in text


def test_show_in_the_other_forms(place):
    view = place.json("instance", "show", "done-1")
    assert view["row"]["status"] == "completed"
    assert json.loads(view["output"]["text"]) == "shipped: True"
    assert [one["row"]["instance_id"] for one in place.jsonl("instance", "show", "done-1", "new-1")] == ["done-1", "new-1"]
    both = place.json("instance", "show", "done-1", "new-1")["items"]
    assert [one["row"]["instance_id"] for one in both] == ["done-1", "new-1"]
    assert place.ids("instance", "show", "-", input="done-1\n\nnew-1\r\n") == ["done-1", "new-1"]


def test_secrets_are_masked(shop):
    assert "paused-1" not in shop.json("instance", "show", "paused-1")["input"]["text"]


def test_show_of_nobody(place):
    done = place("instance", "show", "nobody", code=4)
    assert done.out == ""
    assert done.err.startswith("sayiir: instance 'nobody' not found; ")


def test_why(place):
    text = place("instance", "why", "paused-1", "new-1").out
    assert re.search(r"^paused-1 +.*paused by bob.*stock-taking", text, re.M)
    assert re.search(r"^new-1 +.*worker", text, re.M)
    assert re.search(r"^  fix +\S", text, re.M)


def test_why_in_the_other_forms(place):
    told = place.json("instance", "why", "failed-1")
    assert (told["instance_id"], told["code"]) == ("failed-1", "failed")
    assert [one["code"] for one in place.jsonl("instance", "why", "failed-1", "waits-1")] == ["failed", "awaiting_signal"]
    assert [one["instance_id"] for one in place.json("instance", "why", "-", input="done-1\n")["items"]] == ["done-1"]
    assert place.ids("instance", "why", "failed-1") == ["failed-1"]
    assert "NonRetryableError" in place("instance", "why", "failed-1", "-o", "wide").out


def test_timeline(place):
    lines = place("instance", "timeline", "failed-1").lines
    assert lines[0].split() == ["TASK", "ATTEMPT", "STATUS", "STARTED", "TOOK", "WORKER", "ERROR"]
    failed = next(line for line in lines if line.startswith("charge"))
    assert failed.split()[1:3] == ["1", "failed"]
    assert failed.endswith("NonRetryableError: nothing to charge")


def test_timeline_in_the_other_forms(place):
    assert "━" in place("instance", "timeline", "done-1", "-o", "wide").out
    items = place.json("instance", "timeline", "done-1")["items"]
    assert [one["node_id"] for one in items] == place.ids("instance", "timeline", "done-1")
    assert place.jsonl("instance", "timeline", "failed-1")[-1]["status"] in ("failed", "completed")
    done = place("instance", "timeline", "new-1")
    assert (done.out, done.err) == ("", "nothing has happened to it yet\n")


def test_what_users_wrote_does_nothing_to_a_terminal(tmp_path):
    url = f"sqlite:///{tmp_path}/bad.db"
    with connect(url) as backend:
        client = WorkflowClient(backend)
        client.submit(quick, "a\x1b[31m\u202eb\nc", {"x": "\x1b]0;owned\x07"})
        client.pause("a\x1b[31m\u202eb\nc", reason="\x9b2J\x07", paused_by="\x1b[2J")
    shop = Shop(url)
    for words in (["list"], ["list", "-o", "wide"], ["show", "a\x1b[31m\u202eb\nc", "-o", "wide"], ["why", "a\x1b[31m\u202eb\nc"]):
        text = shop("instance", *words).out
        assert not set(text) & set("\x1b\x9b\x07\u202e"), words
    assert len(shop("instance", "list").lines) == 2


def test_without_a_url(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = shop("instance", "list", url=False, code=2)
    assert done.err == "sayiir: give --url or set SAYIIR_URL, such as sqlite:///orders.db\n"
    (tmp_path / "shop.db").rename(tmp_path / "sayiir.db")
    assert shop("instance", "list", "-o", "ids", url=False).lines == NEWEST_FIRST


def test_the_url_may_come_from_the_environment(shop):
    assert shop("instance", "list", "-o", "ids", url=False, env={"SAYIIR_URL": shop.url}).lines == NEWEST_FIRST


def test_a_slip_of_the_pen_makes_no_file(tmp_path):
    done = Shop(f"sqlite:///{tmp_path}/shpo.db")("instance", "list", code=1)
    assert done.err.startswith("sayiir: there is no file ")
    assert "sayiir db migrate --url" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_schema_of_its_own(pg_url):
    here, there = Shop(pg_url), Shop(pg_url, "--schema", "tenant")
    here("submit", "tests.cli.shop:quick", "a")
    there("submit", "tests.cli.shop:quick", "b")
    assert (here.ids("instance", "list"), there.ids("instance", "list")) == (["a"], ["b"])
