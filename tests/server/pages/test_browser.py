"""The dashboard in a real browser, over a real server, a real worker and a real store."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sayiir.service import Access, Role
from tests.server.pages.browsing import ready
from tests.server.pages.staging import stage
from tests.server.pages.world import Order


def test_submit_watch_it_live_and_approve_in_the_inbox(chrome, anywhere):
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/workflows/order")
        page.get_by_label("Item").fill("lamp")
        page.get_by_label("Express").check()
        page.get_by_label("Instance id").fill("order 1/é")
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("heading", name="order 1/é").wait_for()
        # The worker reaches the signal, and the page says so by itself.
        page.locator("#live-title .s-awaiting_signal").wait_for()
        assert page.locator('[data-node="receive"]').get_attribute("data-status") == "completed"
        page.get_by_role("link", name="Inbox").click()
        page.get_by_text("Yes").click()
        page.get_by_label("By").fill("Ann")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("The signal is sent.").wait_for()
        page.get_by_role("link", name="Instances", exact=True).click()
        page.get_by_role("link", name="order 1/é").click()
        page.locator("#live-title .s-completed").wait_for()
        page.get_by_text("lamp: yes by Ann").wait_for()


def test_a_page_changes_while_it_is_open(chrome, anywhere):
    anywhere.client.submit(anywhere.world.gated, "g", 1)
    assert anywhere.world.gate.entered.wait(20)
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/instances/g")
        page.locator('[data-node="wait_at_gate"][data-status="running"]').wait_for()
        assert page.locator('[data-node="add_one"]').get_attribute("data-status") == "pending"
        page.get_by_role("button", name="Live").wait_for()
        page.evaluate("window.mark = 'the same document'")
        anywhere.world.gate.open.set()
        page.locator('[data-node="add_one"][data-status="completed"]').wait_for()
        page.locator("#live-title .s-completed").wait_for()
        assert page.evaluate("window.mark") == "the same document"


@pytest.mark.parametrize(("first", "late"), [("htmx.min.js", "hx-sse.min.js"), ("main.js", "htmx.min.js"), ("hx-sse.min.js", "main.js")])
def test_a_page_keeps_one_stream_however_its_scripts_arrive(chrome, shop, first, late):
    with chrome.page(shop.base) as page:
        streams: list[str] = []
        held: list[Any] = []
        there: list[str] = []

        def go_on() -> None:
            if held and there:
                held.pop().continue_()

        page.on("request", lambda request: streams.append(request.url) if "/events" in request.url else None)
        page.on("requestfinished", lambda request: (there.append(first), go_on()) if first in request.url else None)
        page.route(f"**/{late}*", lambda route: (held.append(route), go_on()))
        ready(page, shop.base + "/instances")
        page.evaluate("document.addEventListener('htmx:sse:before:message', () => { document.documentElement.dataset.told = 'yes'; })")
        shop.client.submit(shop.world.counting, "late", 1)
        page.locator("html[data-told=yes]").wait_for(state="attached")
        assert len(streams) == 1


def test_nothing_moves_under_a_hand(chrome, shop):
    for index in range(3):
        shop.client.submit(shop.world.counting, f"c-{index}", 1)
        shop.until(f"c-{index}", "completed")
    with chrome.page(shop.base) as page:
        ready(page, shop.base + "/instances")
        page.get_by_label("Select c-1").check()
        page.get_by_text("1 selected").wait_for()
        page.evaluate("document.addEventListener('htmx:sse:before:message', () => { document.documentElement.dataset.told = 'yes'; })")
        shop.client.submit(shop.world.counting, "c-new", 1)
        page.locator("html[data-told=yes]").wait_for(state="attached")
        assert page.get_by_label("Select c-1").is_checked()
        assert page.get_by_role("link", name="c-new").count() == 0
        page.get_by_label("Select c-1").uncheck()
        page.get_by_role("link", name="c-new").wait_for()


def test_retry_a_failed_task(chrome, anywhere):
    anywhere.world.gate.broken = True
    anywhere.client.submit(anywhere.world.charge, "pay", Order("chair", 7))
    anywhere.until("pay", "failed")
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/instances/pay")
        page.locator('[data-node="charge"]').click()
        page.get_by_text("card declined for chair").first.wait_for()
        page.get_by_text("Full traceback").first.wait_for()
        anywhere.world.gate.broken = False
        page.get_by_text("Retry…").click()
        page.locator(".menu[open]").get_by_label("Reason").fill("the bank is back")
        page.get_by_role("button", name="Retry it").click()
        page.locator("#live-title .s-completed").wait_for()
        page.get_by_text("“the bank is back”").wait_for()
        # What had completed before was not done again.
        assert [(one.task_id, one.status) for one in anywhere.client.timeline("pay")] == [
            ("receive", "completed"), ("charge", "failed"), ("charge", "completed"),
        ]  # fmt: skip
        ready(page, anywhere.base + "/instances/pay?tab=table")
        for task, attempts in (("receive", "1"), ("charge", "2")):
            row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=task, exact=True))
            assert row.get_by_role("cell").nth(1).inner_text() == attempts


def test_cancel_with_a_reason(chrome, anywhere):
    anywhere.client.submit(anywhere.world.order, "o", Order("lamp"))
    anywhere.until("o", "awaiting_signal")
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/instances/o")
        page.get_by_text("Cancel…").click()
        page.locator(".menu[open]").get_by_label("Reason").fill("not wanted")
        page.get_by_role("button", name="Cancel it").click()
        page.locator("#live-title .s-cancelled").wait_for()
    assert anywhere.client.status("o").reason == "not wanted"


def test_compare_two(chrome, anywhere):
    for name, item in (("left", "lamp"), ("right", "chair")):
        anywhere.client.submit(anywhere.world.charge, name, Order(item, 7))
        anywhere.until(name, "completed")
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/instances")
        page.get_by_label("Select left").check()
        page.get_by_label("Select right").check()
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Their inputs differ.").wait_for()
        page.get_by_text("The first node whose output differs is receive").wait_for()
        for task, word in (("receive", "differs"), ("charge", "same")):
            row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=task, exact=True))
            assert row.get_by_role("cell").last.inner_text() == word


def test_filters_facets_views_and_back(chrome, anywhere):
    anywhere.world.gate.broken = True
    anywhere.client.submit(anywhere.world.charge, "bad", Order("x"))
    anywhere.client.submit(anywhere.world.counting, "good", 1)
    anywhere.until("bad", "failed")
    anywhere.until("good", "completed")
    with chrome.page(anywhere.base, expected=("400",)) as page:
        ready(page, anywhere.base + "/instances")
        page.get_by_role("link", name=re.compile("Failed 1")).click()
        assert page.get_by_label("Filter", exact=True).input_value() == "status:failed"
        assert page.locator("[data-row]").count() == 1
        page.get_by_text("Save view").click()
        page.get_by_label("Name of this view").fill("Bad ones <b>")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Bad ones <b>").wait_for()
        page.get_by_label("Filter", exact=True).fill("good")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="good", exact=True).wait_for()
        page.go_back()
        page.get_by_role("link", name="bad", exact=True).wait_for()
        assert page.get_by_label("Filter", exact=True).input_value() == "status:failed"
        page.get_by_label("Filter", exact=True).fill("state:failed")
        page.keyboard.press("Enter")
        page.get_by_text("did you mean").wait_for()


def test_the_keyboard(chrome, shop):
    for index in range(2):
        shop.client.submit(shop.world.counting, f"c-{index}", 1)
        shop.until(f"c-{index}", "completed")
    with chrome.page(shop.base) as page:
        ready(page, shop.base + "/instances")
        page.keyboard.press("/")
        page.keyboard.type("jkgit?")
        box = page.get_by_label("Filter", exact=True)
        assert box.input_value() == "jkgit?"
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("t")
        page.locator("html[data-theme=light][data-ready=yes]").wait_for(state="attached")
        page.keyboard.press("p")
        page.get_by_role("button", name="Paused").wait_for()
        page.keyboard.press("p")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.get_by_text("1 selected").wait_for()
        page.keyboard.press("x")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="c-0").wait_for()
        page.locator("html[data-ready=yes]").wait_for(state="attached")
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.get_by_role("heading", name="Inbox").wait_for()


def test_everything_works_without_script(chrome, anywhere):
    anywhere.client.submit(anywhere.world.order, "o", Order("lamp"))
    anywhere.until("o", "awaiting_signal")
    with chrome.page(anywhere.base, java_script_enabled=False, expected=("422",)) as page:
        page.goto(anywhere.base + "/")
        page.get_by_role("link", name="o", exact=True).click()
        page.get_by_role("link", name="Timeline").click()
        page.get_by_role("link", name="child_0/approve").first.click()
        page.get_by_role("link", name="Send approve").click()
        page.get_by_text("No", exact=True).click()
        page.get_by_label("By").fill("Bo")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("The signal is sent.").wait_for()
        anywhere.until("o", "completed")
        page.goto(anywhere.base + "/workflows/plain")
        page.get_by_label("JSON").fill("{no json")
        page.get_by_role("button", name="Submit").click()
        page.get_by_text("It is not JSON").wait_for()
        assert page.get_by_label("JSON").input_value() == "{no json"
        page.get_by_label("JSON").fill('{"a": 1}')
        page.get_by_label("Instance id").fill("p")
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("heading", name="p", exact=True).wait_for()
        anywhere.until("p", "completed")
        page.goto(anywhere.base + "/instances")
        page.get_by_label("Select p").check()
        page.get_by_role("button", name="Retry…").click()
        page.get_by_text("Would be refused").first.wait_for()
        page.get_by_role("button", name="Dark").click()
        page.goto(anywhere.base + "/instances")
        assert page.locator("html").get_attribute("data-theme") == "dark"


def test_below_a_path(chrome, any_url):
    with stage(any_url, prefix="/ops/a") as shop:
        shop.client.submit(shop.world.order, "o/1", Order("lamp"))
        shop.until("o/1", "awaiting_signal")
        with chrome.page(shop.base) as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            ready(page, shop.base + "/")
            page.get_by_role("link", name="o/1").click()
            page.get_by_text("Pause…").click()
            page.get_by_role("button", name="Pause it").click()
            page.locator("#live-title .s-paused").wait_for()
            for name in ("Inbox", "Workflows", "Workers", "Audit", "Instances"):
                page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
                page.get_by_role("heading", name=name, level=1).wait_for()
            page.get_by_role("button", name="Dark").click()
            page.locator("html[data-theme=dark]").wait_for(state="attached")
            assert asked
            assert [url for url in asked if not url.startswith(shop.base + "/")] == []


def test_who_only_looks_sees_nothing_to_press(chrome, any_url):
    with stage(any_url, read_only=True) as shop:
        shop.client.submit(shop.world.order, "o", Order("lamp"))
        shop.until("o", "awaiting_signal")
        with chrome.page(shop.base) as page:
            for place in ("/instances", "/instances/o", "/inbox", "/workflows", "/workflows/order", "/workers", "/compare", "/audit"):
                ready(page, shop.base + place)
                posts = page.eval_on_selector_all("form[method=post]", "forms => forms.map(f => new URL(f.action).pathname)")
                assert set(posts) <= {"/theme", "/bulk", "/views"}, place
                assert page.get_by_role("button", name=re.compile("Cancel|Pause|Retry|Send|Submit")).count() == 0, place


def test_sign_in_with_a_token(chrome, tmp_path):
    tokens = {"look": Access("vi", Role.VIEWER), "do": Access("op", Role.OPERATOR)}
    with stage(f"sqlite:///{tmp_path}/a.db", auth=tokens) as shop:
        shop.client.submit(shop.world.order, "o", Order("lamp"))
        shop.until("o", "awaiting_signal")
        with chrome.page(shop.base, expected=("403",)) as page:
            ready(page, shop.base + "/instances/o")
            assert page.get_by_role("heading", name="Sign in").is_visible()
            page.get_by_label("Token").fill("guess")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text("not a token").wait_for()
            page.get_by_label("Token").fill("look")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text("vi · viewer").wait_for()
            assert page.get_by_role("link", name="Audit").count() == 0
            ready(page, shop.base + "/audit")
            page.get_by_role("heading", name="You may not do that").wait_for()
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("heading", name="Sign in").wait_for()
