"""Many terminals from a file, and one in the place of another, from the button to what the pages say afterwards."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults
from tests.e2e.console_pages import busy_stack
from tests.e2e.console_stack import Stack, visiting
from tests.e2e.pictures import keeper

keep = keeper("console-twins")
LOOKS = [(Language.ENGLISH, "light", 1440), (Language.CHINESE, "dark", 390)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with busy_stack(tmp_path_factory.mktemp("twins")) as stack:
        yield stack


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_file_of_terminals_says_every_mistake_and_the_good_rows_are_taken(
    stack: Stack, browser: Browser, language: Language, theme: str, width: int
) -> None:
    words, look = Words(language, ZoneInfo("UTC")), f"{language}-{theme}-{width}"
    with visiting(browser, stack.url, name="admin", language=str(language), theme=theme, width=width) as visitor:
        page = visitor.go("/terminals/import")
        rows = [f"file-{language}-{number},302,{3 if number == 7 else 30}" for number in range(12)]
        text = "\n".join(["id,room,health_every_s", *rows, "Kiosk,302,30", "file-x,999,30", ""])
        page.set_input_files("input[type=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": text.encode()})
        report = page.locator("[data-slot=report]")
        expect(report.get_by_role("alert")).to_contain_text("3")
        expect(report).to_contain_text("86400")
        keep(page, f"import-{look}")
        assert axe_faults(page) == []
        report.get_by_role("button", name=words("import_terminals.begin_good", n=11)).click()
        expect(report.get_by_role("status")).to_contain_text(words("import.done"))
        visitor.go(f"/terminals?search=file-{language}-")
        expect(page.locator("[data-slot=list] tbody tr")).to_have_count(11)


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_broken_terminal_is_replaced_and_each_page_leads_to_the_other(
    stack: Stack, browser: Browser, language: Language, theme: str, width: int
) -> None:
    words, look = Words(language, ZoneInfo("UTC")), f"{language}-{theme}-{width}"
    old = {Language.ENGLISH: "kiosk-302-a", Language.CHINESE: "kiosk-210-a"}[language]
    new = f"{old[:-1]}z"
    with visiting(browser, stack.url, name="admin", language=str(language), theme=theme, width=width) as visitor:
        keep(visitor.go("/templates"), f"templates-{look}")
        page = visitor.go(f"/terminals/{old}")
        page.get_by_role("button", name=words("replace.it"), exact=True).click()
        page.fill("[name=by]", new)
        page.fill("[name=reason]", "its screen is broken")
        keep(page, f"replace-{look}")
        assert axe_faults(page) == []
        page.get_by_role("dialog").locator("button[data-kind=main]").click()
        expect(page.locator(".rl-secret")).to_be_visible()
        visitor.go(f"/terminals/{old}")
        expect(page.locator("main")).to_contain_text(words("replace.out_of_service"))
        keep(page, f"replaced-{look}")
        assert axe_faults(page) == []
        page.get_by_role("link", name=new).click()
        expect(page.locator("main")).to_contain_text(words("replace.replaces"))
        expect(page.locator("h1")).to_contain_text(new)
        keep(page, f"replacement-{look}")
