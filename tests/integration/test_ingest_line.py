"""The line over both databases: what is stored, and stored once, and what each delivery is answered."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from cloud.attendance.models import Attendance
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.ingest.accept import Delivery, question
from cloud.ingest.effective import Basis
from cloud.ingest.line import MOST_AHEAD, Line
from cloud.ingest.models import CheckIn, FactId, Quarantine
from cloud.ingest.slots import Slots
from cloud.ingest.worker import Worker
from cloud.journal.models import JournalBatch, Stream
from cloud.terminals.models import Terminal
from firmware_specs.messages import StoredError
from firmware_specs.wire import decode_batch, encode_batch
from tests.integration.town_line import answers, count, ingest, marks, pen, rows
from tests.pen import Pen, now_us
from tests.process import wait_until
from tests.town import ORGANISATION, ROOM, Town, person

# --- stored once ------------------------------------------------------------------------------------------------------


def test_check_in_of_a_known_member_becomes_attendance(town: Town) -> None:
    kiosk = pen(town)
    kiosk.started()
    kiosk.check_in(person(1), town.occurrence)
    kiosk.health()
    (stored,) = answers(ingest(town, kiosk.delivery()))
    assert (stored.stream, stored.through, stored.chain, stored.error) == (kiosk.stream, 3, kiosk.chain(3), None)
    (row,) = rows(town, CheckIn)
    assert (row.number, row.member_id, row.occurrence_id, row.room_id) == (2, person(1).member, town.occurrence, ROOM)
    assert (row.basis, row.waits, row.flags, row.linked_at) == (Basis.TERMINAL, 0, "[]", row.received_at)
    (attendance,) = rows(town, Attendance)
    assert (attendance.member_id, attendance.number, attendance.organisation_id) == (person(1).member, 2, ORGANISATION)


def test_repeated_batch_is_stored_once_and_answered_again(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    delivery = kiosk.delivery()
    assert answers(ingest(town, delivery)) == answers(ingest(town, delivery))
    assert (count(town, CheckIn), count(town, JournalBatch)) == (1, 1)


def test_batches_are_kept_byte_for_byte(town: Town) -> None:
    from cloud.journal.format import unpack_lines

    kiosk = pen(town)
    for _ in range(50):
        kiosk.health()
    delivery = kiosk.delivery()
    ingest(town, delivery)
    (row,) = rows(town, JournalBatch)
    assert b"\n".join((row.header, *unpack_lines(row.lines), b"")) == delivery.payload


def test_group_of_many_terminals_and_streams_is_one_transaction(town: Town) -> None:
    pens = [pen(town, terminal) for terminal in town.twins]
    for each in pens:
        each.check_in(person(1), town.occurrence)
        each.check_in(person(2), town.occurrence)
    deliveries = [each.delivery(first, 1) for each in pens for first in (1, 2)]
    assert [stored.through for stored in answers(ingest(town, *deliveries))] == [1, 2, 1, 2]
    assert count(town, CheckIn) == 4
    assert count(town, Attendance) == 2


def test_loser_of_the_compare_and_set_is_told_what_is_stored_now(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    kiosk.health()

    class Late(Line):
        """Between its reading and its writing another worker stores the same."""

        def _store(self, *arguments: Any) -> Any:
            ingest(town, kiosk.delivery(1, 2))
            return super()._store(*arguments)

    result = Late(town.engine).ingest([kiosk.delivery(1, 1)])
    (stored,) = answers(result)
    assert (stored.through, stored.chain, result.batches) == (2, kiosk.chain(2), 0)
    assert count(town, JournalBatch) == 1


def test_failed_transaction_stores_and_answers_nothing_and_the_same_group_succeeds_later(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    with transaction(town.engine) as session:
        session.execute(text("ALTER TABLE attendance RENAME TO gone"))
    delivery = kiosk.delivery()
    with pytest.raises((Unavailable, SQLAlchemyError)):
        ingest(town, delivery)
    assert (count(town, JournalBatch), count(town, Stream), count(town, FactId)) == (0, 0, 0)
    with transaction(town.engine) as session:
        session.execute(text("ALTER TABLE gone RENAME TO attendance"))
    assert answers(ingest(town, delivery))[0].through == 1


def test_database_that_is_away_is_unavailable(town: Town) -> None:
    from cloud.database import create_engine_for

    away = create_engine_for("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable):
        Line(away).ingest([pen(town).delivery()])


# --- answered ---------------------------------------------------------------------------------------------------------


def test_unknown_and_disabled_terminals_are_not_answered(town: Town) -> None:
    with transaction(town.engine) as session:
        row = session.get(Terminal, "kiosk-2")
        assert row is not None
        row.enabled = False
    strangers = [pen(town, "kiosk-2"), Pen(terminal="nobody")]
    for each in strangers:
        each.health()
    result = ingest(town, *(each.delivery() for each in strangers))
    assert (result.answers, result.strangers, result.batches) == ([], ["kiosk-2", "nobody"], 0)
    assert count(town, Stream) == 0


def test_question_is_always_answered_and_stores_nothing(town: Town) -> None:
    kiosk = pen(town)
    assert answers(ingest(town, kiosk.delivery()))[0].through == 0
    kiosk.health()
    ingest(town, kiosk.delivery())
    stored = answers(ingest(town, kiosk.delivery(2, 0)))[0]
    assert (stored.through, stored.chain, stored.error) == (1, kiosk.chain(1), None)
    assert count(town, JournalBatch) == 1


def test_position_told_unasked_is_that_of_a_question_and_says_so(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    assert answers(ingest(town, question("kiosk-1", kiosk.stream, now_us())))[0].through == 0
    ingest(town, kiosk.delivery())
    (told,) = answers(ingest(town, question("kiosk-1", kiosk.stream, now_us())))
    (asked,) = answers(ingest(town, kiosk.delivery(2, 0)))
    assert (told.unasked, asked.unasked) == (True, None)
    assert told.model_copy(update={"unasked": None}) == asked
    (foreign,) = answers(ingest(town, question("kiosk-2", kiosk.stream, now_us())))
    assert (foreign.error, foreign.unasked) == (StoredError.FOREIGN_STREAM, True)
    assert count(town, JournalBatch) == 1


def test_fork_is_refused_marked_and_told(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    kiosk.health()
    ingest(town, kiosk.delivery(1, 1))
    rolled_back = pen(town, stream=kiosk.stream)
    rolled_back.health()
    rolled_back.health()
    stored = answers(result := ingest(town, rolled_back.delivery(2)))[0]
    assert (stored.error, stored.through, stored.chain) == (StoredError.FORK, 1, kiosk.chain(1))
    assert [alarm.mark for alarm in result.alarms] == ["fork"]
    assert marks(town) == ["fork"]


def test_foreign_stream_is_refused_and_marks_the_thief(town: Town) -> None:
    kiosk, thief = pen(town), pen(town, "kiosk-2")
    kiosk.health()
    ingest(town, kiosk.delivery())
    thief.stream = kiosk.stream
    thief.health()
    stored = answers(ingest(town, thief.delivery()))[0]
    assert (stored.error, stored.through) == (StoredError.FOREIGN_STREAM, None)
    assert (marks(town, "kiosk-2"), marks(town)) == (["foreign_stream"], [])


def test_streams_per_day_are_limited(town: Town) -> None:
    pens = [pen(town) for _ in range(4)]
    for each in pens:
        each.health()
    for each in pens[:3]:
        assert answers(ingest(town, each.delivery(), streams_per_day=3))[0].through == 1
    stored = answers(ingest(town, pens[3].delivery(), streams_per_day=3))[0]
    assert stored.error == StoredError.TOO_MANY_STREAMS
    assert stored.retry_after_s is not None
    tomorrow = pens[3].delivery()._replace(received_at=now_us() + 86_400_000_001)
    assert answers(ingest(town, tomorrow, streams_per_day=3))[0].through == 1


def test_broken_payload_is_kept_in_quarantine_once_and_answered(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    broken = Delivery("kiosk-1", kiosk.batch()[:-20], now_us())
    for _ in range(3):
        assert answers(ingest(town, broken))[0].error == StoredError.BROKEN
    (held,) = rows(town, Quarantine)
    assert (held.kind, held.state, held.terminal_id, bytes(held.bytes)) == (
        "payload",
        "open",
        "kiosk-1",
        broken.payload,
    )
    assert marks(town) == ["broken"]


def test_payloads_in_quarantine_are_bounded_by_terminal(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.ingest.alarm.PAYLOADS_KEPT", 3)
    for number in range(6):
        ingest(town, Delivery("kiosk-1", f"rubbish {number}".encode(), now_us()))
    ingest(town, Delivery("kiosk-2", b"rubbish", now_us()))
    assert [bytes(row.bytes) for row in rows(town, Quarantine)] == [
        b"rubbish 3",
        b"rubbish 4",
        b"rubbish 5",
        b"rubbish",
    ]


# --- what terminals say they have -----------------------------------------------------------------------------------


def said(town: Town) -> int:
    (stream,) = rows(town, Stream)
    return int(stream.said_through)


def test_what_a_terminal_says_it_has_is_kept_until_it_says_otherwise(town: Town) -> None:
    kiosk = pen(town)
    for _ in range(6):
        kiosk.health()
    ingest(town, kiosk.delivery(1, 2))
    assert said(town) == 2
    ingest(town, kiosk.delivery(4, 3))
    assert said(town) == 6
    ingest(town, question("kiosk-1", kiosk.stream, now_us()))
    ingest(town, kiosk.delivery(3, 1))
    assert said(town) == 6
    ingest(town, kiosk.delivery(4, 0))
    assert said(town) == 3


def far_ahead(kiosk: Pen, first: int) -> bytes:
    """A question that claims what nobody can check."""
    asked = decode_batch(kiosk.batch(2, 0)).header
    return encode_batch(asked.model_copy(update={"first": first, "prev": "a" * 64, "chain": "a" * 64}), ())


def test_number_that_no_outbox_reaches_is_not_believed(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    ingest(town, kiosk.delivery())
    for first in (2**53 - 1, MOST_AHEAD + 3):
        ingest(town, Delivery("kiosk-1", far_ahead(kiosk, first), now_us()))
        assert said(town) == 1


def test_repeat_beside_a_batch_that_lost_is_told_what_is_stored(town: Town) -> None:
    kiosk, other = pen(town), pen(town)
    other.stream = kiosk.stream
    kiosk.health()
    kiosk.health()
    other.health()

    class Late(Line):
        """Between its reading and its writing another worker stores other records of the stream."""

        def _store(self, *arguments: Any) -> Any:
            ingest(town, other.delivery())
            return super()._store(*arguments)

    result = Late(town.engine).ingest([kiosk.delivery(1, 1), kiosk.delivery(1, 1), kiosk.delivery(2, 0)])
    assert {(each.through, each.chain, each.error) for each in answers(result)} == {(1, other.chain(1), None)}


# --- what the schema refuses ------------------------------------------------------------------------------------------


def test_batch_that_the_schema_refuses_holds_up_no_other_terminal(town: Town) -> None:
    bad, good = pen(town), pen(town, "kiosk-2")
    bad.check_in(None, None)
    good.health()
    ingest(town, bad.delivery())
    with transaction(town.engine) as session:
        for table in ("streams", "fact_ids", "journal"):  # its row in check_ins stays, and refuses it again
            session.execute(text(f"DELETE FROM {table}"))
    slots, answered = Slots(), list[str]()
    for each in (bad, good):
        slots.put(each.delivery())
    worker = Worker(Line(town.engine), slots, lambda some: answered.extend(each.terminal for each in some))
    worker.start()
    assert wait_until(lambda: answered == ["kiosk-2"])
    worker.stop()
    assert worker.trouble is None
