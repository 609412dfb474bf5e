"""Commands between ledger and terminal: given once a birth, never past their deadline, moved by the terminal's own word."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import select, text, update

from cloud.audit.service import Change
from cloud.bulk import Bulk
from cloud.clock import Clock, utc_now
from cloud.commands import bulks, service
from cloud.commands.bulks import BulkForm
from cloud.commands.models import Command, CommandWordSaid
from cloud.commands.service import CommandForm, Name
from cloud.database import transaction
from cloud.ingest import standings, state
from cloud.ingest.commanding import WORD_MAY_TAKE_US, CommandPush
from cloud.ingest.line import Line
from cloud.ingest.rebuild import rebuild_ledger
from cloud.ingest.state import StateBoard, StateMessage
from cloud.scope import EVERYWHERE
from firmware_specs.messages import CommandState, CommandWord
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import decode_command, encode
from tests.integration.mqtt_kiosk import count, presence
from tests.pen import Pen, now_us
from tests.process import wait_until
from tests.town import TERMINALS, Town

T = TypeVar("T")


class Giver:
    """The part of housekeeping that gives commands, with what it published; `shift` moves its clock, `away` loses the broker."""

    def __init__(self, town: Town) -> None:
        self.town, self.shift, self.away = town, timedelta(0), False
        self.published: list[tuple[str, str, int]] = []
        clock: Clock = lambda: utc_now() + self.shift  # noqa: E731
        self.push = CommandPush(town.engine, clock, self._publish)

    def _publish(self, terminal: str, payload: bytes, expires_s: int) -> bool:
        if self.away:
            return False
        self.published.append((terminal, decode_command(payload).id, expires_s))
        return True

    def turn(self) -> list[tuple[str, str, int]]:
        """One turn; what it published."""
        self.published = []
        while self.push.turn():
            pass
        return self.published


def ask(town: Town, terminal: str = "kiosk-1", name: Name = Name.IDENTIFY, lasts_s: int = 600) -> str:
    with transaction(town.engine) as session:
        form = CommandForm(name=name, arguments={}, lasts_s=lasts_s)
        return service.ask(session, Change("operator", utc_now()), EVERYWHERE, terminal, form).id


def state_of(town: Town, command_id: str) -> str:
    with transaction(town.engine, read_only=True) as session:
        return session.scalars(select(Command.state).where(Command.id == command_id)).one()


def born(town: Town, pen: Pen, connection: int = 1) -> None:
    told = Birth(incarnation=pen.stream, connection=connection, boot=pen.boot, profile="kiosk", versions={"agent": "1"})
    hear(town, pen, encode(told))


def gone(town: Town, pen: Pen, connection: int = 1) -> None:
    hear(town, pen, encode(Death(incarnation=pen.stream, connection=connection)))


def hear(town: Town, pen: Pen, payload: bytes) -> None:
    board = StateBoard()
    board.hear_state(StateMessage(pen.terminal, payload, now_us(), retained=False))
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())


def say(town: Town, pen: Pen, command_id: str, word: CommandWord, **more: Any) -> None:
    number = pen.write(CommandState(**pen.stamp(), command=command_id, state=word, **more))
    result = Line(town.engine).ingest([pen.delivery(number)])
    assert json.loads(result.answers[0].payload)["through"] == number


def test_command_waits_for_its_terminal_and_is_given_once_a_birth(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    command_id = ask(town)
    assert giver.turn() == []
    assert state_of(town, command_id) == "queued"
    born(town, pen)
    ((terminal, given, expires_s),) = giver.turn()
    assert (terminal, given, state_of(town, command_id)) == ("kiosk-1", command_id, "sent")
    assert 590 <= expires_s <= 600
    assert giver.turn() == []
    born(town, pen, connection=2)
    assert [given for _, given, _ in giver.turn()] == [command_id]


def test_terminals_words_move_the_command_and_are_all_kept(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town, name=Name.SELF_TEST)
    giver.turn()
    for word in (CommandWord.ACCEPTED, CommandWord.RUNNING):
        say(town, pen, command_id, word)
        assert state_of(town, command_id) == word
    say(town, pen, command_id, CommandWord.DONE, results={"disk": "ok: 12 MB free"})
    with transaction(town.engine, read_only=True) as session:
        command = service.get(session, EVERYWHERE, command_id)
        assert (command.state, command.results) == ("done", {"disk": "ok: 12 MB free"})
        assert command.settled_at is not None
        assert [each.state for each in service.words(session, EVERYWHERE, command_id)] == [
            "accepted",
            "running",
            "done",
        ]
    born(town, pen, connection=2)
    assert giver.turn() == []


def test_never_given_expires_and_given_becomes_unknown_until_the_terminal_speaks(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    waits = ask(town, "kiosk-2", lasts_s=60)
    born(town, pen)
    goes = ask(town, lasts_s=60)
    giver.turn()
    giver.shift = timedelta(seconds=61)
    giver.turn()
    assert (state_of(town, waits), state_of(town, goes)) == ("expired", "sent")
    giver.shift += timedelta(microseconds=WORD_MAY_TAKE_US)
    giver.turn()
    assert state_of(town, goes) == "unknown"
    say(town, pen, goes, CommandWord.ACCEPTED)
    assert state_of(town, goes) == "accepted"
    giver.turn()
    assert state_of(town, goes) == "unknown"
    say(town, pen, goes, CommandWord.FAILED, reason="interrupted")
    assert state_of(town, goes) == "failed"


def test_broker_that_is_away_is_given_what_is_owed_when_it_is_back(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.away = True
    assert giver.turn() == []
    assert state_of(town, command_id) == "sent"
    giver.away = False
    assert [given for _, given, _ in giver.turn()] == [command_id]


def test_what_is_owed_goes_once_also_where_the_terminal_was_born_again_meanwhile(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.away = True
    giver.turn()
    born(town, pen, connection=2)
    giver.away = False
    assert [given for _, given, _ in giver.turn()] == [command_id]


def test_what_is_owed_waits_until_it_is_known_under_which_birth_the_terminal_is_there(town: Town) -> None:
    """It may have been born again at a broker that was away, before the cloud hears of it."""
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.away = True
    giver.turn()
    with transaction(town.engine) as session:
        standings.suspect_all(Bulk.of(session), now_us())
    giver.away = False
    assert giver.turn() == []
    born(town, pen, connection=2)
    assert [given for _, given, _ in giver.turn()] == [command_id]
    assert giver.turn() == []


def test_what_is_owed_goes_to_a_terminal_that_was_connected_all_the_while(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.away = True
    giver.turn()
    with transaction(town.engine) as session:
        standings.suspect_all(Bulk.of(session), now_us())
    giver.away = False
    assert giver.turn() == []
    board = StateBoard()
    board.hear_live(pen.terminal, now_us())
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())
    assert [given for _, given, _ in giver.turn()] == [command_id]
    assert giver.turn() == []


def test_commands_given_together_are_written_in_the_order_in_which_ingest_locks_them(town: Town) -> None:
    pens, giver = [Pen(each, config=town.twins[each]) for each in TERMINALS], Giver(town)
    for pen in pens:
        born(town, pen)
    low, high = sorted(ask(town, pen.terminal) for pen in pens)
    with transaction(town.engine) as session:  # the one with the higher id was asked for first
        earlier = update(Command).where(Command.id == high)
        session.execute(earlier.values(asked_at=utc_now() - timedelta(minutes=1)))
    assert [given for _, given, _ in beside_ingest(town, low, high, giver.turn)] == [high, low]


def test_commands_called_back_together_are_written_in_the_order_in_which_ingest_locks_them(town: Town) -> None:
    change = Change("operator", utc_now())

    def called_back() -> int:
        with transaction(town.engine) as session:
            return bulks.cancel(session, change, EVERYWHERE, bulk)

    bulk, first, second = "", "", ""
    while first <= second:  # until what lies first in the table has the higher id
        with transaction(town.engine) as session:
            form = BulkForm(name=Name.SYNC_NOW, arguments={}, terminals=list(TERMINALS))
            bulk = bulks.ask(session, change, EVERYWHERE, form).id
            its = select(Command.id).where(Command.bulk == bulk).order_by(Command.terminal_id)
            first, second = session.scalars(its)
    assert beside_ingest(town, second, first, called_back) == 2


def beside_ingest(town: Town, low: str, high: str, work: Callable[[], T]) -> T:
    """What `work` gives while ingest locks two commands, one after the other by id, as for the words of two terminals.

    On SQLite a writer is alone: there it is what `work` gives.
    """
    if town.engine.dialect.name != "postgresql":
        return work()
    lock = select(Command.id).with_for_update()
    with ThreadPoolExecutor(1) as pool:
        with transaction(town.engine) as session:
            session.execute(lock.where(Command.id == low))
            working = pool.submit(work)
            assert wait_until(lambda: waits_for_a_lock(town))
            session.execute(lock.where(Command.id == high))
        return working.result()


def waits_for_a_lock(town: Town) -> bool:
    """Whether somebody waits in this database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with transaction(town.engine, read_only=True) as session:
        return bool(session.scalar(text(query)))


