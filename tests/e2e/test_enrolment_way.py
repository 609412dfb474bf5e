"""An operator gets a claim code in the browser, a machine is claimed by the very command that is shown and becomes a kiosk, and
is shut out in the browser: its session is cut and its certificate refused. Agent, claim, broker and cloud are processes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Visitor, browsing
from tests.e2e.pictures import keeper
from tests.life import EDGE, OPERATOR, TERMINAL, Life, living
from tests.process import Process, free_port, wait_until

keep = keeper("enrolment-way")
COMES_MS = 60_000


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with living(tmp_path) as life:
        yield life


def waiting_agent(life: Life, page_port: int) -> Path:
    """A machine that is no terminal yet; its settings file."""
    config = life.folder / "kiosk.toml"
    config.write_text(f'data_dir = "{life.disk}"\nclock_trusted = true\n[kiosk]\npage_port = {page_port}\n')
    command = [*EDGE, "run", "--config", str(config)]
    life.agent.spawn(command, ready=lambda: "Waiting for that" in life.agent.log())
    return config


def shown_command(page: Page, words: Words) -> list[str]:
    """What the console says to type on the machine."""
    page.locator("[data-slot=certificate]").get_by_role("button", name=words("certificate.code")).click()
    dialog = page.get_by_role("dialog")
    command = dialog.locator("code", has_text="python -m edge claim").inner_text()
    assert dialog.locator(".rl-secret").inner_text().replace(" ", "") in command
    keep(page, f"code-{words.language}")
    return command.split()[1:]


def shut_out(life: Life, visitor: Visitor, words: Words) -> None:
    page = visitor.go(f"/terminals/{TERMINAL}")
    page.locator("[data-slot=certificate]").get_by_role("button", name=words("certificate.shut_out")).click()
    page.fill("[name=reason]", "it was stolen")
    page.fill("[name=typed]", TERMINAL)
    page.get_by_role("dialog").get_by_role("button", name=words("certificate.shut_out_it"), exact=True).click()
    page.fill("[name=password]", life.password)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("[data-slot=certificate] [data-s=bad]")).to_be_visible(timeout=COMES_MS)


@pytest.mark.parametrize(
    ("language", "theme", "width"), [(Language.ENGLISH, "light", 1440), (Language.CHINESE, "dark", 390)]
)
def test_machine_is_claimed_by_the_code_from_the_console_and_cut_off_when_it_is_revoked_there(
    life: Life, browser: Browser, language: Language, theme: str, width: int
) -> None:
    words, port = Words(language, ZoneInfo("UTC")), free_port()
    cookies = {"roomlink_language": str(language), "roomlink_theme": theme}
    config = waiting_agent(life, port)
    kiosk = browser.new_page(viewport={"width": 1080, "height": 1920})
    kiosk.goto(f"http://127.0.0.1:{port}/")
    expect(kiosk.locator("h1")).to_contain_text("本机尚未认领")
    with browsing(browser, life.cloud.url, width=width, cookies=cookies) as visitor:
        visitor.page.goto(life.cloud.url + "/sign-in")
        visitor.sign_in(OPERATOR, life.password)
        page = visitor.go(f"/terminals/{TERMINAL}")
        typed = shown_command(page, words)
        Process(life.folder / "claim.log").run([sys.executable, *typed, "--config", str(config)])
        expect(kiosk.locator("h1")).not_to_contain_text("本机尚未认领", timeout=COMES_MS)
        page = visitor.go(f"/terminals/{TERMINAL}")
        expect(page.locator("main")).to_contain_text(words("presence.online"), timeout=COMES_MS)
        expect(page.locator("[data-slot=certificate] [data-s=ok]")).to_be_visible()
        keep(page, f"claimed-{language}-{theme}-{width}")

        shut_out(life, visitor, words)
        assert wait_until(lambda: life.presence() == "offline", 60)
        page = visitor.go(f"/terminals/{TERMINAL}")
        expect(page.locator("main")).to_contain_text(words("presence.offline"), timeout=COMES_MS)
        expect(page.locator("main")).to_contain_text(words("terminals.disabled"))
        keep(page, f"cut-off-{language}-{theme}-{width}")
        assert axe_faults(page) == []
        assert wait_until(lambda: "certificate verify failed" in life.broker.process.log(), 60)
        assert life.presence() == "offline"
    kiosk.close()
