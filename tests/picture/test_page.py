"""The page: self-contained, strict, escaped, complete."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from sayiir.core.graph import Graph, NodeKind, TaskNode, walk
from sayiir.picture import NodeState, Status, TimelineBar, run_page
from sayiir.picture.state import STATUS_WORDS
from sayiir.picture.text import clean
from sayiir.picture.timeline import moment, timeline_table

START = 1_790_000_000_000_000
SECOND = 1_000_000
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collect tags, attributes and text, and check that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> Reader:
    page.encode()  # No lone surrogate is left.
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def graph() -> Graph:
    return Graph("orders", (TaskNode("pay", lambda value: value), TaskNode("ship", lambda value: value)))


def bar(**changes: object) -> TimelineBar:
    values: dict[str, object] = {
        "label": "pay",
        "kind": "task",
        "status": "completed",
        "attempt": 1,
        "iteration": None,
        "start_us": START,
        "end_us": START + SECOND,
        "worker": "w1",
        "error": None,
    }
    return TimelineBar(**(values | changes))  # type: ignore[arg-type]


def page(**changes: object) -> str:
    values: dict[str, object] = {"title": "order-7", "facts": [("Queue", "default")], "timeline": [bar()]}
    return run_page(graph(), {"pay": NodeState("completed")}, **(values | changes))  # type: ignore[arg-type]


def test_it_shows_title_facts_picture_and_timeline() -> None:
    text = " ".join(read(page()).words)
    for part in ("order-7", "orders", "Queue", "default", "pay", "ship", "Completed", "attempt 1 · on w1", "1 s"):
        assert part in text


def test_it_needs_nothing_from_outside_and_runs_nothing() -> None:
    reader = read(page())
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name in ("src", "style") or name.startswith("on")]
    assert [value for name, value in reader.attributes if name == "href"] == ["#main"]
    assert "url(" not in page()
    assert "@import" not in page()


def test_the_policy_allows_the_one_style_sheet_only() -> None:
    text = page()
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text


def test_ids_are_unique() -> None:
    ids = [value for name, value in read(page()).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_picture_has_a_table_beside_it() -> None:
    text = page()
    table = text[text.index("The same as a table") :]
    assert table.index(">pay<") < table.index(">ship<")


def test_an_instance_that_has_not_begun() -> None:
    text = run_page(graph(), None, title="order-7", facts=(), timeline=())
    assert "Nothing has run yet." in text
    assert "Facts" not in read(text).words


def test_bars_stand_where_their_time_is() -> None:
    bars = [bar(), bar(attempt=2, start_us=START + SECOND, end_us=START + 4 * SECOND)]
    text = timeline_table(bars)
    assert '<rect class="sy-bar" x="0.000%" y="5" width="25.000%"' in text
    assert '<rect class="sy-bar" x="25.000%" y="5" width="75.000%"' in text
    assert ">2 s</text>" in text


def test_an_attempt_that_is_not_over_lasts_to_the_end() -> None:
    text = timeline_table(
        [bar(end_us=START + 10 * SECOND), bar(status="running", start_us=START + 5 * SECOND, end_us=None)]
    )
    assert '<rect class="sy-bar" x="50.000%" y="5" width="50.000%"' in text
    assert "5 s so far" in text


def test_rounds_of_a_loop_are_counted_from_one() -> None:
    assert "round 3 · attempt 1" in timeline_table([bar(iteration=3)])


@pytest.mark.parametrize("span", [0, 1, 999, 10_000, 61 * SECOND, 86_400 * SECOND * 400, 10**18])
def test_any_span_has_a_few_ticks(span: int) -> None:
    text = timeline_table([bar(end_us=START + span)])
    assert 1 <= text.count("</text>") <= 7


@pytest.mark.parametrize("micros", [-(10**20), -1, 0, 10**20])
def test_any_time_has_words(micros: int) -> None:
    assert moment(micros)
    assert read(timeline_table([bar(start_us=micros, end_us=micros - 5)]))


@pytest.mark.parametrize("status", get_args(Status))
def test_statuses_are_words(status: Status) -> None:
    assert f"<span>{STATUS_WORDS[status]}</span>" in timeline_table([bar(status=status)])


@pytest.mark.parametrize("kind", get_args(NodeKind))
def test_every_kind_of_node_has_an_icon(kind: NodeKind) -> None:
    assert 'class="sy-kind"' in timeline_table([bar(kind=kind)])


def test_a_traceback_is_folded() -> None:
    text = timeline_table([bar(status="failed", error="ValueError: no\n  File x\n  File y")])
    assert "<summary>ValueError: no</summary><pre>  File x" in text


def test_hostile_text_stays_text(hostile_graph: Graph, hostile: str) -> None:
    states = {node.id: NodeState("failed", hostile) for node in walk(hostile_graph.nodes)}
    bars = [bar(label=hostile, status="failed", worker=hostile, error=f"{hostile}\n{hostile}")]
    reader = read(run_page(hostile_graph, states, title=hostile, facts=[(hostile, hostile)], timeline=bars))
    assert not {"script", "img", "iframe", "a:"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "src"]
    assert clean(hostile) in "".join(reader.words) or not hostile


def test_equal_input_gives_equal_pages() -> None:
    assert page() == page()


def test_a_long_chain(chain: Graph) -> None:
    assert read(run_page(chain, {}, title="long", facts=(), timeline=())).tags.count("tr") == 10_001
