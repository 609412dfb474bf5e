"""The list of terminals in a browser: filtered, sorted and paged in place, rows chosen, still while one is in it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from cloud.accounts import service as accounts
from cloud.accounts.service import Role
from cloud.alarms.models import MaintenanceWindow
from cloud.audit.models import AuditEntry
from cloud.audit.service import Change
from cloud.commands.models import Command
from cloud.database import transaction
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationForm
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import listing
from cloud.terminals.models import SavedView, Terminal
from cloud.terminals.wanted import Wanted, read
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, Visitor, running_stack, visiting
from tests.e2e.console_town import PASSWORD
from tests.e2e.pictures import keeper
from tests.many_terminals import Many, settle_many

keep = keeper("fleet")
ROWS = "[data-slot=list] tbody tr"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("fleet")) as stack:
        yield stack


@pytest.fixture(scope="module")
def many(stack: Stack) -> Many:
    return settle_many(stack.town.engine, datetime.now(UTC), terminals=400, rooms=40, organisations=30)


@pytest.fixture
def operator(stack: Stack, many: Many, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, stack.url) as visitor:
        yield visitor
        assert visitor.complaints == []


def ids(page: Page) -> list[str]:
    """The terminals of the rows, in order."""
    return page.locator(f"{ROWS} a.rl-id").all_inner_texts()


def told(stack: Stack, name: str) -> set[str]:
    """Who was sent this command."""
    with transaction(stack.town.engine, read_only=True) as session:
        return set(session.scalars(select(Command.terminal_id).where(Command.name == name)))


@pytest.mark.parametrize(
    ("language", "theme", "width"),
    [("en", "light", 1440), ("zh", "dark", 1440), ("zh", "light", 390), ("en", "dark", 390)],
)
def test_pages_are_as_drawn_at_every_width(
    stack: Stack, many: Many, browser: Browser, language: str, theme: str, width: int
) -> None:
    with visiting(browser, stack.url, language=language, theme=theme, width=width) as visitor:
        page = visitor.go("/terminals")
        page.wait_for_load_state("networkidle")
        for box in page.locator(f"{ROWS} [data-pick]").all()[:3]:
            box.check()
        expect(page.locator("[data-slot=chosen]")).to_contain_text("3")
        keep(page, f"list-{language}-{theme}-{width}")
        assert axe_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page = visitor.go("/terminals/map")
        page.wait_for_load_state("networkidle")
        page.locator(".rl-data summary").click()
        keep(page, f"map-{language}-{theme}-{width}")
        assert axe_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_rows_are_chosen_identified_and_followed(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?sort=id&presence=online")
    chosen = ids(page)[:2]
    for each in chosen:
        page.get_by_label(f"Choose {each}", exact=True).check()
    expect(page.locator("[data-slot=chosen]")).to_contain_text("2 chosen")
    page.locator("[data-slot=chosen]").get_by_role("button", name="Identify").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Identify")
    expect(page.locator("[data-slot=progress]")).to_contain_text("0 of 2 ended")
    assert told(stack, "identify") == set(chosen)


def test_all_that_match_are_told_after_their_number_was_said(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?kind=tv&presence=online")
    total = int(page.locator(".rl-seg[aria-current]").get_by_text(re.compile(r"^\d+$")).inner_text())
    assert total > 50
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name=f"Choose all {total} that match").click()
    expect(page.locator("[data-slot=chosen]")).to_contain_text(f"{total} chosen")
    page.get_by_role("button", name="Sync now").click()
    assert told(stack, "sync_now") == set()
    keep(page, "confirm-en")
    assert axe_faults(page) == []
    page.get_by_role("dialog").get_by_role("button", name=re.compile(str(total))).click()
    expect(page.locator("[data-slot=progress]")).to_contain_text(f"of {total} ended")
    assert len(told(stack, "sync_now")) == total
    with transaction(stack.town.engine, read_only=True) as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "command.bulk").order_by(AuditEntry.id.desc())
        ).first()
    assert entry is not None
    assert entry.detail["matching"] == {"presence": "online", "kind": "tv"}


def test_what_is_chosen_stays_chosen_over_pages_and_orders(operator: Visitor) -> None:
    page = operator.go("/terminals?sort=id")
    first = ids(page)[0]
    page.get_by_label(f"Choose {first}", exact=True).check()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("[data-slot=chosen]")).to_contain_text("51–100 of")
    assert first not in ids(page)
    page.get_by_label(f"Choose {ids(page)[0]}", exact=True).check()
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_label(f"Choose {first}", exact=True)).to_be_checked()
    expect(page.locator("[data-slot=chosen]")).to_contain_text("2 chosen")
    page.get_by_role("button", name="Choose none").click()
    expect(page.get_by_label(f"Choose {first}", exact=True)).not_to_be_checked()


def test_filters_stand_in_the_address_and_the_way_back_leads_through_them(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals")
    page.get_by_label("Kind", exact=True).select_option("kiosk")
    expect(page).to_have_url(f"{stack.url}/terminals?kind=kiosk")
    page.get_by_role("link", name="With alarms").click()
    expect(page).to_have_url(f"{stack.url}/terminals?kind=kiosk&alarm=yes")
    found = ids(page)
    assert found
    assert all(each.startswith("kiosk-") for each in found)
    page.get_by_role("link", name="Terminal", exact=True).click()
    expect(page.get_by_role("columnheader", name="Terminal")).to_have_attribute("aria-sort", "ascending")
    assert ids(page) == sorted(found)
    page.go_back()
    expect(page.get_by_role("columnheader", name="Alarm")).to_have_attribute("aria-sort", "ascending")
    page.go_back()
    expect(page.get_by_role("link", name="With alarms")).not_to_have_attribute("aria-current", "true")
    other = operator.another("/terminals?kind=kiosk&alarm=yes&sort=id")
    assert ids(other) == sorted(found)


def test_the_list_keeps_still_while_the_pointer_is_in_it(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?sort=since&presence=online&down=yes")
    before = ids(page)
    page.locator(ROWS).first.hover()
    with transaction(stack.town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == before[0]).values(presence="offline"))
    expect(page.locator("section.rl-panel header").filter(has_text="Kept still")).to_be_visible(timeout=20_000)
    assert ids(page) == before
    page.mouse.move(5, 5)
    expect(page.locator(ROWS).first).not_to_contain_text(before[0])
    with transaction(stack.town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == before[0]).values(presence="online"))


def test_keys_alone_choose_sort_and_turn_pages(operator: Visitor) -> None:
    page = operator.go("/terminals?sort=id")
    second = ids(page)[1]
    page.get_by_label(f"Choose {ids(page)[0]}", exact=True).focus()
    page.keyboard.press("Space")
    expect(page.locator("[data-slot=chosen]")).to_contain_text("1 chosen")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == second
    head = page.get_by_role("link", name="Room", exact=True)
    head.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Room")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("link", name="Room", exact=True)).to_be_focused()
    page.get_by_role("link", name="Next").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-slot=chosen]")).to_contain_text("51–100 of")
    expect(page.get_by_role("link", name="Next")).to_be_focused()


def test_a_view_is_kept_chosen_changed_and_deleted(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?kind=kiosk&flapping=yes")
    page.get_by_role("button", name="Save view…").click()
    page.get_by_label("Name").fill("Morning round")
    page.get_by_label("Share it with everybody of the branch").check()
    keep(page, "save-en")
    assert axe_faults(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_label("View", exact=True).locator("option:checked")).to_have_text("Morning round")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("[data-slot=views]")).to_contain_text("changed since")
    page.get_by_label("View", exact=True).select_option(label="Morning round")
    expect(page.get_by_role("link", name="Flapping")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Change view…").click()
    page.get_by_label("Name").fill("Evening round")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_label("View", exact=True).locator("option:checked")).to_have_text("Evening round")
    page.get_by_role("button", name="Delete view").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete view").click()
    expect(page.get_by_label("View", exact=True).locator("option:checked")).to_have_text("Not saved")
    with transaction(stack.town.engine, read_only=True) as session:
        assert session.scalars(select(SavedView)).all() == []


def test_a_window_covers_the_chosen(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?sort=id&presence=online")
    chosen = ids(page)[:2]
    for each in chosen:
        page.get_by_label(f"Choose {each}", exact=True).check()
    page.get_by_role("button", name="Maintenance window…").click()
    page.get_by_label("Reason").fill("new carpet")
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page).to_have_url(f"{stack.url}/maintenance-windows")
    with transaction(stack.town.engine, read_only=True) as session:
        assert set(session.scalars(select(MaintenanceWindow.terminal_id))) == set(chosen)


def test_the_chosen_are_exported_as_an_import_takes_them(operator: Visitor) -> None:
    page = operator.go("/terminals?sort=id&presence=online")
    chosen = ids(page)[:2]
    for each in chosen:
        page.get_by_label(f"Choose {each}", exact=True).check()
    with page.expect_download() as download:
        page.locator("[data-slot=chosen]").get_by_role("button", name="Export CSV").click()
    rows = download.value.path().read_text("utf-8-sig").splitlines()
    assert [row.partition(",")[0] for row in rows] == ["id", *chosen]


def test_all_that_match_are_exported_however_many_they_are(stack: Stack, operator: Visitor) -> None:
    page = operator.go("/terminals?kind=tv&presence=online")
    with transaction(stack.town.engine, read_only=True) as session:
        matching = listing.ids(
            session, EVERYWHERE, read({"kind": "tv", "presence": "online"}), datetime.now(UTC), 1_000
        )
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name=f"Choose all {len(matching)} that match").click()
    with page.expect_download() as download:
        page.locator("[data-slot=chosen]").get_by_role("button", name="Export CSV").click()
    rows = download.value.path().read_text("utf-8-sig").splitlines()
    assert [row.partition(",")[0] for row in rows] == ["id", *matching]
    assert "/api/v1/terminals/export?" in download.value.url  # which streams


def test_a_viewer_chooses_nothing(stack: Stack, many: Many, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go("/terminals")
        expect(page.locator(ROWS).first).to_be_visible()
        expect(page.locator("[data-pick]")).to_have_count(0)
        expect(page.get_by_role("link", name="Export CSV")).to_have_count(0)
        page.get_by_role("button", name="Save view…").click()
        expect(page.get_by_label("Share it with everybody of the branch")).to_have_count(0)


def test_the_map_leads_down_the_tree_and_to_the_list(stack: Stack, many: Many, operator: Visitor) -> None:
    page = operator.go("/terminals/map")
    page.get_by_role("link", name="Sample Community 0", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sample Community 0")
    bar = page.locator(".rl-map > li").filter(has=page.get_by_text("Sample Community 3", exact=True))
    said = bar.get_by_role("link", name=re.compile("terminals$")).inner_text()
    bar.get_by_role("link", name=re.compile("terminals$")).click()
    expect(page).to_have_url(re.compile(f"organisation={many.organisations[3]}"))
    expect(page.locator("[data-slot=chosen]")).to_contain_text(f"of {said.split()[0]}")


def test_open_alarms_stand_in_the_overview_severest_first(stack: Stack, many: Many, operator: Visitor) -> None:
    page = operator.go("/")
    attention = page.locator("[data-slot=attention]")
    expect(attention.locator("li").first).to_contain_text("Terminal offline")
    expect(attention.locator("li").first).to_contain_text("Critical. Check power and network.")
    expect(attention).to_contain_text(
        "kiosk-210-a: its stream forked"
    )  # of which no alarm tells, as of that of another
    expect(attention).not_to_contain_text("kiosk-107-00: its stream forked")
    keep(page, "overview-en")
    assert axe_faults(page) == []
    attention.locator("li").first.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/alarms/alm_"))


def test_a_flapping_link_is_told_in_the_list(many: Many, operator: Visitor) -> None:
    page = operator.go("/terminals?flapping=yes")
    expect(page.locator(ROWS).first).to_contain_text("Flapping")
    assert many.terminals[0] in ids(page)


def test_long_names_break_nothing(stack: Stack, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_stack(tmp_path_factory.mktemp("long")) as other:
        settle_many(
            other.town.engine,
            datetime.now(UTC) - timedelta(seconds=1),
            terminals=90,
            rooms=9,
            organisations=4,
            long=True,
        )
        for language, theme, width in (("en", "light", 1440), ("zh", "dark", 390)):
            with visiting(browser, other.url, language=language, theme=theme, width=width) as visitor:
                for name, path in (("long-list", "/terminals"), ("long-map", "/terminals/map")):
                    page = visitor.go(path)
                    page.wait_for_load_state("networkidle")
                    keep(page, f"{name}-{language}-{theme}-{width}")
                    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("number", "language", "theme", "width"), [(3, "en", "light", 1440), (29, "zh", "dark", 390)])
def test_an_account_of_a_branch_sees_its_own(
    stack: Stack, many: Many, browser: Browser, number: int, language: str, theme: str, width: int
) -> None:
    name, branch = f"branch-{number}", many.organisations[number]
    with transaction(stack.town.engine) as session:
        change = Change("test", datetime.now(UTC))
        accounts.create_account(session, change, EVERYWHERE, name, PASSWORD, Role.OPERATOR, branch)
        below = Scope(many.paths[number])
        expected = len(listing.ids(session, below, Wanted(), datetime.now(UTC), 1_000))
    with visiting(browser, stack.url, name=name, language=language, theme=theme, width=width) as visitor:
        page = visitor.go("/terminals")
        expect(page.locator("[data-slot=chosen]")).to_contain_text(str(expected))
        assert page.locator("[data-slot=tree] tr").count() == (6 if number == 3 else 0)
        keep(page, f"branch-{number}")
        page = visitor.go(f"/terminals?organisation={many.organisations[0]}")
        expect(page.locator("[data-slot=named]").get_by_role("status")).to_be_visible()
        expect(page.locator("[data-slot=chosen]")).to_contain_text(str(expected))
        keep(page, f"branch-gone-{number}")
        page = visitor.go("/terminals/map")
        page.wait_for_load_state("networkidle")
        keep(page, f"branch-map-{number}")
        assert axe_faults(page) == []


def test_where_there_is_no_terminal_it_is_said_so(stack: Stack, many: Many, browser: Browser) -> None:
    with transaction(stack.town.engine) as session:
        change = Change("test", datetime.now(UTC))
        empty = organisations.create(
            session, change, EVERYWHERE, OrganisationForm(name="空样例", name_en="Empty Sample")
        ).id
        accounts.create_account(session, change, EVERYWHERE, "nobody", PASSWORD, Role.OPERATOR, empty)
    with visiting(browser, stack.url, name="nobody") as visitor:
        page = visitor.go("/terminals")
        expect(page.locator("[data-slot=list]")).to_contain_text("No terminals yet")
        keep(page, "none-en")
        assert axe_faults(page) == []
        page = visitor.go("/terminals?search=nothing-is-called-so")
        expect(page.locator("[data-slot=list]")).to_contain_text("Nothing found")
        page = visitor.go("/terminals/map")
        expect(page.locator("[data-slot=map]")).to_contain_text("No terminal stands in a room yet")
