"""The line over both databases: what is stored, what is answered, what is linked, what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from cloud.attendance import linking
from cloud.attendance.models import Attendance
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.ingest.accept import Delivery
from cloud.ingest.effective import Basis
from cloud.ingest.line import Line, Result
from cloud.ingest.models import CheckIn, CheckOut, FactId, Interaction, Quarantine
from cloud.journal.models import JournalBatch, Stream
from cloud.terminals.models import Terminal
from firmware_specs.messages import CheckOut as CheckOutRecord
from firmware_specs.messages import Clock, CredentialReference, Flag, Gap, Outcome, Parent, Reason, Stored, StoredError
from firmware_specs.messages import Interaction as InteractionRecord
from firmware_specs.wire import decode_stored
from tests.pen import Pen, now_us
from tests.town import KEY, ORGANISATION, OTHER_ROOM, ROOM, Town, add_card, add_member, person


def ingest(town: Town, *deliveries: Delivery, **settings: Any) -> Result:
    return Line(town.engine, **settings).ingest(deliveries)


def answers(result: Result) -> list[Stored]:
    return [decode_stored(answer.payload) for answer in result.answers]


def rows(town: Town, model: Any) -> list[Any]:
    with transaction(town.engine, read_only=True) as session:
        return list(session.scalars(select(model).order_by(*model.__table__.primary_key)))


def count(town: Town, model: Any) -> int:
    with transaction(town.engine, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def marks(town: Town, terminal: str = "kiosk-1") -> list[str]:
    with transaction(town.engine, read_only=True) as session:
        row = session.get(Terminal, terminal)
        assert row is not None
        return row.marks


def pen(town: Town, terminal: str = "kiosk-1", **attributes: Any) -> Pen:
    return Pen(terminal=terminal, config=town.twins[terminal], **attributes)


# --- stored once -------------------------------------------------------------------------------------------------


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


# --- answered ----------------------------------------------------------------------------------------------------


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
    tomorrow = replace(pens[3].delivery(), received_at=now_us() + 86_400_000_001)
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


# --- facts -------------------------------------------------------------------------------------------------------


def test_every_type_of_record_finds_its_table(town: Town) -> None:
    kiosk = pen(town)
    card = CredentialReference(id=person(1).card)
    kiosk.check_in(person(1), town.occurrence)
    kiosk.write(CheckOutRecord(**kiosk.stamp(credential=card, occurrence=town.occurrence)))
    kiosk.write(InteractionRecord(**kiosk.stamp(screen="home", minute_at=now_us(), touches=7, help_called=1)))
    ingest(town, kiosk.delivery())
    (left,) = rows(town, CheckOut)
    assert (left.member_id, left.occurrence_id, left.number) == (person(1).member, town.occurrence, 2)
    (touched,) = rows(town, Interaction)
    assert (touched.touches, touched.help, touched.room_id) == (7, 1, ROOM)
    (stream,) = rows(town, Stream)
    assert (stream.facts, stream.points) == (3, 2)


def test_record_that_cannot_be_understood_is_quarantined_and_the_stream_goes_on(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    kiosk.write(json.dumps({**json.loads(kiosk.lines[0]), "type": "levitation"}).encode())
    kiosk.write(b"not even json")
    kiosk.check_in(person(2), town.occurrence)
    result = ingest(town, kiosk.delivery())
    (stored,) = answers(result)
    assert (stored.through, stored.rejected, result.unreadable) == (4, [2, 3], 2)
    held = rows(town, Quarantine)
    assert [(row.number, row.kind, bytes(row.bytes)) for row in held] == [
        (2, "record", kiosk.lines[1]),
        (3, "record", b"not even json"),
    ]
    assert "levitation" in held[0].reason
    assert count(town, CheckIn) == 2


def test_copy_of_a_fact_in_a_new_stream_counts_once(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    kiosk.check_in(person(2), town.occurrence)
    ingest(town, kiosk.delivery())
    parent = Parent(stream=kiosk.stream, through=1, chain=kiosk.chain(1))
    after = pen(town, parent=parent)
    after.lines = [*kiosk.lines]
    after.check_in(person(3), town.occurrence)
    result = ingest(town, after.delivery())
    assert (answers(result)[0].through, result.repeats) == (3, 2)
    assert [(row.stream, row.number) for row in rows(town, CheckIn)] == [
        (kiosk.stream, 1),
        (kiosk.stream, 2),
        (after.stream, 3),
    ]
    streams = {row.stream: row for row in rows(town, Stream)}
    assert (streams[after.stream].parent_stream, streams[after.stream].facts) == (kiosk.stream, 1)


def test_the_same_fact_twice_in_one_group_counts_once(town: Town) -> None:
    one = pen(town)
    one.check_in(person(1), town.occurrence)
    two = pen(town, "kiosk-2")
    two.lines = [*one.lines, *one.lines]
    assert ingest(town, one.delivery(), two.delivery()).repeats == 2
    assert count(town, CheckIn) == 1


def test_declared_gap_is_kept_with_the_stream(town: Town) -> None:
    kiosk, lost = pen(town), "00000000-0000-4000-8000-000000000000"
    kiosk.started(reason="damaged", gap=Gap(stream=lost, first=5, last=9, reason="disk_lost"))
    ingest(town, kiosk.delivery())
    (stream,) = rows(town, Stream)
    assert (stream.gap_stream, stream.gap_first, stream.gap_last, stream.gap_reason) == (lost, 5, 9, "disk_lost")
    assert marks(town) == ["damaged"]


def test_room_is_that_of_the_twin_the_record_was_made_under(town: Town) -> None:
    with transaction(town.engine) as session:
        row = session.get(Terminal, "kiosk-1")
        assert row is not None
        row.room_id = OTHER_ROOM
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    kiosk.config = (town.twins["kiosk-1"][0], 999)
    kiosk.check_in(person(2), town.occurrence)
    kiosk.config = town.twins["kiosk-2"]
    kiosk.check_in(person(3), town.occurrence)
    ingest(town, kiosk.delivery())
    assert [(row.room_id, json.loads(row.flags)) for row in rows(town, CheckIn)] == [
        (ROOM, []),
        (OTHER_ROOM, ["room_guessed"]),
        (OTHER_ROOM, ["room_guessed"]),
    ]


# --- what counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "attends", "linked"),
    [(Outcome.ACCEPTED, 1, 1), (Outcome.ALREADY_IN, 0, 1), (Outcome.VISIT, 0, 1), (Outcome.REFUSED, 0, 1)],
)
def test_only_what_was_accepted_makes_attendance(town: Town, outcome: Outcome, attends: int, linked: int) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence, outcome=outcome)
    ingest(town, kiosk.delivery())
    assert (count(town, CheckIn), count(town, Attendance)) == (1, attends)
    assert [row.member_id for row in rows(town, CheckIn) if row.member_id] == [person(1).member] * linked


@pytest.mark.parametrize("reason", [Reason.FORGED, Reason.UNKNOWN_ISSUER, Reason.UNREADABLE])
def test_card_that_was_refused_for_its_signature_names_nobody(town: Town, reason: Reason) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), None, outcome=Outcome.REFUSED, reason=reason)
    ingest(town, kiosk.delivery())
    assert [(row.member_id, row.waits, row.reason) for row in rows(town, CheckIn)] == [(None, 0, reason)]


def test_guest_is_a_head_without_a_link(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(None, town.occurrence)
    ingest(town, kiosk.delivery())
    (row,) = rows(town, CheckIn)
    assert (row.method, row.member_id, row.waits, count(town, Attendance)) == ("guest", None, 0, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_earlier_effective_time_wins_whatever_comes_first(town: Town, order: Sequence[int]) -> None:
    at = now_us() - 30_000_000
    pens = [pen(town, terminal) for terminal in town.twins]
    pens[0].check_in(person(1), town.occurrence, at=at)
    pens[1].check_in(person(1), town.occurrence, at=at - 1)
    for place in order:
        ingest(town, pens[place].delivery())
    (attendance,) = rows(town, Attendance)
    assert (to_us(attendance.effective_at), attendance.terminal_id) == (at - 1, "kiosk-2")
    assert count(town, CheckIn) == 2


def test_clock_that_was_not_synced_lets_the_cloud_choose_the_occurrence(town: Town) -> None:
    kiosk = pen(town, clock=Clock.UNSET)
    wrong_at = to_us(town.now + timedelta(days=400))
    kiosk.check_in(person(1), town.next_occurrence, at=wrong_at, flags=[Flag.CLOCK_UNSURE])
    kiosk.check_in(person(2), None, at=wrong_at, flags=[Flag.CLOCK_UNSURE])
    ingest(town, kiosk.delivery())
    for row in rows(town, CheckIn):
        assert (row.occurrence_id, row.basis) == (town.occurrence, Basis.COUNTED)
    assert [row.said_occurrence_id for row in rows(town, CheckIn)] == [town.next_occurrence, None]
    assert count(town, Attendance) == 2


def test_occurrence_nobody_knows_is_replaced_by_what_was_on(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), "act_gone/20200101T000000Z")
    kiosk.check_in(person(2), "act_gone/20200101T000000Z", at=to_us(town.now - timedelta(days=30)))
    ingest(town, kiosk.delivery())
    assert [row.occurrence_id for row in rows(town, CheckIn)] == [town.occurrence, None]


# --- links -------------------------------------------------------------------------------------------------------


def link_late(town: Town) -> int:
    with transaction(town.engine) as session:
        return linking.link_late(Bulk.of(session))[0]


@pytest.mark.parametrize("card", [True, False], ids=["with a card", "by the subject alone"])
def test_member_who_is_registered_later_is_linked_then(town: Town, card: bool) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(9), town.occurrence)
    kiosk.write(
        CheckOutRecord(**kiosk.stamp(credential=CredentialReference(id=person(9).card), occurrence=town.occurrence))
    )
    ingest(town, kiosk.delivery())
    assert (rows(town, CheckIn)[0].waits, count(town, Attendance), link_late(town)) == (1, 0, 0)
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now + timedelta(hours=1), card=card)
    assert link_late(town) == 1
    (row,) = rows(town, CheckIn)
    assert (row.member_id, row.waits, row.linked_at) == (person(9).member, 0, to_us(town.now + timedelta(hours=1)))
    (attendance,) = rows(town, Attendance)
    assert (attendance.member_id, attendance.effective_at) == (person(9).member, attendance.effective_at)
    assert to_us(attendance.effective_at) == row.effective_at
    assert rows(town, CheckOut)[0].member_id == (person(9).member if card else None)
    assert link_late(town) == 0


def test_card_that_was_typed_links_when_it_is_registered(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(9), town.occurrence, credential=CredentialReference(id=person(9).card))
    ingest(town, kiosk.delivery())
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now, card=False)
    assert link_late(town) == 0
    with transaction(town.engine) as session:
        add_card(session, person(9), town.now)
    assert link_late(town) == 1


def test_unverified_card_is_not_linked_by_what_it_claims(town: Town) -> None:
    kiosk = pen(town)
    unknown = CredentialReference(id="ff" * 8, subject=person(1).subject, issuer="TOWN", key_id=KEY)
    kiosk.check_in(person(1), town.occurrence, credential=unknown, flags=[Flag.NOT_VERIFIED])
    kiosk.check_in(person(1), town.occurrence, credential=unknown)
    ingest(town, kiosk.delivery())
    assert [row.member_id for row in rows(town, CheckIn)] == [None, person(1).member]


def test_card_of_one_member_with_the_subject_of_another_is_a_conflict_and_links_to_nobody(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(
        person(1), town.occurrence, credential=CredentialReference(id=person(1).card, subject=person(2).subject)
    )
    ingest(town, kiosk.delivery())
    (row,) = rows(town, CheckIn)
    assert (row.member_id, row.waits, json.loads(row.flags)) == (None, 0, ["card_conflict"])


def test_more_waiting_check_ins_than_one_portion_are_linked_in_turns(town: Town) -> None:
    kiosk = pen(town)
    for _ in range(5):
        kiosk.check_in(person(9), town.occurrence)
    ingest(town, kiosk.delivery())
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now)
    linked = []
    after: int | None = 0
    while after is not None:
        with transaction(town.engine) as session:
            found, after = linking.link_late(Bulk.of(session), after, 2)
        linked.append(found)
    assert linked == [2, 2, 1]


# --- odd times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at", [2_147_483_648_000_000, 4_294_967_296_000_000, 1_483_228_800_000_000, 253_402_300_799_999_999, 0]
)
def test_times_beyond_2038_and_around_a_leap_second_are_kept_to_the_microsecond(town: Town, at: int) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence, at=at)
    ingest(town, kiosk.delivery())
    (row,) = rows(town, CheckIn)
    assert (row.said_at, row.effective_at) == (at, at)
