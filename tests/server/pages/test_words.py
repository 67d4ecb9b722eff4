"""What the pages say and draw, without a page: filters, plots, URLs, vendored files."""

import base64
import datetime as dt
import doctest
import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from sayiir.picture.state import STATUS_WORDS
from sayiir.server.pages import answers, drawn, filters, icons, kit, plots, schema, words
from sayiir.server.pages.assets import STATIC
from sayiir.service.filter import parse_filter
from sayiir.service.model import Attempt, Wait

HERE = Path(__file__).parent
NOW = dt.datetime(2030, 1, 31, 9, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("module", [answers, drawn, filters, icons, kit, plots, schema, words], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("where", ["", "status:failed", 'order- meta.x:"a b" since:2h', 'meta.x:"say \\"hi\\" \\\\"', '"a:b"', "status:failed,paused workflow:w"])
def test_a_changed_filter_still_says_the_rest(where):
    before, after = parse_filter(where, 10**15), parse_filter(filters.with_word(where, "workflow", 'od"d \\name'), 10**15)
    assert after.workflow_id == 'od"d \\name'
    for name in ("statuses", "id_prefix", "metadata", "created_after"):
        assert getattr(before, name) == getattr(after, name)
    assert parse_filter(filters.with_word(where, "workflow", ""), 10**15).workflow_id is None


def test_a_filter_that_cannot_be_read_is_replaced_not_repeated():
    assert filters.with_word('status:"', "workflow", "w") == "workflow:w"


def attempt(kind="task", start=0.0, end=1.0, **rest):
    at = [None if second is None else NOW + dt.timedelta(seconds=second) for second in (start, end)]
    return Attempt(1, "n", kind, 1, 1, "completed", at[0], at[1], "w", **rest)


def test_bars_lie_within_the_axis():
    gantt = plots.gantt_of([attempt(), attempt(start=0.5, end=None), attempt(start=1, end=4)], NOW + dt.timedelta(seconds=10))
    assert [bar.at for bar in gantt.bars] == ["0.000%", "5.000%", "10.000%"]
    assert [bar.wide for bar in gantt.bars] == ["10.000%", "95.000%", "30.000%"]
    assert [bar.open for bar in gantt.bars] == [False, True, False]
    assert gantt.ticks[0] == ("0.000%", "0 s", "start")


def test_bars_of_no_length_and_clocks_that_differ():
    gantt = plots.gantt_of([attempt(start=3, end=3), attempt(start=3, end=None), attempt(start=3, end=2)], NOW)
    assert all(not bar.wide.startswith("-") for bar in gantt.bars)


def test_a_timeline_shows_what_is_waited_for_now():
    begun = NOW - dt.timedelta(seconds=6)
    waits = [Wait("pay", "signal", begun, None, "paid"), Wait("rest", "delay", begun, NOW), Wait("try", "retry", begun, NOW)]
    bars = plots.gantt_of([], NOW, waits).bars
    assert [(bar.node_id, bar.kind, bar.status, bar.open, bar.parked, bar.took) for bar in bars] == [
        ("pay", "await_signal", "awaiting_signal", True, True, "6 s"), ("rest", "delay", "waiting", True, True, "6 s"),
    ]  # fmt: skip


def test_no_bars_for_what_takes_no_time_or_has_not_begun():
    assert plots.gantt_of([attempt("fork"), attempt("input"), attempt(start=None, end=None)], NOW).bars == ()


def test_a_long_timeline_keeps_the_newest():
    gantt = plots.gantt_of([attempt(start=i, end=i + 1) for i in range(plots.MOST_BARS + 5)], NOW)
    assert (len(gantt.bars), gantt.left_out) == (plots.MOST_BARS, 5)


def test_every_status_has_word_and_icon():
    for status in (*STATUS_WORDS, "in_progress", "crashed", "abandoned", "never heard of"):
        assert words.word(status)
        assert words.glyph(status).startswith("M")


def test_icons_hold_nothing_but_paths():
    for path in icons.ICONS.values():
        assert re.fullmatch(r"[MLHVCSQTAZmlhvcsqtaz0-9., -]+", path)


@pytest.mark.parametrize("name", ["a", "a b", "a/b", "ü", "a?b#c%d", "..", ".", "a/../b", "a//b", "/", "a/", '"<'])
def test_every_id_has_an_address(name):
    url = kit.Links("/x").instance(name, node="a b", tab=None)
    assert url.startswith(("/x/instances/", "/x/instance?id="))
    assert re.fullmatch(r"[A-Za-z0-9/?=&%._~+-]+", url)
    assert "/../" not in url.partition("?")[0]
    assert "node=a+b" in url
    assert "tab" not in url


@pytest.mark.parametrize("folder", [STATIC / "vendor", HERE / "vendor"], ids=["shipped", "tests"])
def test_vendored_files_are_as_they_were_published(folder):
    listed = tomllib.loads((folder / "vendor.toml").read_text())["file"]
    assert {file["path"] for file in listed} == {path.name for path in folder.iterdir() if path.suffix == ".js"}
    for file in listed:
        digest = hashlib.sha384((folder / file["path"]).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == file["sha384"], file["path"]
        assert file["version"]
        assert file["licence"]


def test_scripts_and_styles_load_nothing_from_elsewhere():
    for path in [*STATIC.glob("*.js"), *STATIC.glob("*.css"), *(STATIC.parent / "templates").glob("*.html")]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]+/|@import|url\(|<script>|<style|style=|\son[a-z]+=|\|safe", text), path.name


def test_own_scripts_stay_small():
    import gzip

    assert len(gzip.compress(b"".join(path.read_bytes() for path in STATIC.glob("*.js")))) < 6000
