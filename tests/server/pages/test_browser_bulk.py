"""Many instances at once in a real browser; and what axe finds on pages of a real store."""

from __future__ import annotations

from tests.server.pages.browsing import AXE, faults_of, ready
from tests.server.pages.staging import stage
from tests.server.pages.world import Order


def test_many_at_once_after_a_count(chrome, anywhere):
    for index in range(7):
        anywhere.client.submit(anywhere.world.order, f"o-{index}", Order("lamp"))
        anywhere.until(f"o-{index}", "awaiting_signal")
    anywhere.client.submit(anywhere.world.counting, "done", 1)
    anywhere.until("done", "completed")
    with chrome.page(anywhere.base) as page:
        ready(page, anywhere.base + "/instances?q=workflow:order")
        page.get_by_label("Apply to").select_option("everything that matches")
        page.get_by_role("button", name="Pause…", exact=True).click()
        page.get_by_role("heading", name="Pause 7 instances?").wait_for()
        assert anywhere.client.status("o-0").status == "awaiting_signal"
        page.get_by_label("Reason").fill("stock-taking")
        page.get_by_role("button", name="Pause 7").click()
        page.get_by_text("Finished.").wait_for()
        page.get_by_role("link", name="Back to the list").click()
        page.locator("tbody .s-paused").nth(6).wait_for()
        # Some, by hand.
        page.get_by_label("Select o-1").check()
        page.get_by_label("Select o-2").check()
        page.get_by_role("button", name="Unpause…").click()
        page.get_by_role("button", name="Unpause 2").click()
        page.get_by_text("Finished.").wait_for()
    statuses = [anywhere.client.status(f"o-{index}").status for index in range(7)]
    assert statuses == ["paused", "awaiting_signal", "awaiting_signal", *["paused"] * 4]


def test_everything_that_matches_in_portions(chrome, tmp_path, monkeypatch):
    monkeypatch.setattr("sayiir.service.actions.MAX_PAGE", 20)
    with stage(f"sqlite:///{tmp_path}/a.db") as shop:
        shop.client.submit_many(shop.world.order, [(f"o-{index:04}", Order("lamp")) for index in range(50)])
        with chrome.page(shop.base) as page:
            ready(page, shop.base + "/instances?q=workflow:order")
            page.get_by_label("Apply to").select_option("everything that matches")
            page.get_by_role("button", name="Cancel…", exact=True).click()
            page.get_by_role("heading", name="Cancel 50 instances?").wait_for()
            page.get_by_role("button", name="Cancel all that can be").click()
            page.get_by_text("Finished.").wait_for()
            page.get_by_text("50 done of 50").wait_for()
        assert sum(1 for _ in shop.client.find_all(status="cancelled")) == 50


def test_portions_go_on_by_a_button_without_script(chrome, tmp_path, monkeypatch):
    monkeypatch.setattr("sayiir.service.actions.MAX_PAGE", 20)
    with stage(f"sqlite:///{tmp_path}/a.db") as shop:
        shop.client.submit_many(shop.world.order, [(f"o-{index:04}", Order("lamp")) for index in range(50)])
        with chrome.page(shop.base, java_script_enabled=False) as page:
            page.goto(shop.base + "/instances?q=workflow:order")
            page.get_by_label("Apply to").select_option("everything that matches")
            page.get_by_role("button", name="Cancel…", exact=True).click()
            page.get_by_role("heading", name="Cancel 50 instances?").wait_for()
            page.get_by_role("button", name="Cancel all that can be").click()
            page.get_by_text("20 done of 50").wait_for()
            assert page.get_by_text("Finished.").count() == 0
            assert sum(1 for _ in shop.client.find_all(status="cancelled")) == 20
            page.get_by_role("button", name="Go on").click()
            page.get_by_text("40 done of 50").wait_for()
            page.get_by_role("button", name="Go on").click()
            page.get_by_text("50 done of 50").wait_for()
            page.get_by_text("Finished.").wait_for()
            assert page.get_by_role("button", name="Go on").count() == 0
        assert sum(1 for _ in shop.client.find_all(status="cancelled")) == 50


def test_axe_finds_nothing_on_a_count_and_a_result_of_many(chrome, shop):
    for index in range(3):
        shop.client.submit(shop.world.order, f"o-{index}", Order("lamp"))
        shop.until(f"o-{index}", "awaiting_signal")
    shop.client.submit(shop.world.counting, "done", 1)
    shop.until("done", "completed")
    with chrome.page(shop.base, bypass_csp=True, reduced_motion="reduce") as page:
        page.add_init_script(path=AXE)
        ready(page, shop.base + "/instances")
        page.get_by_label("Apply to").select_option("everything that matches")
        page.get_by_role("button", name="Pause…", exact=True).click()
        page.get_by_role("heading", name="Pause 4 instances?").wait_for()
        page.get_by_text("Would be refused").first.wait_for()
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 640})
            assert faults_of(page) == []
        page.get_by_role("button", name="Pause 3").click()
        page.get_by_text("Finished.").wait_for()
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 640})
            assert faults_of(page) == []
