"""A terminal's page in a browser: its health over any span, its newest sample, its timeline filtered and kept live."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from cloud.alarms.grouping import Reach
from cloud.console.words import Language, Words
from cloud.database import transaction
from cloud.terminals.models import MarkSet
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, running_stack, visiting
from tests.e2e.pictures import keeper
from tests.past_alarms import past_alarm

keep = keeper("terminal")
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


@pytest.mark.parametrize(
    ("language", "theme", "width"), [(Language.ENGLISH, "light", 1440), (Language.CHINESE, "dark", 390)]
)
def test_alarms_and_reported_settings_are_in_the_timeline_and_lead_to_the_alarm(
    stack: Stack, browser: Browser, language: Language, theme: str, width: int
) -> None:
    words, now = Words(language, ZoneInfo("UTC")), datetime.now(UTC)
    with transaction(stack.town.engine) as session:
        began = now - timedelta(minutes=70)
        own = {"raised": began, "acknowledged": began + timedelta(minutes=5), "cleared": began + timedelta(minutes=20)}
        past_alarm(session, "kiosk-302-a", own)
        past_alarm(session, "kiosk-302-a", {"raised": now - timedelta(minutes=300)}, Reach.ROOM,
                   raised_at=now - timedelta(minutes=290), over_at=now - timedelta(minutes=280))  # fmt: skip
    with visiting(browser, stack.url, name="viewer", language=str(language), theme=theme, width=width) as visitor:
        page = visitor.go(f"{KIOSK}/timeline")
        whole = page.locator("[data-slot=timeline]")
        expect(whole).to_contain_text(words("timeline.refused", number="42"))
        expect(whole).to_contain_text("The roster cannot be fetched.")
        expect(whole).to_contain_text(words("timeline.applied", number="43"))
        keep(page, f"timeline-{language}-{theme}-{width}")
        page.get_by_role("link", name=words("timeline.sort_alarm"), exact=True).first.click()
        name = words.either("终端离线", "Terminal offline")
        expect(whole).to_contain_text(words("timeline.alarm_joined", name=name))
        expect(whole).to_contain_text(words("timeline.alarm_recovered", name=name))
        keep(page, f"timeline-alarms-{language}-{theme}-{width}")
        assert axe_faults(page) == []
        whole.get_by_role("link", name=words("timeline.alarm_acknowledged", name=name, who="olga")).first.click()
        expect(page.locator("[data-slot=story]")).to_contain_text("olga")
        assert visitor.complaints == []


def test_timeline_is_filtered_and_kept_live(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go(KIOSK)
        newest = page.locator("[data-slot=timeline]")
        expect(newest).to_contain_text("Its link comes and goes: 14 changes")
        newest.get_by_role("link", name="All").click()
        whole = page.locator("[data-slot=timeline]")
        expect(whole).to_contain_text("35 check-ins")
        page.get_by_role("link", name="Connections").click()
        expect(whole).to_contain_text("Connection lost")
        expect(whole).not_to_contain_text("check-ins")
        page.get_by_role("link", name="Marks").click()
        expect(whole).to_contain_text("two devices with one identity")
        with transaction(stack.town.engine) as session:
            session.add(MarkSet(terminal_id="kiosk-302-a", at=datetime.now(UTC), mark="damaged"))
        expect(whole).to_contain_text("Tells of a damaged disk", timeout=20_000)
        assert visitor.complaints == []
