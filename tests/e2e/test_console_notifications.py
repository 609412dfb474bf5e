"""Receivers in the browser: added, tested with a real mail server and webhook receiver; a dead letter sent again."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from cloud.clock import to_us
from cloud.database import transaction
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, Visitor, running_stack, visiting
from tests.e2e.pictures import keeper
from tests.mail_server import SENDER, Mailbox
from tests.process import HOST
from tests.webhook_receiver import Hook

keep = keeper("notifications")
COMES_MS = 30_000
NAME, DESK = "Duty group", "Duty desk"


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox) -> Iterator[Stack]:
    settings = {
        "ROOMLINK_WEBHOOK_ALLOW": "127.0.0.0/8", "ROOMLINK_SMTP_HOST": HOST, "ROOMLINK_SMTP_PORT": str(mailbox.port),
        "ROOMLINK_SMTP_FROM": SENDER,
    }  # fmt: skip
    with running_stack(tmp_path_factory.mktemp("notifications"), **settings) as stack:
        yield stack


def add(page: Page, name: str, kind: str, address: str) -> None:
    """By the form, as a person does."""
    page.get_by_role("button", name="Add a receiver", exact=True).click()
    page.fill("[name=name]", name)
    page.select_option("[name=kind]", kind)
    page.fill("[name=address]", address)
    page.fill("[name=quiet_from]", "22:00")
    page.fill("[name=quiet_until]", "07:00")
    page.select_option("[name=quiet_through]", "info")  # it may be night where the test runs
    page.get_by_role("button", name="Save the receiver", exact=True).click()


def mark(stack: Stack, terminal: str) -> None:
    """Two devices have one identity, as ingest would write it."""
    with transaction(stack.town.engine) as session:
        marked = {"marks": '["two_devices"]', "at": to_us(datetime.now(UTC)), "id": terminal}
        session.execute(text("UPDATE terminals SET marks = :marks, marked_at = :at WHERE id = :id"), marked)


def pictures(browser: Browser, stack: Stack, alarm: str) -> None:
    """The page as others see it, without anything that a tool for all finds wrong."""
    for language, theme, width in (
        ("zh", "light", 1440),
        ("zh", "dark", 390),
        ("en", "dark", 1440),
        ("en", "light", 390),
    ):
        with visiting(browser, stack.url, language=language, theme=theme, width=width) as visitor:
            page = visitor.go("/receivers")
            expect(page.locator("[data-slot=list] tbody tr")).to_have_count(2)
            keep(page, f"receivers-{language}-{theme}-{width}")
            assert axe_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            keep(visitor.go(alarm), f"alarm-{language}-{theme}-{width}")


def test_receivers_are_added_and_tested_and_a_dead_letter_is_sent_again(
    stack: Stack, browser: Browser, hook: Hook, mailbox: Mailbox
) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.go("/receivers")
        expect(page.locator("[data-slot=list]")).to_contain_text("Nobody is told of alarms")
        assert axe_faults(page) == []
        add(page, NAME, "webhook", "http://169.254.169.254/latest")
        expect(page.locator(".rl-dialog")).to_contain_text("leads to an address that is not public")
        page.fill("[name=address]", hook.url)
        keep(page, "form")
        assert axe_faults(page) == []
        page.get_by_role("button", name="Save the receiver", exact=True).click()
        secret = page.locator("[data-slot=secret]").inner_text()
        assert secret.startswith("whsec_")
        page.get_by_role("button", name="Close", exact=True).click()
        try_both(page, hook, mailbox)
        assert hook.taken[-1].is_signed_by(secret)
        hook.answers = [(404, {})]
        mark(stack, "kiosk-105-a")
        dead = page.locator("[data-slot=dead]")
        expect(dead).to_contain_text("Answered 404.", timeout=COMES_MS)
        keep(page, "dead-letter")
        alarm = dead.get_by_role("link").get_attribute("href")
        assert alarm
        pictures(browser, stack, alarm)
        dead.get_by_role("button", name="Send again").click()
        expect(dead).not_to_contain_text("Answered 404.", timeout=COMES_MS)
        expect(page.locator("[data-slot=lately] tr", has_text=NAME).first).to_contain_text(
            "Delivered", timeout=COMES_MS
        )
        look_at_the_alarm(visitor, alarm)


def try_both(page: Page, hook: Hook, mailbox: Mailbox) -> None:
    """A webhook that takes the test, and a mailbox that does not."""
    row = page.locator("[data-slot=list] tr", has_text=NAME)
    row.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("[data-slot=said]")).to_contain_text(f"The test to {NAME} was taken")
    assert len(hook.taken) == 1
    row.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("It was tested a moment ago", exact=False).first).to_be_visible()
    expect(page.locator("[data-slot=said]")).to_contain_text(f"The test to {NAME} was taken")
    add(page, DESK, "email", "desk@example.org")
    row = page.locator("[data-slot=list] tr", has_text=DESK)
    expect(row).to_contain_text("quiet 22:00–07:00 daily")
    mailbox.answers = ["550 nobody of that name"]
    row.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator("[data-slot=said]")).to_contain_text("The mail server refused it (550).")
    expect(row).to_contain_text("Failed")


def look_at_the_alarm(visitor: Visitor, alarm: str) -> None:
    """Its page says to whom it was told."""
    told = visitor.go(alarm).locator("[data-slot=told]")
    for name in (NAME, DESK):
        expect(told.locator("tr", has_text=name)).to_contain_text("Delivered", timeout=COMES_MS)
    assert axe_faults(visitor.page) == []


def test_a_viewer_sees_no_receivers(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        expect(visitor.go("/alarms").get_by_role("link", name="Receivers")).to_have_count(0)
        page = visitor.go("/receivers")
        expect(page.locator("[data-slot=list]")).to_have_count(0)
