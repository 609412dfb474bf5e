"""An operator makes a rule; a real kiosk without a page raises it; a browser that opens the page clears it, by a real sample."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import browsing
from tests.e2e.pictures import keeper
from tests.e2e.whole_stack import Whole, running_whole

keep = keeper("alarms-way")
COMES_MS = 90_000  # the first sample after the twin came is a minute after the start
NAME = "大厅没有画面"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running_whole(tmp_path_factory.mktemp("alarms")) as whole:
        whole.sample_often()
        yield whole


def make_rule(page: Page, words: Words, room_id: str) -> None:
    """In the console, as a person does."""
    page.get_by_role("button", name=words("alarm_rule.add"), exact=True).click()
    page.fill("[name=name]", NAME)
    page.select_option("[name=severity]", "critical")
    page.select_option("[name=metric]", "page_alive")
    page.select_option("[name=compare]", "below")
    page.fill("[name=level]", "0.5")
    page.fill("[name=for_minutes]", "0")
    page.select_option("[name=room_id]", room_id)
    keep(page, "rule-form")
    assert axe_faults(page) == []
    page.get_by_role("button", name=words("alarm_rule.next")).click()
    expect(page.locator("h2", has_text=words("alarm_rule.matches_title", terminals=1, of=1))).to_be_visible()
    page.get_by_role("button", name=words("alarm_rule.save")).click()
    expect(page.locator("[data-slot=list] tr", has_text=NAME)).to_contain_text(words("measured_no.page_alive"))


def test_an_alarm_is_raised_and_cleared_by_a_real_change_of_health(whole: Whole, browser: Browser) -> None:
    words = Words(Language.CHINESE, ZoneInfo("Asia/Shanghai"))
    cookies = {"roomlink_language": "zh", "roomlink_theme": "light"}
    with browsing(browser, whole.console_url, cookies=cookies) as visitor:
        visitor.page.goto(whole.console_url + "/sign-in")
        visitor.sign_in(whole.operator, whole.password)
        make_rule(visitor.go("/alarm-rules"), words, whole.room_id)
        page = visitor.go("/alarms")
        row = page.locator("[data-slot=list] tr", has_text=NAME).first
        expect(row).to_contain_text(words("alarm.critical"), timeout=COMES_MS)
        expect(row).to_contain_text(words("alarm.state_active"))
        expect(page.locator(".rl-nav a[href='/alarms'] b")).to_have_text("1")
        keep(page, "raised")
        row.get_by_role("link", name=NAME).click()
        page.get_by_role("button", name=words("alarm.acknowledge"), exact=True).click()
        page.fill("[name=comment]", "去看一下")
        page.locator(".rl-dialog").get_by_role("button", name=words("alarm.acknowledge")).click()
        expect(page.locator("[data-slot=story]")).to_contain_text("去看一下")
        expect(page.locator(".rl-under")).to_contain_text(words("alarm.acknowledged_by", who=whole.operator))
        expect(page.locator(".rl-under")).to_contain_text(words("alarm.state_active"))
        kiosk = browser.new_page()
        kiosk.goto(whole.kiosk_url)
        expect(page.locator(".rl-under")).to_contain_text(words("alarm.state_cleared"), timeout=COMES_MS)
        expect(page.locator("[data-slot=story]")).to_contain_text(words("alarm.why_well"))
        keep(page, "cleared")
        assert axe_faults(page) == []
        kiosk.close()
        panel = visitor.go(f"/terminals/{whole.terminal_id}").locator("[data-slot=alarms]")
        expect(panel).to_contain_text(NAME)
