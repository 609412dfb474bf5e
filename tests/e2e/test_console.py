"""The operators' console in a real browser, on the real stack."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console_pages import busy_stack
from tests.e2e.console_stack import Stack, Visitor, visiting
from tests.e2e.console_town import PASSWORD, quarantine


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with busy_stack(tmp_path_factory.mktemp("console")) as stack:
        yield stack


@pytest.fixture
def visitor(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, stack.url) as visitor:
        yield visitor


def test_wrong_password_is_refused_in_words_and_a_right_one_leads_to_the_page_asked_for(
    stack: Stack, browser: Browser
) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{stack.url}/members")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.fill("[name=name]", "operator")
    page.fill("[name=password]", "not-the-password")
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Members")
    context.close()


def test_a_stranger_gets_neither_page_nor_asset_of_the_toolkit_nor_socket(stack: Stack) -> None:
    assert httpx.get(f"{stack.url}/members", headers={"Accept": "text/html"}).status_code == 303
    assert httpx.get(f"{stack.url}/socket.io/?EIO=4&transport=polling").status_code == 401
    assert httpx.get(f"{stack.url}/assets/tokens.css").status_code == 200


def test_sign_in_leads_to_no_other_site(stack: Stack) -> None:
    form = {"name": "viewer", "password": PASSWORD, "next": "//elsewhere.example/"}
    answer = httpx.post(f"{stack.url}/sign-in", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_check_in_appears_without_a_reload(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/")
    page.evaluate("window.stillTheSamePage = true")
    today = page.locator(".rl-tile dd").first.inner_text()
    stack.town.check_in(3, 2)
    expect(page.locator("[data-slot=board] tr").first).to_contain_text("样例丁", timeout=8_000)
    expect(page.locator(".rl-tile dd").first).not_to_have_text(today)
    assert page.evaluate("window.stillTheSamePage")


def test_the_board_holds_still_while_a_pointer_is_in_it_and_counts_what_is_above(
    stack: Stack, visitor: Visitor
) -> None:
    page = visitor.go("/")
    first = page.locator("[data-slot=board] tr").first
    first.hover()
    before = first.inner_text()
    stack.town.check_in(5, 0)
    expect(page.locator("[data-slot=board] header")).to_contain_text("1 newer above", timeout=8_000)
    assert first.inner_text() == before
    page.mouse.move(5, 400)
    expect(first).to_contain_text("Test Beta", timeout=8_000)


def test_live_attendance_reaches_the_open_page_of_its_activity(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go(f"/activities/{stack.town.occurrences[1]}")
    here = page.locator(".rl-tile dd").first
    before = int(here.inner_text())
    stack.town.check_in(7, 1)
    stack.town.check_in(2, 1)
    expect(here).not_to_have_text(str(before), timeout=8_000)
    expect(page.locator("[data-slot=attendance]")).to_contain_text("样例丙")


def test_the_keyboard_reaches_search_menu_and_content(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("302")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search: 302")
    visitor.go("/")
    page.keyboard.press("Tab")
    expect(page.locator(".rl-skip a")).to_be_focused()
    page.locator("#nav a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Members")


def test_the_drawer_on_a_phone_opens_and_closes_by_keyboard(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, width=390) as visitor:
        page = visitor.go("/")
        expect(page.locator("#nav")).to_be_hidden()
        page.locator("#menu").press("Enter")
        expect(page.locator("#nav")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#nav")).to_be_hidden()
        expect(page.locator("#menu")).to_be_focused()


def test_language_switches_by_a_link_and_stays(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/members")
    page.locator(".rl-top").get_by_role("link", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("成员")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    visitor.go("/rooms")
    expect(page.get_by_role("heading", level=1)).to_have_text("房间")


def test_theme_follows_the_choice(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/")
    page.locator(".rl-top details.rl-account summary").click()
    page.locator(".rl-top").get_by_role("link", name="Dark").click()
    page.wait_for_selector("body.body--dark h1")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 27)"


def test_members_are_found_by_the_server_while_one_types(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/members")
    page.locator("[data-slot=list] tbody tr").first.wait_for()
    page.get_by_placeholder("Name or number").press_sequentially("Gamma")
    expect(page.locator("[data-slot=list] tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("search=Gamma"))


def test_import_reports_every_row_before_it_writes_and_then_writes_all(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/members/import")
    bad = b"external_id,name\nX1,Someone Invented\n,Nobody\nX3,=cmd()\n"
    page.set_input_files("input[type=file]", {"name": "bad.csv", "mimeType": "text/csv", "buffer": bad})
    report = page.locator("[data-slot=report]")
    expect(report).to_contain_text("Nothing was imported")
    expect(report).to_contain_text("Row 3")
    good = "编号,姓名\n".encode("gb18030") + "".join(f"I{n},导入样例{n}\n" for n in range(30)).encode("gb18030")
    page.set_input_files("input[type=file]", {"name": "good.csv", "mimeType": "text/csv", "buffer": good})
    report.get_by_role("button", name="Import 30").click()
    expect(report).to_contain_text("New: 30.")
    visitor.go("/members?search=导入样例29")
    expect(page.locator("[data-slot=list] tbody tr")).to_have_count(1)


def test_a_long_import_shows_how_far_it_is_and_can_be_stopped(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/members/import")
    rows = "external_id,name\n" + "".join(f"L{n},Invented {n}\n" for n in range(50_000))
    page.set_input_files("input[type=file]", {"name": "long.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    page.get_by_role("button", name="Import 50,000").click(timeout=60_000)
    expect(page.locator("[data-slot=progress]").get_by_role("progressbar")).to_be_visible()
    expect(page.locator("[data-slot=progress]")).to_contain_text("of 50,000 rows")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-slot=report]")).to_contain_text("Nothing was imported", timeout=20_000)
    visitor.go("/members?search=Invented")
    expect(page.locator("[data-slot=list]")).to_contain_text("Nothing found")


def test_a_card_is_issued_printed_and_revoked_with_a_reason(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin") as visitor:
        issue_print_and_revoke(stack, visitor)
        page = visitor.go("/audit")
        expect(page.locator("[data-slot=list]")).to_contain_text("Card: revoked")
        expect(page.locator("[data-slot=list]")).to_contain_text("Reason: lost in a test")


def issue_print_and_revoke(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go(f"/members/{stack.town.members[6]}")
    page.get_by_role("button", name="Issue a card").click()
    cards = page.locator("[data-slot=cards]")
    expect(cards).to_contain_text("In force")
    printed = visitor.context.request.get(f"{stack.url}{cards.get_by_role('link').first.get_attribute('href')}")
    assert printed.status == 200
    assert "<svg" in printed.text()
    cards.get_by_role("button", name="Revoke…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("lost in a test")
    dialog.get_by_role("button", name="Revoke this card").click()
    expect(cards).to_contain_text("Revoked")
    expect(cards).to_contain_text("lost in a test")


def test_somebody_without_a_record_is_checked_in_by_a_correction(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go(f"/activities/{stack.town.occurrences[2]}")
    page.get_by_role("button", name="Check someone in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name or number").fill("nobody at all")
    dialog.get_by_label("Reason").fill("forgot the card")
    dialog.get_by_role("button", name="Check in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nobody is called that")
    dialog.get_by_label("Name or number").fill("T005")
    dialog.get_by_role("button", name="Check in").click()
    expect(page.locator("[data-slot=corrections]")).to_contain_text("forgot the card")


def test_quarantine_shows_bytes_that_cannot_act_and_discards_with_a_reason(stack: Stack, visitor: Visitor) -> None:
    quarantine(stack.town.engine, "kiosk-105-a", b"<img src=x onerror=alert(1)>\xe2\x80\xae")
    page = visitor.go("/quarantine")
    page.get_by_role("link", name="View", exact=True).first.click()
    expect(page.locator("pre").first).to_contain_text("<img src=x onerror=alert(1)>·")
    page.get_by_role("button", name="Discard…").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("made by a test")
    page.get_by_role("dialog").get_by_role("button", name="Discard it").click()
    expect(page.get_by_text("made by a test")).to_be_visible()
    assert visitor.complaints == []


def test_health_is_drawn_with_its_hole_and_its_table_behind_a_button(stack: Stack, visitor: Visitor) -> None:
    page = visitor.go("/terminals/kiosk-302-a")
    health = page.locator("[data-slot=health]")
    expect(health.get_by_role("img")).to_have_count(5)
    assert health.locator("figure").first.locator("polyline").count() == 2
    health.locator("summary").first.click()
    expect(health.get_by_role("table").first).to_be_visible()
    assert visitor.complaints == []


def test_a_viewer_sees_no_buttons_and_a_forced_page_says_why(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go(f"/members/{stack.town.members[0]}")
        expect(page.get_by_role("button", name="Issue a card")).to_have_count(0)
        page.goto(f"{stack.url}/members/import")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your role does not allow this")


def test_a_session_that_was_ended_can_do_nothing_in_a_page_that_is_still_open(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin") as visitor:
        page = visitor.go(f"/members/{stack.town.members[1]}")
        other = visitor.context.request.post(f"{stack.url}/sign-out", headers={"Origin": stack.url}, max_redirects=0)
        assert other.status == 303
        page.get_by_role("button", name="Issue a card").click()
        expect(page).to_have_url(re.compile("/sign-in"))


def test_unknown_things_are_said_in_words(stack: Stack, visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{stack.url}/members/mem_0000000000000000")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    expect(page.get_by_role("alert")).to_contain_text("or it is outside your branch")
    page.get_by_role("link", name="Back to: Members").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Members")
