"""What goes on beside the line, turn by turn: who may be called online, and links that came while somebody wrote."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from cloud.attendance import linking
from cloud.attendance.models import Attendance
from cloud.bulk import Bulk
from cloud.clock import from_us, utc_now
from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.ingest import standings
from cloud.ingest.commanding import CommandPush
from cloud.ingest.housekeeping import Housekeeping
from cloud.ingest.models import CheckIn
from cloud.ingest.state import StateBoard, StateMessage, Written
from cloud.ingest.twins import TwinPush
from cloud.terminals.models import Terminal
from firmware_specs.presence_messages import Birth
from firmware_specs.wire import encode
from tests.integration.mqtt_kiosk import presence
from tests.integration.town_line import count, ingest, pen, rows
from tests.pen import now_us
from tests.town import TERMINALS, Town, add_member, person

MINUTE_US = 60_000_000


class Clock:
    """A clock that is set, in microseconds."""

    def __init__(self) -> None:
        self.now_us = now_us()

    def __call__(self) -> Any:
        return from_us(self.now_us)


def housekeeping(town: Town, board: StateBoard | None = None, clock: Any = utc_now) -> Housekeeping:
    twins = TwinPush(town.engine, utc_now, lambda _terminal, _payload: True)
    return Housekeeping(
        town.engine,
        clock,
        board or StateBoard(),
        twins,
        CommandPush(town.engine, clock, lambda *_: True),
        lambda _terminal, _stream: None,
    )


def known(town: Town, **columns: Any) -> None:
    with transaction(town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == "kiosk-1").values(**columns))


def birth(connection: int, at: int) -> StateMessage:
    stream = "aaaaaaaa-0000-4000-8000-000000000000"
    told: Mapping[str, Any] = {"incarnation": stream, "connection": connection, "boot": stream, "profile": "kiosk"}
    return StateMessage("kiosk-1", encode(Birth(**told, versions={}, state="online")), at, retained=False)


@pytest.mark.parametrize("what", ["live", "birth"])
def test_what_was_heard_before_the_broker_was_lost_makes_nobody_online(town: Town, what: str) -> None:
    clock, board = Clock(), StateBoard()
    house = housekeeping(town, board, clock)
    house.turn()
    known(town, presence="online")
    if what == "live":
        board.hear_live("kiosk-1", clock.now_us)
    else:
        board.hear_state(birth(1, clock.now_us))
    clock.now_us += 1
    house.broker_lost()
    house.turn()
    assert presence(town) == "suspect"
    board.hear_live("kiosk-1", clock.now_us + 1)
    house.turn()
    assert presence(town) == "online"


def test_twins_that_are_owed_are_read_and_published_by_pages(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.ingest.twins.ANSWERED_AT_ONCE", 1)
    sent: list[str] = []
    away = [True]

    def publish(terminal: str, _payload: bytes) -> bool:
        if not away[0]:
            sent.append(terminal)
        return not away[0]

    push = TwinPush(town.engine, utc_now, publish)
    assert not push.answer(Written(frozenset(TERMINALS)))  # the broker takes nothing: later, and not at once again
    away[0] = False
    assert push.answer(Written())
    assert sent == ["kiosk-1"]
    assert not push.answer(Written())
    assert sent == ["kiosk-1", "kiosk-2"]
    assert not push.answer(Written())


def test_terminals_that_report_an_old_twin_are_answered_by_pages_too(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.ingest.twins.ANSWERED_AT_ONCE", 1)
    sent: list[str] = []

    def publish(terminal: str, _payload: bytes) -> bool:
        sent.append(terminal)
        return True

    push = TwinPush(town.engine, utc_now, publish)
    old = {terminal: (version[0], 0) for terminal, version in town.twins.items()}
    assert push.answer(Written(reported=old | {"kiosk-1": town.twins["kiosk-1"]}))
    assert sent == []
    assert not push.answer(Written())
    assert sent == ["kiosk-2"]


@pytest.mark.parametrize(("health_every_s", "after"), [(60.0, "suspect"), (3600.0, "online")])
def test_terminal_may_be_silent_as_long_as_its_samples_are_apart(town: Town, health_every_s: float, after: str) -> None:
    now = now_us()
    known(town, presence="online", settings={"health_every_s": health_every_s}, last_heard_at=from_us(now))

    def six_minutes_after(then: int) -> str:
        with transaction(town.engine) as session:
            standings.suspect_silent(Bulk.of(session), then + 6 * MINUTE_US)
        return presence(town)

    assert six_minutes_after(now) == after
    assert six_minutes_after(now + 120 * MINUTE_US) == "suspect"


def test_member_who_is_registered_while_the_check_in_is_stored_is_linked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    kiosk, house = pen(town), housekeeping(town)
    kiosk.check_in(person(9), town.occurrence)

    def link() -> None:
        """A whole pass and more."""
        for _ in range(4):
            house.turn()

    link()
    find_links = linking.find_links

    def register() -> None:
        with transaction(town.engine) as session:
            add_member(session, person(9), town.now)
            advance(session, Counts.ROSTER)
        link()

    def find_links_and_be_overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        links = find_links(*arguments)
        thread.start()
        if town.engine.dialect.name == "postgresql":
            thread.join()  # SQLite lets nobody else write meanwhile
        return links

    thread = threading.Thread(target=register)
    monkeypatch.setattr(linking, "find_links", find_links_and_be_overtaken)
    ingest(town, kiosk.delivery())
    thread.join()
    link()
    assert [(row.member_id, row.waits) for row in rows(town, CheckIn)] == [(person(9).member, 0)]
    assert count(town, Attendance) == 1
