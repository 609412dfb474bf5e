"""Figures of the console's pages say what is true of the town, and no more, in a real browser on the real stack."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console_pages import busy_stack
from tests.e2e.console_stack import Stack, Visitor, visiting


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with busy_stack(tmp_path_factory.mktemp("figures")) as stack:
        yield stack


@pytest.fixture
def visitor(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, stack.url) as visitor:
        yield visitor


def test_names_of_activities_stay_on_one_line_of_the_board_where_there_is_room(visitor: Visitor) -> None:
    page = visitor.go("/")
    titles = page.locator(".rl-board td.q > span")
    expect(titles).to_have_count(12)
    assert len(set(titles.evaluate_all("all => all.map(each => each.offsetHeight)"))) == 1


def test_what_waits_on_silent_terminals_is_told_as_the_least_there_can_be(stack: Stack, visitor: Visitor) -> None:
    """No broker is there, so that no terminal is online."""
    page = visitor.go("/")
    expect(page.locator(".rl-line")).to_contain_text("at least 36 still on terminals")
    page = visitor.go(f"/activities/{stack.town.occurrences[0]}")
    expect(page.locator(".rl-tile", has_text="Still on the kiosk")).to_contain_text("≥ 12")


def test_an_activity_says_whether_all_of_its_check_ins_are_shown(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go(f"/activities/{stack.town.occurrences[0]}")
    shown = page.locator("[data-slot=attendance] > p, [data-slot=attendance] > div > p").last
    expect(shown).to_have_text("All 4 shown.")
    find = page.get_by_placeholder("Find a person")
    find.fill("Guest")
    expect(shown).to_have_text("1 found among 4.")
    find.fill("Nobody")
    expect(shown).to_have_text("0 found among 4.")
    expect(find).to_have_value("Nobody")
    find.fill("")
    for number in range(46):
        stack.town.check_in(number % 8, 0)
    expect(shown).to_have_text("All 50 shown.", timeout=30_000)
    stack.town.check_in(1, 0)
    expect(shown).to_have_text("Newest 50; older ones are not shown.", timeout=30_000)
    find.fill("Guest")
    expect(shown).to_have_text("1 found among the newest 50; older ones are not searched.")


def test_streams_that_differ_lead_to_their_terminals_whose_pages_say_what_differs(visitor: Visitor) -> None:
    """The town's journal is empty, which the reconciler tells once it has found it twice."""
    page = visitor.go("/")
    row = page.locator("[data-slot=attention] li", has_text="Stored records differ: 3 streams")
    expect(row).to_contain_text("Nothing is deleted", timeout=90_000)
    expect(row.get_by_role("link")).to_have_text(["kiosk-105-a", "kiosk-210-a", "kiosk-302-a"])
    expect(page.locator(".rl-line")).to_contain_text("totals match, but 3 streams differ")
    row.get_by_role("link", name="kiosk-105-a").click()
    panel = page.locator("[data-slot=evidence]")
    expect(panel.locator(".rl-chip[data-s=bad]")).to_have_text("Journal differs from its count")
    expect(panel).to_contain_text("the journal holds 0")
