"""Check-ins find their members, at once or late, on both databases."""

import json
from datetime import timedelta
from typing import Any

import pytest

from cloud.attendance import linking
from cloud.attendance.models import Attendance
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.database import transaction
from cloud.ingest.models import CheckIn, CheckOut
from cloud.ingest.rebuild import rebuild_ledger
from firmware_specs.messages import CheckOut as CheckOutRecord
from firmware_specs.messages import CredentialReference, Flag
from tests.integration.town_line import count, ingest, pen, rows
from tests.pen import Pen
from tests.town import KEY, Town, add_card, add_member, person


def link_late(town: Town) -> int:
    """A whole pass; how many facts were linked."""
    return sum(parts(town))


def parts(town: Town, limit: int = 1_000) -> list[int]:
    found = []
    after: linking.After | None = 0
    while after is not None:
        with transaction(town.engine) as session:
            linked, after = linking.link_late(Bulk.of(session), after, limit)
        found.append(linked)
    return found


def left(kiosk: Pen, **credential: str) -> None:
    kiosk.write(CheckOutRecord(**kiosk.stamp(credential=CredentialReference(**credential))))


def linked_to(town: Town) -> list[tuple[Any, ...]]:
    """How facts are linked: now, and, which must be the same, once the ledger was made anew."""

    def found() -> list[tuple[Any, ...]]:
        ins = [(row.number, row.member_id, row.waits, row.flags) for row in rows(town, CheckIn)]
        return [*ins, *((row.number, row.member_id) for row in rows(town, CheckOut))]

    before = found()
    rebuild_ledger(town.engine)
    assert found() == before
    return before


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
    assert link_late(town) == (2 if card else 1)
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


def test_more_waiting_facts_than_one_portion_are_linked_in_turns(town: Town) -> None:
    kiosk = pen(town)
    for _ in range(5):
        kiosk.check_in(person(9), town.occurrence)
    for _ in range(3):
        left(kiosk, id=person(9).card)
    ingest(town, kiosk.delivery())
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now)
    assert parts(town, 2) == [2, 2, 1, 2, 1]


def test_card_that_turns_out_to_be_anothers_is_a_conflict_late_too(town: Town) -> None:
    kiosk = pen(town)
    card = CredentialReference(issuer="TOWN", subject=person(1).subject, id=person(9).card)
    kiosk.check_in(person(9), town.occurrence, credential=card, flags=[Flag.NOT_VERIFIED])
    ingest(town, kiosk.delivery())
    assert rows(town, CheckIn)[0].waits == 1
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now)
    assert link_late(town) == 0
    assert linked_to(town) == [(1, None, 0, '["not_verified","card_conflict"]')]


def test_check_outs_are_linked_late_by_the_rules_of_ingest(town: Town) -> None:
    kiosk = pen(town)
    left(kiosk, id=person(1).card, subject=person(2).subject)
    left(kiosk, id="f" * 16, subject=person(9).subject)
    left(kiosk, id=person(9).card)
    ingest(town, kiosk.delivery())
    assert [row.member_id for row in rows(town, CheckOut)] == [None, None, None]
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now)
    assert link_late(town) == 2
    assert linked_to(town) == [(1, None), (2, person(9).member), (3, person(9).member)]
