"""The whole way with real parts: sign in, import members, print a card, show it to the kiosk, see it arrive.

Each step's page is measured by axe and kept as a picture in var/whole-way, to be looked at by a person.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.console.words import Language, Words
from tests.e2e.chromium import axe_faults, layout_faults
from tests.e2e.console_stack import Visitor, browsing
from tests.e2e.whole_stack import ON_NOW, Whole, running_whole

PICTURES = Path(__file__).parents[2] / "var" / "whole-way"
PORTRAIT = (1080, 1920)
ARRIVES_MS = 20_000
SERIOUS = ("serious", "critical")
LINKED = 4
"""Stops of the evidence that are reached: on the kiosk, stored, in the ledger, linked."""

PEOPLE = {
    Language.CHINESE: ("试验·青松", "ZH-1", "编号,姓名\nZH-1,试验·青松\nZH-2,试验·白杨\nZH-3,试验·海棠\n"),
    Language.ENGLISH: ("Invented Pine", "EN-1", "external_id,name\nEN-1,Invented Pine\nEN-2,Invented Poplar\n"),
}
RAW_KEY = re.compile(r"(?<![\w./@])[a-z_]{4,}\.(?!csv)[a-z_]{2,}(?![\w./])|\{[a-z_]*\}")
"""A catalogue's key, or a place in a sentence that nobody filled."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running_whole(tmp_path_factory.mktemp("whole")) as whole:
        yield whole


@dataclass
class Album:
    """Measures each page that is passed, and keeps its picture."""

    language: Language
    faults: dict[str, list[str]] = field(default_factory=dict)
    steps: int = 0

    def look(self, page: Page, step: str, *, enhanced: bool = False, paper: bool = False) -> None:
        """Picture and faults of a page; a sheet of paper has no landmarks and headings, so only serious ones count there."""
        self.steps += 1
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{self.language}-{self.steps:02}-{step}.png", full_page=True)
        found = axe_faults(page, enhanced=enhanced)
        if paper:
            found = [each for each in found if each.startswith(SERIOUS)]
        found += [f"raw key: {each}" for each in RAW_KEY.findall(page.inner_text("body"))]
        if found:
            self.faults[step] = found


@pytest.mark.parametrize("language", list(Language))
def test_a_printed_card_becomes_attendance_in_the_open_console(
    whole: Whole, browser: Browser, language: Language
) -> None:
    album, words = Album(language), Words(language, ZoneInfo("UTC"))
    name, number, rows = PEOPLE[language]
    whole.speak(language)
    with browsing(browser, whole.console_url, locale=language.tag) as visitor:
        _sign_in(visitor, whole, album)
        _import(visitor, words, album, rows)
        member = _find(visitor, album, number, name)
        card = _print_card(visitor, words, album)
        kiosk = _open_kiosk(browser, whole, album)
        overview, occurrence = visitor.another("/"), visitor.another(f"/activities/{whole.occurrence_id}")
        for page in (overview, occurrence):
            page.evaluate("window.stillTheSamePage = true")
        here = occurrence.locator("[data-slot=tiles] dd").first
        before = int(here.inner_text())

        whole.hold(card)
        expect(kiosk.locator("body[data-verdict=yes] h1")).to_contain_text("签到成功", timeout=ARRIVES_MS)
        expect(kiosk.locator("h1")).to_contain_text("Checked in")
        _look_at_kiosk(kiosk, album, "kiosk-green")

        expect(overview.locator("[data-slot=board] tr").first).to_contain_text(name, timeout=ARRIVES_MS)
        arrived = occurrence.locator("[data-slot=attendance] tbody tr").filter(has_text=name)
        expect(arrived.locator(".rl-ev i.on")).to_have_count(LINKED, timeout=ARRIVES_MS)
        expect(here).to_have_text(str(before + 1))
        for page, step in ((overview, "overview"), (occurrence, "activity")):
            assert page.evaluate("window.stillTheSamePage")
            album.look(page, step)

        whole.take_away()
        expect(kiosk.locator("body[data-screen=waiting]")).to_be_visible(timeout=ARRIVES_MS)
        kiosk.close()
        _look_at_history(visitor, words, album, member)
        assert visitor.complaints == []
    assert album.faults == {}


