"""Every page of a real server over a real store with a real worker: axe, light, dark and as wide as a phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.pages.browsing import AXE, faults_of, ready
from tests.server.pages.world import Order

PLACES = (
    "/instances", "/instances?q=status:failed", "/instances?q=status:failed,paused", "/instances?q=nothing-begins-so", "/workflows",
    "/instances/bad?node=charge", "/instances/bad?tab=logs", "/instances/bad?tab=table", "/instances/o", "/instances/o?tab=timeline",
    "/instances/o?do=signal&signal=approve", "/instances/held", "/instances/gone", "/instances/slow", "/inbox", "/workflows/order",
    "/workflows/charge?as=json", "/workers", "/compare", "/compare?id=good&id=bad", "/audit", "/audit?target=held",
    "/instances/nobody",
)  # fmt: skip


@pytest.fixture
def full(anywhere):
    """A store with an instance in every state, of each kind of database."""
    shop = anywhere
    shop.client.submit(shop.world.charge, "good", Order("lamp"))
    shop.until("good", "completed")
    shop.world.gate.broken = True
    shop.client.submit(shop.world.charge, "bad", Order("a chair with a name that goes on and on", 7))
    shop.until("bad", "failed")
    for name in ("o", "held", "gone"):
        shop.client.submit(shop.world.order, name, Order("lamp"))
        shop.until(name, "awaiting_signal")
    shop.client.pause("held", reason="stock-taking", paused_by="Ada")
    shop.client.cancel("gone", reason="ordered twice", cancelled_by="Ada")
    shop.client.submit(shop.world.gated, "slow", 1)
    assert shop.world.gate.entered.wait(20)
    return shop


LOOKS = [("sqlite", "light"), ("sqlite", "dark"), ("sqlite", "phone"), ("postgres", "dark phone")]
"""PostgreSQL in one walk, as pages are drawn from the same values: each costs ten seconds."""


@pytest.mark.parametrize(("any_url", "look"), LOOKS, indirect=["any_url"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(chrome, full, look):
    options: dict[str, Any] = {"color_scheme": "dark" if "dark" in look else "light"}
    if "phone" in look:
        options.update(viewport={"width": 320, "height": 640}, has_touch=True)
    found = []
    with chrome.page(full.base, expected=("404",), bypass_csp=True, reduced_motion="reduce", **options) as page:
        page.add_init_script(path=AXE)
        for place in PLACES:
            ready(page, full.base + place)
            assert page.locator("h1").first.inner_text().strip()
            found += [f"{place}: {fault}" for fault in faults_of(page)]
    assert not found, "\n".join(found)


def test_every_action_of_an_instance_by_its_page_is_sound_to_look_at(chrome, full):
    with chrome.page(full.base, bypass_csp=True, reduced_motion="reduce") as page:
        page.add_init_script(path=AXE)
        for name, words in (("o", ("Cancel…", "Pause…")), ("held", ("Cancel…",)), ("bad", ("Retry…",))):
            ready(page, f"{full.base}/instances/{name}")
            for word in words:
                page.locator("summary", has_text=word).first.click()
            assert faults_of(page) == [], name


def test_an_action_that_came_too_late_says_so_and_leads_back(chrome, shop):
    shop.client.submit(shop.world.order, "o", Order("lamp"))
    shop.until("o", "awaiting_signal")
    with chrome.page(shop.base, expected=("409",), java_script_enabled=False) as page:  # it stays as it was drawn
        page.goto(shop.base + "/instances/o")
        page.locator("summary", has_text="Pause…").click()
        shop.client.cancel("o", reason="ordered twice")
        page.get_by_role("button", name="Pause it").click()
        page.get_by_role("heading", name="That is not possible now").wait_for()
        page.get_by_role("link", name="See how it is now").click()
        page.locator(".s-cancelled").first.wait_for()
        assert page.url == shop.base + "/instances/o"
