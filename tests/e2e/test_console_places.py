"""Places that the list of terminals is filtered by, in a browser: gone, deleted meanwhile, behind those that are offered."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import delete, select, update

from cloud.accounts import service as accounts
from cloud.accounts.service import Principal, Role
from cloud.audit.service import Change
from cloud.database import transaction
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationForm
from cloud.paging import MAX_LIMIT
from cloud.rooms import service as rooms
from cloud.rooms.models import Room
from cloud.scope import EVERYWHERE
from cloud.terminals import views
from cloud.terminals.models import SavedView, Terminal
from cloud.terminals.views import SavedViewForm
from cloud.terminals.wanted import Sort, Wanted
from tests.e2e.console_stack import Stack, Visitor, running_stack, visiting

ROWS = "[data-slot=list] tbody tr"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("places")) as stack:
        yield stack


@pytest.fixture
def operator(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, stack.url) as visitor:
        yield visitor
        assert visitor.complaints == []


def ids(page: Page) -> list[str]:
    """The terminals of the rows, in order."""
    return page.locator(f"{ROWS} a.rl-id").all_inner_texts()


def test_a_view_of_an_organisation_that_is_gone_shows_the_list_without_it_and_goes_on_living(
    stack: Stack, operator: Visitor
) -> None:
    change = Change("test", datetime.now(UTC))
    with transaction(stack.town.engine) as session:
        gone = organisations.create(session, change, EVERYWHERE, OrganisationForm(name="暂设样例")).id
        by = accounts.account_named(session, "operator")
        view = SavedViewForm(name="Gone", wanted=Wanted(organisation_id=gone, sort=Sort.ID))
        views.create(session, change, Principal(by.id, by.name, Role(by.role)), view)
    page = operator.go("/terminals?kind=tv")
    with transaction(stack.town.engine) as session:
        organisations.delete(session, change, EVERYWHERE, gone, 1)
    page.get_by_label("View", exact=True).select_option(label="Gone")
    expect(page.locator("[data-slot=named]").get_by_role("status")).to_contain_text("is not there")
    expect(page).not_to_have_url(re.compile("organisation="))
    first = ids(page)[0]
    with transaction(stack.town.engine) as session:
        was = session.scalars(select(Terminal.presence).where(Terminal.id == first)).one()
        session.execute(update(Terminal).where(Terminal.id == first).values(presence="asleep"))
    expect(page.locator(ROWS).first).to_contain_text("Asleep", timeout=20_000)
    expect(page.get_by_label("View", exact=True).locator("option:checked")).to_have_text("Gone")
    with transaction(stack.town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == first).values(presence=was))
        session.execute(delete(SavedView))


def test_a_list_whose_organisation_is_deleted_meanwhile_is_shown_without_it(stack: Stack, operator: Visitor) -> None:
    change = Change("test", datetime.now(UTC))
    with transaction(stack.town.engine) as session:
        gone = organisations.create(session, change, EVERYWHERE, OrganisationForm(name="暂设样例")).id
    page = operator.go(f"/terminals?organisation={gone}")
    expect(page.locator("[data-slot=list]")).to_contain_text("Nothing found")
    with transaction(stack.town.engine) as session:
        organisations.delete(session, change, EVERYWHERE, gone, 1)
        session.execute(update(Terminal).where(Terminal.id == "kiosk-302-a").values(presence="suspect"))
    expect(page.locator("[data-slot=named]").get_by_role("status")).to_contain_text("is not there", timeout=20_000)
    expect(page.locator(ROWS).first).to_be_visible()
    with transaction(stack.town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == "kiosk-302-a").values(presence="online"))


def test_more_filters_keep_a_room_that_stands_behind_those_that_are_offered(stack: Stack, operator: Visitor) -> None:
    room, kiosk = stack.town.rooms[0], "kiosk-302-a"
    with transaction(stack.town.engine) as session:
        there = rooms.get(session, EVERYWHERE, room)
        session.add_all([
            Room(id=f"rm_{number:016x}", organisation_id=there.organisation_id, number=f"0{number}", name="示例室",
                 name_en="", created_at=there.created_at, version=1)
            for number in range(MAX_LIMIT)
        ])  # fmt: skip
    page = operator.go(f"/terminals?room={room}")
    found = ids(page)
    assert kiosk in found
    page.get_by_role("button", name="More filters…").click()
    expect(page.get_by_role("dialog").get_by_label("Room").locator("option:checked")).to_contain_text("302")
    page.get_by_role("dialog").get_by_role("button", name="Show these").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"room={room}"))
    assert ids(page) == found
    page = operator.go(f"/terminals/{kiosk}")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("dialog").get_by_label("Room").locator("option:checked")).to_contain_text("302")
    with transaction(stack.town.engine) as session:
        session.execute(delete(Room).where(Room.name == "示例室"))