def test_terminal_that_has_gone_or_is_disabled_is_given_nothing(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    gone(town, pen)
    ask(town)
    assert giver.turn() == []
    born(town, pen, connection=2)
    with transaction(town.engine) as session:
        from cloud.terminals.models import Terminal

        session.execute(update(Terminal).where(Terminal.id == "kiosk-1").values(enabled=False))
    assert giver.turn() == []


def test_terminal_speaks_of_its_own_commands_only(town: Town) -> None:
    pen, other, giver = Pen(config=town.twins["kiosk-1"]), Pen("kiosk-2", config=town.twins["kiosk-2"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.turn()
    say(town, other, command_id, CommandWord.DONE)
    assert state_of(town, command_id) == "sent"
    assert count(town, CommandWordSaid) == 1


def test_terminal_under_maintenance_is_so_again_when_it_is_heard_after_the_broker_was_away(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    told = Birth(incarnation=pen.stream, connection=1, boot=pen.boot, profile="kiosk", versions={}, state="maintenance")
    hear(town, pen, encode(told))
    command_id = ask(town)
    assert [given for _, given, _ in giver.turn()] == [command_id]
    with transaction(town.engine) as session:
        standings.suspect_all(Bulk.of(session), now_us())
    assert presence(town) == "suspect"
    board = StateBoard()
    board.hear_live(pen.terminal, now_us())
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())
    assert presence(town) == "maintenance"
    hear(town, pen, encode(told.model_copy(update={"state": "online"})))  # within the same connection
    assert presence(town) == "online"
    assert giver.turn() == []


def test_copies_in_a_new_stream_count_once_and_rebuilding_gives_the_same(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.turn()
    for word in (CommandWord.ACCEPTED, CommandWord.RUNNING, CommandWord.DONE):
        say(town, pen, command_id, word)
    copy = Pen(config=pen.config, lines=list(pen.lines))
    Line(town.engine).ingest([copy.delivery()])
    assert (state_of(town, command_id), count(town, CommandWordSaid)) == ("done", 3)
    rebuild_ledger(town.engine)
    assert (state_of(town, command_id), count(town, CommandWordSaid)) == ("done", 3)


def test_word_of_another_terminal_is_not_shown_as_this_ones(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.turn()
    say(town, Pen(terminal="kiosk-2", config=town.twins["kiosk-2"]), command_id, CommandWord.DONE)
    say(town, pen, command_id, CommandWord.ACCEPTED)
    with transaction(town.engine, read_only=True) as session:
        assert [each.state for each in service.words(session, EVERYWHERE, command_id)] == ["accepted"]


def test_rebuilding_does_not_open_a_command_again_whose_end_is_unknown(town: Town) -> None:
    pen, giver = Pen(config=town.twins["kiosk-1"]), Giver(town)
    born(town, pen)
    command_id = ask(town)
    giver.turn()
    say(town, pen, command_id, CommandWord.RUNNING)
    giver.shift = timedelta(seconds=600, microseconds=WORD_MAY_TAKE_US)
    giver.turn()
    assert state_of(town, command_id) == "unknown"
    rebuild_ledger(town.engine)
    assert (state_of(town, command_id), count(town, CommandWordSaid)) == ("unknown", 1)
