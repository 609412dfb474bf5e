"""The kiosk's decision: every verdict, the order of the rules, and what is not known never turns people away."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kiosk.decision import (
    Decision,
    Guest,
    Presented,
    TypedNumber,
    card_keys,
    card_reference,
    coming,
    current,
    decide,
    find_left,
    to_us,
)
from firmware_specs.credentials import SKEW, Credential
from firmware_specs.errors import CredentialError, CredentialReason
from firmware_specs.messages import Clock, CredentialReference, Desired, Flag, Method, Occurrence, Outcome, Reason

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CARD = Credential(
    "LOCAL",
    "AAAAAAAAAAAAAAAAAAAAAA",
    "0000001234567897",
    "0a0b0c0d",
    NOON - timedelta(days=30),
    NOON + timedelta(days=30),
)


class FakeRoster:
    """Subjects and card ids with their organisations."""

    def __init__(self, subjects: dict[str, set[str]], cards: dict[str, set[str]] | None = None) -> None:
        self._subjects, self._cards = subjects, cards or {}

    def lookup_subject(self, subject: str) -> frozenset[str] | None:
        return frozenset(self._subjects[subject]) if subject in self._subjects else None

    def lookup_card(self, credential_id: str) -> frozenset[str] | None:
        return frozenset(self._cards[credential_id]) if credential_id in self._cards else None


def occurrence(
    activity: str, start: datetime, hours: float = 1, opens_before_min: int = 30, audience: Collection[str] = ()
) -> Occurrence:
    return Occurrence(
        id=f"{activity}/{start:%Y%m%dT%H%M%SZ}",
        title=activity,
        starts_at=to_us(start),
        ends_at=to_us(start + timedelta(hours=hours)),
        opens_at=to_us(start - timedelta(minutes=opens_before_min)),
        audience=list(audience),
    )


def twin(*occurrences: Occurrence) -> Desired:
    return Desired(version=(1, 1), occurrences=list(occurrences))


TALK = occurrence("talk", NOON - timedelta(minutes=10))
MEMBERS = FakeRoster({CARD.subject: {"hq", "branch-3"}}, {CARD.id: {"hq", "branch-3"}})


def ask(
    presented: Presented = CARD,
    at: datetime = NOON,
    quality: Clock = Clock.SYNCED,
    desired: Desired | None = None,
    roster: FakeRoster | None = MEMBERS,
    been: Collection[tuple[str, str]] = (),
    revoked: Collection[str] = frozenset(),
    *,
    never_reached: bool = False,
) -> Decision:
    return decide(
        presented,
        at,
        quality,
        desired=None if never_reached else desired or twin(TALK),
        roster=roster,
        accepted=lambda occ, keys: any((occ, key) in been for key in keys),
        revoked=revoked,
    )


def test_member_is_accepted_and_remembered_by_subject_and_card() -> None:
    decision = ask()
    assert (decision.method, decision.outcome, decision.reason) == (Method.QR, Outcome.ACCEPTED, None)
    assert decision.occurrence == TALK
    assert decision.flags == ()
    assert decision.remember == (f"s:{CARD.subject}", f"c:{CARD.id}")
    assert decision.credential is not None
    assert decision.credential.model_dump() == {
        "issuer": "LOCAL", "subject": CARD.subject, "id": CARD.id, "key_id": CARD.key_id,
    }  # fmt: skip


@pytest.mark.parametrize("key", card_keys(CARD))
def test_member_accepted_before_is_already_in_by_either_key(key: str) -> None:
    decision = ask(been={(TALK.id, key)})
    assert decision.outcome is Outcome.ALREADY_IN
    assert decision.occurrence == TALK
    assert decision.remember == ()


def test_acceptance_for_another_occurrence_does_not_count() -> None:
    assert ask(been={("talk/20261122T115000Z", card_keys(CARD)[0])}).outcome is Outcome.ACCEPTED


def test_typed_number_of_a_card_accepted_by_qr_is_already_in() -> None:
    remembered = ask().remember
    decision = ask(TypedNumber(CARD.id), been={(TALK.id, key) for key in remembered})
    assert (decision.method, decision.outcome) == (Method.STAFF, Outcome.ALREADY_IN)


def test_typed_number_decides_like_a_qr() -> None:
    decision = ask(TypedNumber(CARD.id))
    assert (decision.method, decision.outcome, decision.remember) == (Method.STAFF, Outcome.ACCEPTED, (f"c:{CARD.id}",))
    only_branch_9 = twin(occurrence("yoga", NOON, audience=["branch-9"]))
    assert ask(TypedNumber(CARD.id), desired=only_branch_9).reason is Reason.NOT_FOR_THIS_ACTIVITY
    assert ask(TypedNumber(CARD.id), revoked={CARD.id}).reason is Reason.REVOKED
    assert ask(TypedNumber("0000000000000018")).flags == (Flag.NOT_IN_ROSTER,)


def test_guest_is_one_head_without_link_and_never_already_in() -> None:
    limited = twin(occurrence("yoga", NOON, audience=["branch-9"]))
    decision = ask(Guest(), desired=limited)
    assert (decision.method, decision.outcome, decision.credential) == (Method.GUEST, Outcome.ACCEPTED, None)
    assert decision.remember == ()
    assert decision.flags == ()
    assert ask(Guest(), desired=twin()).outcome is Outcome.VISIT


# --- who it is for --------------------------------------------------------------------------------------------------


def test_audience_includes_the_organisations_below_it() -> None:
    assert ask(desired=twin(occurrence("talk", NOON, audience=["hq"]))).outcome is Outcome.ACCEPTED


def test_member_outside_the_audience_is_refused_with_the_occurrence_named() -> None:
    yoga = occurrence("yoga", NOON, audience=["branch-9"])
    decision = ask(desired=twin(yoga))
    assert (decision.outcome, decision.reason) == (Outcome.REFUSED, Reason.NOT_FOR_THIS_ACTIVITY)
    assert decision.occurrence == yoga
    assert decision.remember == ()


def test_card_unknown_to_the_roster_is_accepted_and_flagged() -> None:
    decision = ask(roster=FakeRoster({}), desired=twin(occurrence("yoga", NOON, audience=["branch-9"])))
    assert (decision.outcome, decision.flags) == (Outcome.ACCEPTED, (Flag.NOT_IN_ROSTER,))


def test_card_is_looked_up_by_its_id_where_the_subject_is_not_listed() -> None:
    decision = ask(roster=FakeRoster({}, {CARD.id: {"hq"}}), desired=twin(occurrence("yoga", NOON, audience=["x"])))
    assert decision.reason is Reason.NOT_FOR_THIS_ACTIVITY


def test_without_any_roster_everybody_is_accepted_and_flagged() -> None:
    decision = ask(roster=None, desired=twin(occurrence("yoga", NOON, audience=["branch-9"])))
    assert (decision.outcome, decision.flags) == (Outcome.ACCEPTED, (Flag.NO_ROSTER,))


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset_us", "outcome"),
    [(TALK.opens_at - 1, Outcome.VISIT), (TALK.opens_at, Outcome.ACCEPTED), (TALK.ends_at - 1, Outcome.ACCEPTED),
     (TALK.ends_at, Outcome.VISIT)],
)  # fmt: skip
def test_check_in_is_open_from_opens_at_until_before_ends_at(offset_us: int, outcome: Outcome) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=offset_us)
    assert ask(at=at).outcome is outcome


def test_visit_names_the_next_occurrence_and_remembers_nothing() -> None:
    later, latest = occurrence("a", NOON + timedelta(hours=3)), occurrence("b", NOON + timedelta(hours=6))
    decision = ask(desired=twin(latest, later))
    assert (decision.outcome, decision.next, decision.occurrence) == (Outcome.VISIT, later, None)
    assert decision.remember == ()
    assert decision.credential is not None
    assert ask(desired=twin()).next is None


def test_of_two_back_to_back_the_nearer_start_is_chosen() -> None:
    first, second = occurrence("a", NOON, opens_before_min=60), occurrence("b", NOON + timedelta(hours=1), 1, 60)
    both = twin(second, first)
    assert ask(at=NOON + timedelta(minutes=29), desired=both).occurrence == first
    assert ask(at=NOON + timedelta(minutes=31), desired=both).occurrence == second
    assert ask(at=NOON + timedelta(minutes=30), desired=both).occurrence == second


def test_lecture_wins_over_the_open_room_around_it_and_both_count() -> None:
    room, lecture = occurrence("room", NOON - timedelta(hours=4), 10), occurrence("lecture", NOON)
    keys = card_keys(CARD)
    decision = ask(desired=twin(room, lecture), been={(room.id, keys[0])})
    assert (decision.outcome, decision.occurrence) == (Outcome.ACCEPTED, lecture)
    assert ask(desired=twin(room, lecture), been={(lecture.id, keys[0])}).outcome is Outcome.ALREADY_IN


def test_of_overlapping_ones_the_one_for_the_member_is_chosen() -> None:
    theirs, others = (
        occurrence("a", NOON - timedelta(minutes=40), audience=["hq"]),
        occurrence("b", NOON, audience=["x"]),
    )
    assert ask(desired=twin(others, theirs)).occurrence == theirs


def test_of_equal_starts_the_shorter_then_the_id_decides() -> None:
    long, short, twin_of_short = occurrence("a", NOON, 3), occurrence("c", NOON), occurrence("b", NOON)
    assert current([long, short, twin_of_short], to_us(NOON)) == [twin_of_short, short, long]


def test_coming_leaves_out_what_has_begun() -> None:
    assert coming([TALK, occurrence("x", NOON)], to_us(NOON), 9) == []


# --- the card -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(CredentialReason))
def test_bad_code_is_refused_with_its_reason_and_no_reference(reason: CredentialReason) -> None:
    decision = ask(CredentialError(reason, "why"))
    assert decision == Decision(Method.QR, Outcome.REFUSED, Reason(reason.value))


def test_validity_is_widened_by_the_skew_on_both_sides() -> None:
    assert ask(replace(CARD, not_before=NOON + SKEW)).outcome is Outcome.ACCEPTED
    assert ask(replace(CARD, not_before=NOON + SKEW + timedelta(seconds=1))).reason is Reason.NOT_YET_VALID
    assert ask(replace(CARD, expires=NOON - SKEW + timedelta(seconds=1))).outcome is Outcome.ACCEPTED
    expired = ask(replace(CARD, expires=NOON - SKEW))
    assert (expired.outcome, expired.reason) == (Outcome.REFUSED, Reason.EXPIRED)
    assert expired.credential is not None


def test_revoked_comes_before_expired_and_before_already_in() -> None:
    old = replace(CARD, expires=NOON - timedelta(days=1))
    assert ask(old, revoked={CARD.id}).reason is Reason.REVOKED
    assert ask(revoked={CARD.id}, been={(TALK.id, card_keys(CARD)[0])}).reason is Reason.REVOKED


# --- what the terminal does not know ----------------------------------------------------------------------------------


def test_unset_clock_accepts_flags_and_leaves_the_occurrence_to_the_cloud() -> None:
    decision = ask(replace(CARD, expires=NOON - timedelta(days=900)), quality=Clock.UNSET)
    assert (decision.outcome, decision.occurrence, decision.remember) == (Outcome.ACCEPTED, None, ())
    assert decision.flags == (Flag.CLOCK_UNSURE,)


def test_unset_clock_still_refuses_revoked_and_forged() -> None:
    assert ask(quality=Clock.UNSET, revoked={CARD.id}).reason is Reason.REVOKED
    assert ask(CredentialError(CredentialReason.FORGED, "x"), quality=Clock.UNSET).reason is Reason.FORGED


def test_clock_in_holdover_decides_as_usual() -> None:
    assert ask(quality=Clock.HOLDOVER) == ask()


def test_kiosk_that_never_reached_the_cloud_keeps_cards_unverified_and_guests() -> None:
    decision = ask(never_reached=True, roster=None)
    assert (decision.outcome, decision.occurrence, decision.remember) == (Outcome.ACCEPTED, None, ())
    assert decision.flags == (Flag.NO_ROSTER, Flag.NOT_VERIFIED)
    assert ask(Guest(), never_reached=True, roster=None).outcome is Outcome.ACCEPTED
    both = ask(never_reached=True, roster=None, quality=Clock.UNSET)
    assert both.flags == (Flag.CLOCK_UNSURE, Flag.NO_ROSTER, Flag.NOT_VERIFIED)


# --- leaving --------------------------------------------------------------------------------------------------------


def test_leaving_names_the_last_occurrence_that_was_accepted_even_after_its_end() -> None:
    early, late = occurrence("a", NOON - timedelta(hours=3)), occurrence("b", NOON - timedelta(hours=2))
    future = occurrence("c", NOON + timedelta(hours=2))
    been = {(o.id, f"s:{CARD.subject}") for o in (early, late, future)}

    three = twin(early, late, future)

    def left(quality: Clock = Clock.SYNCED, desired: Desired | None = three) -> Occurrence | None:
        return find_left(
            CARD, NOON, quality, desired=desired, accepted=lambda o, keys: any((o, key) in been for key in keys)
        )

    assert left() == late
    assert left(desired=twin(TALK)) is None
    assert left(quality=Clock.UNSET) is None
    assert left(desired=None) is None


@given(
    minutes=st.lists(st.tuples(st.integers(-300, 300), st.integers(1, 300), st.integers(0, 120)), max_size=6),
    quality=st.sampled_from(Clock),
    known=st.booleans(),
)
def test_someone_the_terminal_cannot_judge_is_never_turned_away(
    minutes: list[tuple[int, int, int]], quality: Clock, known: bool
) -> None:
    occurrences = [
        occurrence(f"a{i}", NOON + timedelta(minutes=start), length / 60, before, audience=["elsewhere"])
        for i, (start, length, before) in enumerate(minutes)
    ]
    decision = ask(roster=FakeRoster({}) if known else None, desired=twin(*occurrences), quality=quality)
    assert decision.outcome in {Outcome.ACCEPTED, Outcome.VISIT}
    assert decision.flags
    assert (decision.occurrence is not None) == bool(decision.remember)


# --- whole decisions ------------------------------------------------------------------------------------------------

TYPED = TypedNumber(CARD.id)
REFERENCE = card_reference(CARD)
TYPED_REFERENCE = CredentialReference(id=CARD.id)
LIMITED = twin(occurrence("yoga", NOON, audience=["branch-9"]))
STRANGERS = FakeRoster({})


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (lambda: ask(TYPED), Decision(Method.STAFF, Outcome.ACCEPTED, None, TYPED_REFERENCE, TALK, (), (f"c:{CARD.id}",))),
        (lambda: ask(roster=None),
         Decision(Method.QR, Outcome.ACCEPTED, None, REFERENCE, TALK, (Flag.NO_ROSTER,), card_keys(CARD))),
        (lambda: ask(TYPED, roster=STRANGERS, been={(TALK.id, f"c:{CARD.id}")}),
         Decision(Method.STAFF, Outcome.ALREADY_IN, None, TYPED_REFERENCE, TALK, (Flag.NOT_IN_ROSTER,))),
        (lambda: ask(TYPED, desired=LIMITED),
         Decision(Method.STAFF, Outcome.REFUSED, Reason.NOT_FOR_THIS_ACTIVITY, TYPED_REFERENCE, LIMITED.occurrences[0])),
        (lambda: ask(TYPED, desired=twin(), roster=None),
         Decision(Method.STAFF, Outcome.VISIT, None, TYPED_REFERENCE, None, (Flag.NO_ROSTER,))),
        (lambda: ask(desired=twin(), roster=STRANGERS),
         Decision(Method.QR, Outcome.VISIT, None, REFERENCE, None, (Flag.NOT_IN_ROSTER,))),
        (lambda: ask(Guest(), roster=None), Decision(Method.GUEST, Outcome.ACCEPTED, None, None, TALK)),
        (lambda: ask(Guest(), desired=twin(), roster=None), Decision(Method.GUEST, Outcome.VISIT)),
        (lambda: ask(Guest(), quality=Clock.UNSET), Decision(Method.GUEST, Outcome.ACCEPTED, flags=(Flag.CLOCK_UNSURE,))),
        (lambda: ask(TYPED, revoked={CARD.id}), Decision(Method.STAFF, Outcome.REFUSED, Reason.REVOKED, TYPED_REFERENCE)),
        (lambda: ask(revoked={CARD.id}), Decision(Method.QR, Outcome.REFUSED, Reason.REVOKED, REFERENCE)),
        (lambda: ask(quality=Clock.UNSET), Decision(Method.QR, Outcome.ACCEPTED, None, REFERENCE, None, (Flag.CLOCK_UNSURE,))),
        (lambda: ask(TYPED, quality=Clock.UNSET),
         Decision(Method.STAFF, Outcome.ACCEPTED, None, TYPED_REFERENCE, None, (Flag.CLOCK_UNSURE,))),
        (lambda: ask(never_reached=True), Decision(Method.QR, Outcome.ACCEPTED, None, REFERENCE, None, (Flag.NOT_VERIFIED,))),
        (lambda: ask(never_reached=True, roster=STRANGERS),
         Decision(Method.QR, Outcome.ACCEPTED, None, REFERENCE, None, (Flag.NOT_IN_ROSTER, Flag.NOT_VERIFIED))),
        (lambda: ask(TYPED, never_reached=True, roster=None),
         Decision(Method.STAFF, Outcome.ACCEPTED, None, TYPED_REFERENCE, None, (Flag.NO_ROSTER,))),
    ],
)  # fmt: skip
def test_decision_is_exactly_this(decision: Callable[[], Decision], expected: Decision) -> None:
    assert decision() == expected


def test_leaving_counts_from_the_moment_check_in_opens() -> None:
    been = {(TALK.id, card_keys(CARD)[0])}
    opens = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=TALK.opens_at)

    def left(at: datetime) -> Occurrence | None:
        return find_left(
            CARD, at, Clock.SYNCED, desired=twin(TALK), accepted=lambda o, keys: any((o, key) in been for key in keys)
        )

    assert left(opens) == TALK
    assert left(opens - timedelta(microseconds=1)) is None


def test_card_listed_by_its_id_only_is_in_the_roster() -> None:
    assert ask(roster=FakeRoster({}, {CARD.id: {"hq"}})).flags == ()
    subject_first = FakeRoster({CARD.subject: {"hq"}}, {CARD.id: {"elsewhere"}})
    assert ask(roster=subject_first, desired=twin(occurrence("a", NOON, audience=["hq"]))).outcome is Outcome.ACCEPTED
