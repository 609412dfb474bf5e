"""The list of terminals on both databases: every filter, every order, and paging that gives each terminal once."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from cloud.alarms import open_alarms
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Invalid, NotFound
from cloud.organisations import tree
from cloud.paging import Paging
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import export, fleet, history, listing
from cloud.terminals.listing import OUT, Line, Page
from cloud.terminals.service import Kind
from cloud.terminals.versions import order_of, version_of
from cloud.terminals.wanted import Presence, Service, Sort, Wanted
from tests.ledgers import migrated
from tests.many_terminals import ALARM_EVERY, FLAPPING_EVERY, OUT_EVERY, SEVERITIES, Many, is_placed, settle_many
from tests.servers import PostgresServer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SIZE = 300


@dataclass(frozen=True)
class Ledger:
    """An engine with many terminals in it."""

    engine: Engine
    many: Many

    def page(self, wanted: Wanted, cursor: str | None = None, limit: int = 200, scope: Scope = EVERYWHERE) -> Page:
        """One page of the list."""
        with transaction(self.engine, read_only=True) as session:
            return listing.page(session, scope, wanted, Paging(limit, cursor), NOW)

    def walk(self, wanted: Wanted, limit: int, scope: Scope = EVERYWHERE) -> list[Page]:
        """Every page, from the first to the last."""
        pages = [self.page(wanted, None, limit, scope)]
        while (cursor := pages[-1].next) is not None:
            pages.append(self.page(wanted, cursor, limit, scope))
        return pages

    def ids(self, wanted: Wanted, scope: Scope = EVERYWHERE) -> list[str]:
        """All that match, as paging gives them."""
        return [line.id for page in self.walk(wanted, 200, scope) for line in page.lines]


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    if request.param == "sqlite":
        engine = migrated(f"sqlite:///{tmp_path_factory.mktemp('fleet')}/ledger.db")
        yield Ledger(engine, settle_many(engine, NOW, terminals=SIZE, rooms=23, organisations=7))
        engine.dispose()
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create_database()
    engine = migrated(url)
    yield Ledger(engine, settle_many(engine, NOW, terminals=SIZE, rooms=23, organisations=7))
    engine.dispose()
    postgres.drop_database(url.rpartition("/")[2])


KEYS: dict[Sort, Callable[[Line], Any]] = {
    Sort.ID: lambda line: line.id,
    Sort.ALARM: lambda line: min((SEVERITIES.index(each.severity) for each in line.alarms), default=9),
    Sort.ROOM: lambda line: line.room[0],
    Sort.SINCE: lambda line: to_us(line.presence_at) if line.presence_at else 0,
    Sort.HEARD: lambda line: to_us(line.heard_at) if line.heard_at else 0,
    Sort.WAITING: lambda line: line.stored[1] if line.stored else -1,
    Sort.VERSION: lambda line: order_of(line.version),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(Sort), descending=st.booleans(), limit=st.integers(1, 120), alarm=st.booleans(),
    kind=st.sampled_from([None, *Kind]), service=st.sampled_from([None, Service.IN, Service.OUT]),
)  # fmt: skip
def test_paging_through_any_order_gives_every_terminal_once(
    ledger: Ledger, sort: Sort, descending: bool, limit: int, alarm: bool, kind: Kind | None, service: Service | None
) -> None:
    wanted = Wanted(sort=sort, descending=descending, alarm=alarm, kind=kind, service=service)
    with transaction(ledger.engine, read_only=True) as session:
        expected = listing.ids(session, EVERYWHERE, wanted, NOW, SIZE)
    pages = ledger.walk(wanted, max(limit, 12) if not (alarm or service) else limit)
    lines = [line for page in pages for line in page.lines]
    assert sorted(line.id for line in lines) == sorted(expected)
    keys = [KEYS[sort](line) for line in lines]
    assert keys == sorted(keys, reverse=descending)
    assert [page.first for page in pages if page.lines] == [
        1 + sum(len(before.lines) for before in pages[:number]) for number in range(len(pages)) if pages[number].lines
    ]
    assert {page.total for page in pages} == {len(expected)}


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("descending", [False, True])
def test_the_way_back_gives_the_same_pages(ledger: Ledger, sort: Sort, descending: bool) -> None:
    wanted = Wanted(sort=sort, descending=descending)
    there = ledger.walk(wanted, 70)
    back = [there[-1]]
    while (cursor := back[-1].previous) is not None:
        back.append(ledger.page(wanted, cursor, 70))
    assert [[line.id for line in page.lines] for page in reversed(back)] == [
        [line.id for line in page.lines] for page in there
    ]


def test_a_terminal_that_comes_meanwhile_shifts_nothing(ledger: Ledger) -> None:
    wanted = Wanted(sort=Sort.ID)
    first = ledger.page(wanted, None, 50)
    with transaction(ledger.engine) as session:
        session.execute(text(
            "INSERT INTO terminals (id, kind, profile, password_hash, mqtt_password_hash, enabled, settings, created_at, "
            "version) SELECT 'aaa-first', kind, profile, '', '', enabled, settings, created_at, 1 FROM terminals WHERE id = :id"
        ), {"id": ledger.many.terminals[0]})  # fmt: skip
    second = ledger.page(wanted, first.next, 50)
    assert second.first == 52
    assert not {line.id for line in first.lines} & {line.id for line in second.lines}
    with transaction(ledger.engine) as session:
        session.execute(text("DELETE FROM terminals WHERE id = 'aaa-first'"))


def numbers(ledger: Ledger, ids: list[str]) -> set[int]:
    place = {name: number for number, name in enumerate(ledger.many.terminals)}
    return {place[each] for each in ids}


def test_each_filter_gives_just_those_that_are_so(ledger: Ledger) -> None:
    everything = set(range(SIZE))
    out = {number for number in everything if number % OUT_EVERY == OUT_EVERY - 1}
    room = ledger.many.rooms[5]
    cases: list[tuple[Wanted, set[int]]] = [
        (Wanted(service=Service.OUT), out),
        (Wanted(service=Service.IN), everything - out),
        (Wanted(kind=Kind.TV), {number for number in everything if number % 3 == 2}),
        (Wanted(profile="kiosk"), {number for number in everything if number % 3 != 2}),
        (Wanted(alarm=True), {number for number in everything if number % ALARM_EVERY == 0}),
        (Wanted(flapping=True), {number for number in everything if number % FLAPPING_EVERY == 0}),
        (Wanted(room_id=room), {number for number in everything if number % 23 == 5 and is_placed(number)}),
        (Wanted(search="105"), {number for number in everything if number % 23 == 5}),
    ]
    for wanted, expected in cases:
        assert numbers(ledger, ledger.ids(wanted)) == expected, wanted


def test_filters_and_search_are_taken_together(ledger: Ledger) -> None:
    both = Wanted(kind=Kind.KIOSK, alarm=True, presence=Presence.ONLINE, service=Service.IN, search="kiosk-1")
    each = [set(ledger.ids(Wanted(**{name: value}))) for name, value in both.said().items()]
    assert set(ledger.ids(both)) == set.intersection(*each)


def test_states_are_counted_for_what_is_filtered_by_and_add_up_to_the_list(ledger: Ledger) -> None:
    wanted = Wanted(kind=Kind.KIOSK, presence=Presence.OFFLINE, service=Service.IN)
    with transaction(ledger.engine, read_only=True) as session:
        counts = listing.counts(session, EVERYWHERE, wanted, NOW)
    assert counts["offline"] == ledger.page(wanted).total == len(ledger.ids(wanted))
    assert counts[OUT] == ledger.page(Wanted(kind=Kind.KIOSK, service=Service.OUT)).total
    for asked in (
        Wanted(presence=Presence.OFFLINE),
        Wanted(presence=Presence.OFFLINE, service=Service.OUT),
        Wanted(search="1"),
    ):
        assert ledger.page(asked).total == len(ledger.ids(asked))
    assert sum(counts.values()) == ledger.page(Wanted(kind=Kind.KIOSK)).total


def test_versions_sort_as_numbers_do(ledger: Ledger) -> None:
    lines = [line for page in ledger.walk(Wanted(sort=Sort.VERSION), 200) for line in page.lines if line.version]
    assert list(dict.fromkeys(line.version for line in lines)) == ["1.4.2", "1.9.3", "1.10.0"]
    assert version_of({"versions": {"agent": "2.0"}}) == "2.0"
    assert version_of({"versions": {"firmware": "7"}}) == "7"
    assert version_of(None) == version_of({}) == ""


def test_the_severest_alarm_comes_first_and_all_of_them_are_told(ledger: Ledger) -> None:
    first = ledger.page(Wanted(), None, 50).lines[0]
    assert first.alarms[0].severity == "critical"
    two = [line for line in ledger.page(Wanted(alarm=True)).lines if len(line.alarms) == 2]
    assert two
    assert all([each.severity for each in line.alarms] == sorted((each.severity for each in line.alarms), key=SEVERITIES.index)
               for line in two)  # fmt: skip


def test_a_link_that_was_quiet_for_an_hour_flaps_no_more(ledger: Ledger) -> None:
    with transaction(ledger.engine, read_only=True) as session:
        later = listing.page(session, EVERYWHERE, Wanted(flapping=True), Paging(), NOW + timedelta(hours=1))
    assert later.lines == []


def test_a_branch_sees_its_own_and_counts_its_own(ledger: Ledger) -> None:
    many = ledger.many
    scope = Scope(many.paths[1])
    inside = {number for number in range(SIZE) if many.organisation_of(number) == 1}
    assert numbers(ledger, ledger.ids(Wanted(), scope)) == inside
    assert ledger.page(Wanted(), scope=scope).total == len(inside)
    with transaction(ledger.engine, read_only=True) as session:
        assert sum(listing.counts(session, scope, Wanted(), NOW).values()) == len(inside)
        with pytest.raises(NotFound):
            listing.page(session, scope, Wanted(organisation_id=many.organisations[0]), Paging(), NOW)
        with pytest.raises(NotFound):
            listing.ids(session, scope, Wanted(organisation_id=many.organisations[2]), NOW, 10)
        assert listing.in_service(session, scope, many.terminals) == [
            name
            for number, name in enumerate(many.terminals)
            if number in inside and number % OUT_EVERY != OUT_EVERY - 1
        ]
        foreign = [each for each in open_alarms.first(session, scope, NOW, 99) if each.place[0] not in
                   {many.terminals[number] for number in inside}]  # fmt: skip
        assert foreign == []


def test_a_place_that_is_unknown_or_outside_the_scope_is_not_asked_for(ledger: Ledger) -> None:
    many = ledger.many
    there = Wanted(organisation_id=many.organisations[3], room_id=many.rooms[0], kind=Kind.TV)
    gone = Wanted(organisation_id="org_00000000000000ff", room_id="rm_00000000000000ff", kind=Kind.TV)
    elsewhere = Scope("/org_00000000000000ff/")
    with transaction(ledger.engine, read_only=True) as session:
        assert listing.in_known_places(session, EVERYWHERE, there) == there
        assert listing.in_known_places(session, EVERYWHERE, gone) == Wanted(kind=Kind.TV)
        assert listing.in_known_places(session, elsewhere, there) == Wanted(kind=Kind.TV)


def test_a_branch_of_the_map_holds_what_is_below_it(ledger: Ledger) -> None:
    with transaction(ledger.engine, read_only=True) as session:
        branches = tree.branches(session, EVERYWHERE)
        counts = fleet.by_branch(session, EVERYWHERE, branches)
    placed = [number for number in range(SIZE) if is_placed(number) and number % OUT_EVERY != OUT_EVERY - 1]
    assert sum(counts[ledger.many.organisations[0]].values()) == len(placed)
    assert sum(counts[ledger.many.organisations[3]].values()) == sum(
        ledger.many.organisation_of(n) == 3 for n in placed
    )


def test_a_cursor_of_another_order_is_refused(ledger: Ledger) -> None:
    cursor = ledger.page(Wanted(sort=Sort.ID), None, 10).next
    for wanted in (Wanted(sort=Sort.ROOM), Wanted(sort=Sort.ID, descending=True), Wanted(sort=Sort.HEARD)):
        with pytest.raises(Invalid):
            ledger.page(wanted, cursor)


def test_an_export_holds_what_matches_by_id(ledger: Ledger) -> None:
    with transaction(ledger.engine, read_only=True) as session:
        expected = listing.ids(session, EVERYWHERE, Wanted(kind=Kind.TV, alarm=True), NOW, SIZE)
        named = [row[0] for row in export.rows_of(session, Scope(ledger.many.paths[1]), ledger.many.terminals[::-1])]
    rows = export.rows(
        lambda: transaction(ledger.engine, read_only=True), EVERYWHERE, Wanted(kind=Kind.TV, alarm=True), NOW
    )
    assert [row[0] for row in rows] == expected
    assert named == [each for each in ledger.many.terminals[::-1] if each in named]
    assert numbers(ledger, named) == {number for number in range(SIZE) if ledger.many.organisation_of(number) == 1}


def plans(engine: Engine, ask: Callable[[Session], object]) -> list[str]:
    """How SQLite goes about each statement that is asked, in its own words."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        asked.append((statement, parameters))

    with transaction(engine, read_only=True) as session:
        event.listen(engine, "before_cursor_execute", note)
        try:
            ask(session)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        connection = session.connection()
        return [
            " / ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
            for statement, parameters in asked
            if statement.lstrip().upper().startswith("SELECT")
        ]


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_counts_order_and_flapping_are_read_from_indices_and_not_from_the_rows(ledger: Ledger) -> None:
    """PostgreSQL reads a table of this size as a whole, whatever indices it has."""
    counted = plans(ledger.engine, lambda session: listing.counts(session, EVERYWHERE, Wanted(), NOW))
    assert [each for each in counted if "USING COVERING INDEX ix_terminals_standing" not in each] == []
    (versions,) = plans(ledger.engine, lambda session: listing.versions(session, EVERYWHERE))
    assert "USING COVERING INDEX ix_terminals_versions" in versions
    (flapping,) = plans(ledger.engine, lambda session: session.scalars(history.flapping(NOW)).all())
    assert "USING INDEX ix_presence_changes_flapping" in flapping
    for sort in (Sort.ID, Sort.ALARM, Sort.VERSION):
        shown = plans(ledger.engine, partial(first_page, Wanted(sort=sort)))
        assert not [each for each in shown[:1] if re.search(r"SCAN terminals(?! USING)", each)], sort


def first_page(wanted: Wanted, session: Session) -> Page:
    return listing.page(session, EVERYWHERE, wanted, Paging(), NOW)
