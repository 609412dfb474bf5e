"""What the line makes of stored records, on both databases: facts, what counts as attendance, odd times."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import event, update

from cloud.activities.models import Occurrence
from cloud.attendance.models import Attendance
from cloud.clock import to_us
from cloud.database import transaction
from cloud.ingest.effective import Basis
from cloud.ingest.models import CheckIn, CheckOut, Interaction, Quarantine
from cloud.journal.models import Stream
from cloud.terminals.models import Terminal, Twin, TwinFile
from firmware_specs.messages import CheckOut as CheckOutRecord
from firmware_specs.messages import Clock, CredentialReference, Flag, Gap, Outcome, Parent, Reason
from firmware_specs.messages import Interaction as InteractionRecord
from tests.integration.town_line import answers, count, ingest, marks, pen, rows
from tests.pen import now_us
from tests.town import ACTIVITY, ORGANISATION, OTHER_ROOM, ROOM, Town, person

# --- facts ------------------------------------------------------------------------------------------------------------


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


# --- whose occurrence ---------------------------------------------------------------------------------------------


def other_rooms(town: Town, document: str | None = None) -> str:
    """An occurrence that is in the other room now; `document` is what the kiosk's twin says."""
    there = f"{ACTIVITY}/20260101T000000Z"
    with transaction(town.engine) as session:
        session.add(
            Occurrence(id=there, activity_id=ACTIVITY, room_id=OTHER_ROOM, organisation_id=ORGANISATION,
                       starts_at=town.now - timedelta(hours=1), ends_at=town.now + timedelta(hours=1))
        )  # fmt: skip
        if document is not None:
            twin = session.get(Twin, town.twins["kiosk-1"])
            assert twin is not None
            twin.document = document.replace("OCCURRENCE", there)
    return there


def counted(town: Town) -> list[tuple[str | None, str]]:
    return [(row.occurrence_id, row.flags) for row in rows(town, CheckIn)]


def test_occurrence_that_was_never_in_the_kiosks_room_is_not_believed(town: Town) -> None:
    there, kiosk = other_rooms(town), pen(town)
    kiosk.check_in(person(1), there)
    kiosk.check_in(person(2), there, outcome=Outcome.REFUSED, reason=Reason.NOT_FOR_THIS_ACTIVITY)
    kiosk.config = town.twins["kiosk-2"]
    kiosk.check_in(person(3), there)
    ingest(town, kiosk.delivery())
    assert counted(town) == [
        (town.occurrence, '["foreign_occurrence"]'),
        (None, '["foreign_occurrence"]'),
        (town.occurrence, '["room_guessed","foreign_occurrence"]'),
    ]
    assert {row.occurrence_id for row in rows(town, Attendance)} == {town.occurrence}


@pytest.mark.parametrize("in_file", [False, True], ids=["in the twin", "in its file"])
def test_occurrence_that_the_kiosks_twin_told_of_is_believed_after_it_moved(town: Town, in_file: bool) -> None:
    said = '{"occurrences":[{"id":"OCCURRENCE"}]}'
    sha256 = "0" * 64
    there = other_rooms(town, f'{{"occurrences_file":{{"sha256":"{sha256}"}}}}' if in_file else said)
    with transaction(town.engine) as session:
        content = said.replace("OCCURRENCE", there).encode()
        session.add(TwinFile(sha256=sha256, size=len(content), content=content, created_at=town.now))
    kiosk = pen(town)
    kiosk.check_in(person(1), there)
    ingest(town, kiosk.delivery())
    assert counted(town) == [(there, "[]")]


def test_kiosk_that_was_moved_fills_the_room_its_record_was_made_in(town: Town) -> None:
    with transaction(town.engine) as session:
        row = session.get(Terminal, "kiosk-1")
        assert row is not None
        row.room_id = OTHER_ROOM
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    ingest(town, kiosk.delivery())
    assert counted(town) == [(town.occurrence, "[]")]


# --- what counts ------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("clock", [Clock.UNSET, Clock.SYNCED], ids=["clock was not synced", "activity was moved"])
def test_database_is_asked_no_more_for_many_check_ins_than_for_few(town: Town, clock: Clock) -> None:
    with transaction(town.engine) as session:
        session.execute(update(Occurrence).where(Occurrence.id == town.occurrence).values(room_id=OTHER_ROOM))
    few, many = (asked_for(town, clock, check_ins) for check_ins in (5, 60))
    assert many <= few + 2  # at the turn of an hour, and another chunk of what is looked up by id


def asked_for(town: Town, clock: Clock, check_ins: int) -> int:
    """Queries while so many check-ins are read and placed."""
    asked: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    kiosk = pen(town, clock=clock)
    for _ in range(check_ins):
        kiosk.check_in(person(1), town.occurrence)
    event.listen(town.engine, "before_cursor_execute", hear)
    ingest(town, kiosk.delivery())
    event.remove(town.engine, "before_cursor_execute", hear)
    return len(asked)


# --- odd times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at", [2_147_483_648_000_000, 4_294_967_296_000_000, 1_483_228_800_000_000, 253_402_300_799_999_999, 0]
)
def test_times_beyond_2038_and_around_a_leap_second_are_kept_to_the_microsecond(town: Town, at: int) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence, at=at)
    ingest(town, kiosk.delivery())
    (row,) = rows(town, CheckIn)
    assert (row.said_at, row.effective_at) == (at, at)
