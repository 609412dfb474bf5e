"""A terminal's page in a browser: its health over any span, its newest sample, its timeline filtered and kept live."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from cloud.database import transaction
from cloud.terminals.models import MarkSet
from tests.e2e.console_stack import Stack, running_stack, visiting

KIOSK = "/terminals/kiosk-302-a"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("terminal")) as stack:
        yield stack


def test_health_is_shown_over_any_span(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go(KIOSK)
        health = page.locator("[data-slot=health]")
        expect(health).to_contain_text("Samples, in steps of 15 s")
        expect(page.locator("[data-slot=measured]")).to_contain_text("wired, answers in 18 ms")
        health.get_by_role("button", name="Month").click()
        expect(health).to_contain_text("Means over 3 h")
        expect(health.locator("svg[aria-label^='Processor'] polyline")).to_have_count(
            2
        )  # what was not sampled is a gap
        health.get_by_role("button", name="All measurements").click()
        expect(health).to_contain_text("Wireless signal, dBm")
        health.get_by_role("button", name="From").click()
        form = page.locator(".rl-dialog form")
        form.locator("[name=from_at]").fill("2026-01-02T08:00")
        form.locator("[name=until_at]").fill("2026-01-01T08:00")
        form.get_by_role("button", name="Show").click()
        expect(page.locator(".rl-dialog")).to_contain_text("Until: must be after the start")
        form.locator("[name=until_at]").fill("2026-01-03T08:00")
        form.get_by_role("button", name="Show").click()
        expect(health).to_contain_text("No samples in this span")
        assert visitor.complaints == []


def test_timeline_is_filtered_and_kept_live(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go(KIOSK)
        newest = page.locator("[data-slot=timeline]")
        expect(newest).to_contain_text("Its link comes and goes: 14 changes")
        newest.get_by_role("link", name="All").click()
        whole = page.locator("[data-slot=timeline]")
        expect(whole).to_contain_text("39 check-ins")
        page.get_by_role("link", name="Connections").click()
        expect(whole).to_contain_text("Connection lost")
        expect(whole).not_to_contain_text("check-ins")
        page.get_by_role("link", name="Marks").click()
        expect(whole).to_contain_text("two devices with one identity")
        with transaction(stack.town.engine) as session:
            session.add(MarkSet(terminal_id="kiosk-302-a", at=datetime.now(UTC), mark="damaged"))
        expect(whole).to_contain_text("Tells of a damaged disk", timeout=20_000)
        assert visitor.complaints == []
