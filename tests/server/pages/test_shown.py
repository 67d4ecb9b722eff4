"""What each page says: texts that somebody looks for on it, in order, as a reader meets them."""

from __future__ import annotations

import html.parser
from datetime import UTC, datetime

import pytest

from tests.server.pages import stub
from tests.server.pages.stub import StubService
from tests.server.pages.test_html import site

NODE = "/instances/x?tab=timeline&node=charge"
SHOWN = {
    "/instances": (
        "Cancelled | 35 | Completed | 42+ | order | 40", "Select | Instance | Status | Workflow | Created | Last change",
        "order-2026-11-1000 | In progress | cancel asked | order | 1 min ago", "order-2026-11-1002 | Failed | etl-nightly | 7 min ago",
        "order-2026-11-1005 | Paused | “the customer called” ann | etl-nightly",
    ),
    "/instances/x": (
        "x | Awaiting signal", "It waits for signal approval since 9 min ago, until 2026-11-24 10:00 UTC.",
        "Send the signal, here or with `sayiir signal send`. | node | approval | signal | approval",
        'Input | 42 B | { "item": "lamp", "amount": 30 }', "Waits | approval | for signal | approval | , since | 9 min ago",
        "gives up | in 1 d 23 h", "Metadata | customer | ann b", "ann | · cancel", "“the customer called” | ann | · retry | 1 min ago",
    ),
    NODE: (
        "receive | Completed", "reserve | Failed | · CardDeclinedError", "reserve | Failed | · attempt 2, CardDeclinedError",
        "reserve | Completed | · attempt 3", "charge | Failed | 3 attempts | Attempts | 3 | Started | 9 min ago | Took | 1 min | Worker | w-7@host-2",
        "CardDeclinedError | card 42 was declined | in charge, 3 attempts", "…/orders/bank.py, line 12, in charge raise CardDeclinedError(card)",
        "Full traceback | Traceback (most recent call last)", 'Input | 8 B | {"a": 1} | Output | 3 B · cut | "b"',
        "Failed | attempt 1 | 9 min ago | , took 18 s · | w-7@host-2 | CardDeclinedError: card 42 was declined",
        "Completed | attempt 3", "WARNING | asked the bank, answer 1",
    ),
    "/instances/x?tab=table": (
        "Node | Status | Attempts | Took | Worker | receive | Completed | 1 | 30 s | w-7@host-2", "child_0/price | Running | 1",
        "child_1/approval | Awaiting signal | 1", "ship | Pending",
    ),
    "/instances/x?tab=logs": ("INFO | asked the bank, answer 0 | charge #1 shop.bank", "ERROR | asked the bank, answer 2"),
    "/workflows": (
        "Success | p50 | p95", "order | 1 old version in use | In progress | 12 | Completed | 24 | 97.3 % | 4.2 s | 1 min 1 s",
    ),
    "/workflows/order": (
        "Success | 97.3 % | Half take at most | 4.2 s | 95 of 100 take at most | 1 min 1 s | The newest 60",
        "8c1f4de2a77b | this server's | 31 | w-7@host-2 | 77aa4de2a77b | 4 | no live worker has it", "Submit an instance | Approved",
    ),
    "/workers": (
        "Worker | State | Heartbeat | Started | Claims | Tags | Workflows", "w-0@host-0 | in a program | Alive",
        "5 h ago | 0 | of 8 | any", "w-1@host-1 | Alive", "1 | of 8 | gpu | order", "w-2@host-0 | Gone | 1 h ago",
    ),
    "/inbox": ("order-2026-11-1000 | · order | approval | waits since | 9 min ago | , gives up | in 1 d 23 h", "Channel | choose… | phone", "publish"),
    "/compare?id=a&id=b": (
        "| Took | 1 min 48 s |", "| For | 10 min |", "Their inputs differ. The first node whose output differs is | stock||person", "receive | Completed | 30 s | not there | same",
        "child_0/price | Running | Running | differs",
    ),
    "/audit": ('ann | cancel | order-2026-11-1000 | the customer called | {"from":"charge"}',),
}  # fmt: skip


class Telling(StubService):
    """Nodes that stand as a flow that is under way has them, by their full names."""

    def node_views(self):
        stand = {"child_0/price": "running", "child_1/approval": "awaiting_signal"}
        return tuple(
            type(node)(**{**{name: getattr(node, name) for name in node.__struct_fields__}, "status": stand[node.node_id], "attempts": 1})
            if node.node_id in stand else node
            for node in super().node_views()
        )  # fmt: skip


class Texts(html.parser.HTMLParser):
    """The texts of a page's main part, with bars between them."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page[page.index("<main") :])
        self.close()

    def handle_data(self, data):
        if data.strip():
            self.found.append(" ".join(data.split()))


@pytest.mark.parametrize("page", SHOWN)
def test_what_a_page_says(page, monkeypatch):
    monkeypatch.setattr(stub, "NOW", datetime.now(UTC))  # what it tells happened so long ago, however late this test comes
    with site(Telling()) as client:
        said = " | ".join(Texts(client.get(page).text).found)
    place = 0
    for text in SHOWN[page]:
        assert text in said[place:], (text, said)
        place = said.index(text, place) + len(text)


def test_pages_link_to_the_trace():
    with site(StubService()) as client:
        for page in ("/instances/x", NODE):
            assert 'href="https://traces.example/t/1"' in client.get(page).text
