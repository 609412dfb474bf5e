"""Which terminals are told unasked how far they are stored: those whose birth was seen, and nothing heard after it."""

import json
import uuid

import pytest

from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.ingest import state
from cloud.ingest.state import StateBoard, StateMessage
from cloud.terminals.models import Terminal
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import encode
from tests.town import Town

STREAM, OTHER = str(uuid.uuid4()), str(uuid.uuid4())


def birth(
    at: int, *, connection: int = 1, stream: str = STREAM, retained: bool = False, who: str = "kiosk-1"
) -> StateMessage:
    told = Birth(incarnation=stream, connection=connection, boot=stream, profile="kiosk", versions={"agent": "1"})
    return StateMessage(who, encode(told), at, retained)


def death(at: int, *, connection: int = 1) -> StateMessage:
    return StateMessage("kiosk-1", encode(Death(incarnation=STREAM, connection=connection)), at, retained=False)


def waiting(town: Town, *messages: StateMessage, heard_at: int | None = None) -> dict[str, str]:
    board = StateBoard()
    for each in messages:
        board.hear_state(each)
    if heard_at is not None:
        board.hear_live("kiosk-1", heard_at)
    with transaction(town.engine) as session:
        return dict(state.write(Bulk.of(session), board.take()).waiting)


@pytest.mark.parametrize("retained", [False, True])
def test_terminal_whose_birth_was_seen_is_told_of_the_stream_that_it_named(town: Town, retained: bool) -> None:
    assert waiting(town, birth(100, retained=retained)) == {"kiosk-1": STREAM}


def test_terminal_that_was_heard_after_its_birth_is_answered_in_the_ordinary_way(town: Town) -> None:
    assert waiting(town, birth(100), heard_at=101) == {}


def test_terminal_that_was_heard_only_before_its_birth_may_wait_in_vain(town: Town) -> None:
    assert waiting(town, birth(100, retained=True), heard_at=99) == {"kiosk-1": STREAM}


def test_the_same_birth_is_answered_again_when_the_broker_hands_it_out_again(town: Town) -> None:
    waiting(town, birth(100))
    assert waiting(town, birth(200, retained=True)) == {"kiosk-1": STREAM}


def test_terminal_that_has_gone_is_told_nothing(town: Town) -> None:
    assert waiting(town, birth(100), death(101)) == {}


def test_retained_birth_of_an_older_connection_is_no_news(town: Town) -> None:
    waiting(town, birth(100, connection=5))
    assert waiting(town, birth(200, connection=4, retained=True)) == {}


def test_newest_stream_counts_and_strangers_do_not(town: Town) -> None:
    messages = [birth(100), birth(101, connection=2, stream=OTHER), birth(102, who="stranger")]
    assert waiting(town, *messages) == {"kiosk-1": OTHER}


def test_the_version_that_a_birth_says_stands_beside_it_to_be_looked_for(town: Town) -> None:
    told = Birth(incarnation=STREAM, connection=1, boot=STREAM, profile="kiosk", versions={"agent": "1.10.2"})
    waiting(town, StateMessage("kiosk-1", encode(told), 100, retained=False))
    with transaction(town.engine, read_only=True) as session:
        terminal = session.get_one(Terminal, "kiosk-1")
        assert (terminal.agent_version, terminal.agent_order) == ("1.10.2", "00000001.00000010.00000002")


def marks(town: Town, *messages: StateMessage) -> list[str]:
    board = StateBoard()
    for each in messages:
        board.hear_state(each)
    with transaction(town.engine) as session:
        bulk = Bulk.of(session)
        state.write(bulk, board.take())
        ((found,),) = bulk.rows("SELECT marks FROM terminals WHERE id = 'kiosk-1'")
    known: list[str] = json.loads(found)
    return known


def test_connections_that_count_backward_tell_of_two_devices_with_one_identity(town: Town) -> None:
    assert marks(town, birth(100, connection=4), birth(101, connection=5)) == []
    assert marks(town, birth(200, connection=3, retained=True)) == []
    assert marks(town, birth(300, connection=4)) == ["two_devices"]


def test_new_stream_begins_to_count_anew_and_tells_of_nothing(town: Town) -> None:
    assert marks(town, birth(100, connection=4), birth(101, connection=1, stream=OTHER)) == []
