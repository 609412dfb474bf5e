"""Signed-in people in the console: their sessions, and the password that is asked for again."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cloud.accounts import service as accounts
from cloud.accounts import sessions
from cloud.accounts.service import Principal, Role
from cloud.audit import service as audit
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.paging import Paging
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, running_stack, visiting
from tests.e2e.console_town import PASSWORD


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("sessions")) as stack:
        yield stack


def actions(stack: Stack) -> list[str]:
    """What the audit says was done, newest first."""
    with transaction(stack.town.engine, read_only=True) as session:
        return [each.action for each in audit.entries(session, Paging(200)).rows]


def test_one_session_is_ended_from_another_and_its_page_is_led_away(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url) as first, visiting(browser, stack.url) as second:
        first.go("/")
        page = second.go("/sessions")
        rows = page.locator("[data-slot=list] tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("This session")
        expect(rows.last).to_contain_text("Chrome")
        expect(rows.last).to_contain_text("127.0.0.1")
        rows.last.get_by_role("button", name="End…").click()
        dialog = page.get_by_role("dialog")
        assert axe_faults(page) == []
        dialog.get_by_role("button", name="End it").click()
        expect(rows).to_have_count(1)
        expect(first.page).to_have_url(re.compile("/sign-in"), timeout=10_000)
    assert actions(stack)[0] == "session.revoke"


def test_an_admin_sees_everybodys_sessions_and_others_only_their_own(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as viewer, visiting(browser, stack.url, name="admin") as admin:
        expect(admin.go("/sessions").locator("[data-slot=list]")).to_contain_text("viewer")
        expect(viewer.go("/sessions").locator("[data-slot=list]")).not_to_contain_text("admin")


def test_the_password_is_asked_for_before_a_new_one_is_made_for_a_terminal(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin", language="zh") as visitor:
        page = visitor.go("/terminals/kiosk-spare-1")
        page.get_by_role("button", name="换密码…").click()
        asked = page.get_by_role("dialog", name="给 kiosk-spare-1 换密码")
        expect(asked).to_contain_text("旧密码马上失效")
        assert axe_faults(page) == []
        assert "terminal.new_password" not in actions(stack)
        asked.get_by_role("button", name="换密码").click()
        dialog = page.get_by_role("dialog", name="请再输入一次密码")
        expect(dialog.locator("[name=password]")).to_be_focused()
        assert axe_faults(page) == []
        dialog.locator("[name=password]").fill("not the password")
        dialog.get_by_role("button", name="继续").click()
        expect(dialog.get_by_role("alert")).to_contain_text("密码不对")
        dialog.locator("[name=password]").fill(PASSWORD)
        dialog.locator("[name=password]").press("Enter")
        expect(page.locator(".rl-secret")).to_be_visible()
        expect(dialog).to_have_count(0)
    assert actions(stack)[:3] == ["terminal.new_password", "account.confirm", "account.confirm_failed"]


def test_the_password_is_asked_for_once_before_terminals_are_disabled(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin") as visitor:
        page = visitor.go("/terminals/kiosk-spare-1")
        page.get_by_role("button", name="Disable…").click()
        page.get_by_role("dialog").locator("[name=typed]").fill("kiosk-spare-1")
        page.get_by_role("button", name="Disable this terminal").click()
        again = page.get_by_role("dialog", name="Your password again")
        again.locator("[name=password]").fill(PASSWORD)
        again.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Enable", exact=True).click()
        page.get_by_role("button", name="Disable…").click()
        page.get_by_role("dialog").locator("[name=typed]").fill("kiosk-spare-1")
        page.get_by_role("button", name="Disable this terminal").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator(".rl-under")).to_contain_text("Disabled")
        assert visitor.complaints == []
    assert actions(stack).count("terminal.disable") == 2


def test_a_page_that_only_shows_what_is_new_is_led_away_when_its_session_has_rested_long_enough(
    stack: Stack, browser: Browser
) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go("/")
        with transaction(stack.town.engine) as session:
            account = accounts.account_named(session, "viewer")
            whose = Principal(account.id, account.name, Role.VIEWER)
            for each in sessions.sessions(session, whose, utc_now(), Paging(50)).rows:
                each.idle_until_at = utc_now()
        expect(page).to_have_url(re.compile("/sign-in"), timeout=10_000)
