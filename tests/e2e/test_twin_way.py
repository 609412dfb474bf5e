"""An operator changes a setting in the browser; the real agent applies it and says so; the console shows both side by side."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Visitor, browsing
from tests.e2e.pictures import keeper
from tests.e2e.whole_stack import Whole, running_whole

keep = keeper("twin-way")
COMES_MS = 60_000
LOOKS = [(Language.ENGLISH, "light", 1440, "45"), (Language.CHINESE, "dark", 390, "35")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running_whole(tmp_path_factory.mktemp("twin")) as whole:
        yield whole


def signed_in(whole: Whole, visitor: Visitor, path: str) -> Page:
    visitor.page.goto(whole.console_url + "/sign-in")
    visitor.sign_in(whole.operator, whole.password)
    return visitor.go(path)


def open_form(page: Page, words: Words) -> Locator:
    page.get_by_role("button", name=words("page.edit"), exact=True).click()
    field = page.locator("[name=set_health_every_s]")
    expect(field).to_be_visible()
    return field


def health_row(page: Page, words: Words) -> Locator:
    title = {Language.ENGLISH: "Health sample every", Language.CHINESE: "上报状况的间隔"}[words.language]
    return page.locator("[data-slot=twin] tr").filter(has_text=title)


@pytest.mark.parametrize(("language", "theme", "width", "seconds"), LOOKS)
def test_changed_setting_is_seen_reported_back_by_the_terminal(
    whole: Whole, browser: Browser, language: Language, theme: str, width: int, seconds: str
) -> None:
    words = Words(language, ZoneInfo("UTC"))
    cookies = {"roomlink_language": str(language), "roomlink_theme": theme}
    look = f"{language}-{theme}-{width}"
    said = f"{seconds} {words('unit.s')}"
    with browsing(browser, whole.console_url, width=width, cookies=cookies) as visitor:
        page = signed_in(whole, visitor, f"/terminals/{whole.terminal_id}")
        field = open_form(page, words)
        keep(page, f"form-{look}")
        assert axe_faults(page) == []
        field.evaluate("field => { field.min = ''; }")
        field.fill("3")
        page.get_by_role("button", name=words("page.save")).click()
        expect(page.get_by_role("alert")).to_contain_text("86400")
        keep(page, f"refused-{look}")
        field.fill(seconds)
        page.get_by_role("button", name=words("page.save")).click()
        expect(field).to_be_hidden()
        row = health_row(page, words)
        expect(row.locator("td").nth(1)).to_have_text(said, timeout=COMES_MS)
        expect(row.locator("td").nth(2)).to_have_text(said, timeout=COMES_MS)
        expect(row.locator("[data-s=ok]")).to_have_text(words("twin.equal"))
        expect(row).to_contain_text(words("setting.from_own"))
        keep(page, f"reported-{look}")
        assert axe_faults(page) == []


def test_who_saves_an_older_version_is_told_who_was_faster(whole: Whole, browser: Browser) -> None:
    words = Words(Language.ENGLISH, ZoneInfo("UTC"))
    with browsing(browser, whole.console_url) as visitor:
        page = signed_in(whole, visitor, f"/terminals/{whole.terminal_id}")
        field = open_form(page, words)
        whole.speak(Language.ENGLISH)
        field.fill("50")
        page.get_by_role("button", name=words("page.save")).click()
        expect(page.get_by_role("alert")).to_contain_text("Somebody was faster, and nothing of yours was saved.")
        expect(page.get_by_role("alert")).to_contain_text("Language: Chinese before, now English")
        keep(page, "faster-en")


def test_template_of_its_room_reaches_the_terminal_and_is_named_as_the_source(whole: Whole, browser: Browser) -> None:
    words = Words(Language.ENGLISH, ZoneInfo("UTC"))
    whole.speak(Language.CHINESE)
    with browsing(browser, whole.console_url) as visitor:
        page = signed_in(whole, visitor, "/templates")
        page.get_by_role("button", name=words("templates.add")).click()
        page.select_option("[name=place]", value=whole.room_id)
        page.fill("[name=set_health_every_s]", "25")
        keep(page, "template-form-en")
        assert axe_faults(page) == []
        page.locator("form [data-kind=main]").click()
        expect(page.locator("[data-slot=list]")).to_contain_text("25 s")
        keep(page, "templates-en")
        page = visitor.go(f"/terminals/{whole.terminal_id}")
        row = health_row(page, words)
        expect(row.locator("td").nth(2)).to_have_text("25 s", timeout=COMES_MS)
        expect(row).to_contain_text("template of 306")
        keep(page, "from-template-en")