def _look_at_history(visitor: Visitor, words: Words, album: Album, member: str) -> None:
    visitor.page.goto(member)
    history = visitor.page.locator("[data-slot=attendance]")
    expect(history.locator("tbody tr")).to_have_count(1)
    expect(history).to_contain_text(words.either(*ON_NOW))
    album.look(visitor.page, "history")


def _sign_in(visitor: Visitor, whole: Whole, album: Album) -> None:
    visitor.page.goto(f"{whole.console_url}/members/import")
    album.look(visitor.page, "sign-in")
    visitor.sign_in(whole.operator, whole.password)
    expect(visitor.page).to_have_url(re.compile("/members/import$"))


def _import(visitor: Visitor, words: Words, album: Album, rows: str) -> None:
    """The dry run's report first, then the import."""
    page = visitor.go("/members/import")
    count = rows.count("\n") - 1
    page.set_input_files("input[type=file]", {"name": "people.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    begin = page.get_by_role("button", name=words("import.begin", n=count))
    expect(begin).to_be_visible()
    expect(page.locator("[data-slot=report] tbody tr")).to_have_count(count)
    album.look(page, "import-report")
    begin.click()
    report = page.locator("[data-slot=report]")
    expect(report).to_contain_text(words("import.done_more", created=count, updated=0, unchanged=0))
    album.look(page, "import-done")


def _find(visitor: Visitor, album: Album, number: str, name: str) -> str:
    """Open the member's page from the list; its address."""
    page = visitor.go(f"/members?search={number}")
    found = page.locator("[data-slot=list] tbody tr")
    expect(found).to_have_count(1)
    album.look(page, "members")
    found.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return page.url


def _print_card(visitor: Visitor, words: Words, album: Album) -> bytes:
    """Issue a card, open its sheet for the printer, and take the same card as a picture."""
    page = visitor.page
    page.wait_for_function("window.socket && window.socket.connected")
    page.get_by_role("button", name=words("members.issue")).click()
    cards = page.locator("[data-slot=cards]")
    expect(cards).to_contain_text(words("members.in_force"))
    album.look(page, "member-with-card")
    with page.expect_popup() as opened:
        cards.get_by_role("link", name=words("members.print")).click()
    sheet = opened.value
    expect(sheet.locator("svg")).to_have_count(1)
    album.look(sheet, "printed-card", paper=True)
    credential_id = parse_qs(urlsplit(sheet.url).query)["credential_id"][0]
    sheet.close()
    picture = visitor.context.request.get(f"{visitor.url}/api/v1/credentials/{credential_id}/card.png")
    assert (picture.status, picture.headers["content-type"]) == (200, "image/png")
    return picture.body()


def _open_kiosk(browser: Browser, whole: Whole, album: Album) -> Page:
    """The kiosk's own page, once the twin is in force and all is stored."""
    page = browser.new_page(viewport={"width": PORTRAIT[0], "height": PORTRAIT[1]})
    page.goto(whole.kiosk_url)
    expect(page.locator("body[data-screen=waiting] h1")).to_contain_text("请出示二维码", timeout=ARRIVES_MS)
    expect(page.locator(".rl-k")).to_contain_text(ON_NOW[0], timeout=ARRIVES_MS)
    expect(page.locator("html")).to_have_attribute("lang", album.language.tag if album.language == "zh" else "en")
    _look_at_kiosk(page, album, "kiosk-waiting")
    return page


def _look_at_kiosk(page: Page, album: Album, step: str) -> None:
    album.look(page, step, enhanced=True)
    found = layout_faults(page, text_px=30, touch_px=120, apart_px=24, lowest_px=600)
    if found:
        album.faults.setdefault(step, []).extend(found)
