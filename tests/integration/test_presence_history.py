"""The history of presence and marks in the ledger: written with the terminal's row, bounded, few statements for many."""

import json
import uuid
from typing import Any

import pytest

from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.ingest import presence_log, standings, state
from cloud.ingest.state import StateBoard, StateMessage
from cloud.terminals.presence_changes import FLAPPING
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import encode
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import kiosk_of, presence
from tests.servers import MosquittoServer, wait_until
from tests.town import Town

STREAM = str(uuid.uuid4())
SECOND_US = 1_000_000


def birth(connection: int, at: int, *, boot: str = STREAM, terminal: str = "kiosk-1") -> StateMessage:
    told = Birth(incarnation=STREAM, connection=connection, boot=boot, profile="kiosk", versions={"agent": "1"})
    return StateMessage(terminal, encode(told), at, retained=False)


def death(connection: int, at: int) -> StateMessage:
    return StateMessage("kiosk-1", encode(Death(incarnation=STREAM, connection=connection)), at, retained=False)


def hear(town: Town, *messages: StateMessage) -> None:
    board = StateBoard()
    for each in messages:
        board.hear_state(each)
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())


def lines(town: Town, terminal: str = "kiosk-1") -> list[tuple[Any, ...]]:
    asked = ("SELECT number, presence, cause, connection, began_at, at, times, flapping FROM presence_changes "
             "WHERE terminal_id = ? ORDER BY number")  # fmt: skip
    with transaction(town.engine, read_only=True) as session:
        return [(*row[:7], bool(row[7])) for row in Bulk.of(session).rows(asked, (terminal,))]


def test_each_change_is_a_line_also_where_a_connection_comes_and_goes_within_one_turn(town: Town) -> None:
    hear(town, birth(1, 100), death(1, 200), birth(2, 300))
    assert lines(town) == [
        (1, "online", "birth", 1, 100, 100, 1, False),
        (2, "offline", "lost", 1, 200, 200, 1, False),
        (3, "online", "birth", 2, 300, 300, 1, False),
    ]


def test_link_that_comes_and_goes_is_one_line_over_many_turns(town: Town) -> None:
    for turn in range(20):
        hear(town, birth(turn + 1, (2 * turn + 1) * SECOND_US), death(turn + 1, (2 * turn + 2) * SECOND_US))
    found = lines(town)
    assert [line[0] for line in found] == list(range(1, FLAPPING + 2))
    assert found[-1] == (
        FLAPPING + 1, "offline", "lost", 20, (FLAPPING + 1) * SECOND_US, 40 * SECOND_US, 40 - FLAPPING, True,
    )  # fmt: skip


def test_only_the_newest_lines_are_kept(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_log, "KEPT", 3)
    for turn in range(6):
        hear(town, birth(turn + 1, turn * 3_600 * SECOND_US))
    assert [line[0] for line in lines(town)] == [4, 5, 6]


def test_cloud_that_was_away_and_silence_are_in_the_history(town: Town) -> None:
    hear(town, birth(1, SECOND_US), birth(1, SECOND_US, terminal="kiosk-2"))
    with transaction(town.engine) as session:
        assert standings.suspect_all(Bulk.of(session), 2 * SECOND_US) == 2
    board = StateBoard()
    board.hear_live("kiosk-1", 5 * SECOND_US)
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())
        standings.suspect_silent(Bulk.of(session), 900 * SECOND_US)
    assert [line[1:3] + line[6:7] for line in lines(town)] == [
        ("online", "birth", 1), ("online", "broker", 2), ("suspect", "silent", 1),
    ]  # fmt: skip
    assert [line[1:3] for line in lines(town, "kiosk-2")] == [("online", "birth"), ("suspect", "broker")]


def test_mark_is_in_the_history_each_time_that_it_is_set(town: Town) -> None:
    other = str(uuid.uuid4())
    hear(town, birth(5, 100), birth(5, 200, boot=other), birth(4, 300))
    with transaction(town.engine) as session:
        bulk = Bulk.of(session)
        bulk.run("UPDATE terminals SET marks = '[]'")
    hear(town, birth(3, 400))
    with transaction(town.engine, read_only=True) as session:
        found = Bulk.of(session).rows("SELECT terminal_id, at, mark FROM marks_set ORDER BY at")
        ((marks,),) = Bulk.of(session).rows("SELECT marks FROM terminals WHERE id = 'kiosk-1'")
    assert found == [("kiosk-1", 300, "two_devices"), ("kiosk-1", 400, "two_devices")]
    assert json.loads(marks) == ["two_devices"]


def test_strangers_have_no_history(town: Town) -> None:
    hear(town, birth(1, 100, terminal="stranger"))
    assert lines(town, "stranger") == []


def test_history_of_a_real_connection(start: Start, town_broker: MosquittoServer, town: Town) -> None:
    start()
    kiosk = kiosk_of(town_broker, town, will=True)
    kiosk.born()
    assert wait_until(lambda: presence(town) == "online")
    kiosk.client.cut()
    assert wait_until(lambda: presence(town) == "offline")
    assert [line[1:4] for line in lines(town)] == [("online", "birth", 1), ("offline", "lost", 1)]
