"""A terminal is claimed by a code from its page in the console, and shut out there, with the password asked for again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, expect

from cloud.certificates import authority
from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, running_stack, visiting
from tests.e2e.console_town import PASSWORD
from tests.e2e.pictures import keeper
from tests.enrolment import CLAIMS, Device, found_authority
from tests.office import settings_for

keep = keeper("certificates")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("certificates")
    with running_stack(folder) as stack:
        found_authority(stack.town.engine, settings_for(folder), datetime.now(UTC))
        yield stack


@pytest.mark.parametrize(
    ("language", "theme", "width", "place"),
    [(Language.ENGLISH, "light", 1440, 0), (Language.CHINESE, "dark", 390, 1)],
    ids=["english-light-desktop", "chinese-dark-phone"],
)
def test_terminal_is_claimed_by_a_code_and_shut_out(
    stack: Stack, browser: Browser, language: Language, theme: str, width: int, place: int
) -> None:
    words, terminal, name = Words(language, ZoneInfo("UTC")), stack.town.terminals[place], f"{language}-{theme}-{width}"
    with visiting(browser, stack.url, name="admin", language=str(language), theme=theme, width=width) as visitor:
        page = visitor.go(f"/terminals/{terminal}")
        panel = page.locator("[data-slot=certificate]")
        expect(panel).to_contain_text(words("certificate.none"))
        panel.get_by_role("button", name=words("certificate.code")).press("Enter")
        dialog = page.get_by_role("dialog")
        code = dialog.locator(".rl-secret").inner_text()
        assert axe_faults(page) == []
        keep(page, f"code-{name}")
        device = Device(terminal, authority.new_key())
        claimed = httpx.post(stack.url + CLAIMS, json={"code": code, "csr": device.csr})
        assert (claimed.status_code, claimed.json()["terminal"]) == (201, terminal)

        page = visitor.go(f"/terminals/{terminal}")
        panel = page.locator("[data-slot=certificate]")
        expect(panel.locator("[data-s=ok]")).to_contain_text(words("certificate.days_left", n=89))
        keep(page, f"claimed-{name}")
        panel.get_by_role("button", name=words("certificate.shut_out")).press("Enter")
        page.fill("[name=reason]", "it was stolen")
        page.fill("[name=typed]", terminal)
        keep(page, f"shut-out-{name}")
        assert axe_faults(page) == []
        page.get_by_role("dialog").get_by_role("button", name=words("certificate.shut_out_it"), exact=True).click()
        page.fill("[name=password]", PASSWORD)
        page.locator("[name=password]").press("Enter")
        expect(panel.locator("[data-s=bad]")).to_be_visible()
        keep(page, f"revoked-{name}")
        assert axe_faults(page) == []
