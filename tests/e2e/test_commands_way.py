"""An operator presses Identify in the console; the kiosk's own page shows it; the console says done, by the terminal's word."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults, layout_faults
from tests.e2e.console_stack import Visitor, browsing
from tests.e2e.pictures import keeper
from tests.e2e.whole_stack import Whole, running_whole

keep = keeper("commands-way")
COMES_MS = 30_000
PORTRAIT: ViewportSize = {"width": 1080, "height": 1920}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running_whole(tmp_path_factory.mktemp("commands")) as whole:
        yield whole


@pytest.fixture
def kiosk(whole: Whole, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PORTRAIT)
    page = context.new_page()
    page.goto(whole.kiosk_url)
    expect(page.locator("body")).to_have_attribute("data-screen", "waiting", timeout=COMES_MS)
    yield page
    context.close()


def signed_in(whole: Whole, visitor: Visitor) -> Page:
    visitor.page.goto(whole.console_url + "/sign-in")
    visitor.sign_in(whole.operator, whole.password)
    return visitor.go(f"/terminals/{whole.terminal_id}")


@pytest.mark.parametrize(
    ("language", "theme", "width"), [(Language.ENGLISH, "light", 1440), (Language.CHINESE, "dark", 390)]
)
def test_identify_is_seen_on_the_kiosk_and_done_in_the_console(
    whole: Whole, browser: Browser, kiosk: Page, language: Language, theme: str, width: int
) -> None:
    words = Words(language, ZoneInfo("UTC"))
    cookies = {"roomlink_language": str(language), "roomlink_theme": theme}
    with browsing(browser, whole.console_url, width=width, cookies=cookies) as visitor:
        page = signed_in(whole, visitor)
        panel = page.locator("[data-slot=commands]")
        panel.get_by_role("button", name=words("command.identify"), exact=True).click()
        expect(kiosk.locator("body")).to_have_attribute("data-screen", "identify", timeout=COMES_MS)
        expect(kiosk.locator("h1")).to_contain_text("我在这里")
        expect(kiosk.locator("main")).to_contain_text(whole.terminal_id)
        keep(kiosk, f"kiosk-{language}")
        assert layout_faults(kiosk, text_px=30, touch_px=120, apart_px=24) == []
        assert axe_faults(kiosk, enhanced=True) == []
        expect(panel.locator("[data-s=done]").first).to_contain_text(words("command.state_done"), timeout=COMES_MS)
        keep(page, f"console-{language}-{theme}-{width}")
        assert axe_faults(page) == []
        kiosk.get_by_role("button").click()
        expect(kiosk.locator("body")).to_have_attribute("data-screen", "waiting")


def test_self_test_is_chosen_in_the_dialog_by_keyboard_and_says_what_it_found(whole: Whole, browser: Browser) -> None:
    words = Words(Language.CHINESE, ZoneInfo("UTC"))
    cookies = {"roomlink_language": "zh", "roomlink_theme": "light"}
    with browsing(browser, whole.console_url, width=1440, cookies=cookies) as visitor:
        page = signed_in(whole, visitor)
        panel = page.locator("[data-slot=commands]")
        panel.get_by_role("button", name=words("command.more")).press("Enter")
        expect(page.locator("[name=name]")).to_be_visible()
        keep(page, "dialog-zh")
        assert axe_faults(page) == []
        page.get_by_role("button", name=words("command.send")).press("Enter")
        expect(panel.locator("[data-s=done] + ul").first).to_contain_text(words("command.found_disk"), timeout=COMES_MS)
        keep(page, "found-zh")
