"""A kiosk whose schedule has run out does not claim that nothing is on; one with the whole schedule decides by it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.kiosk import words
from edge.kiosk.decision import Decision, Guest, Presented, TypedNumber, decide, to_us
from firmware_specs.messages import Clock, Desired, Flag, Method, Outcome, Reason
from tests.kiosk import PHONES, START, TALK, FakeRoster, Stage, card, code, twin

UNTIL = PHONES.opens_at
CUT = twin(TALK, occurrences_until=UNTIL)
LIMITED = twin(TALK.model_copy(update={"audience": ["elsewhere"]}), occurrences_until=UNTIL)


def at(moment_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)


def ask(presented: Presented, moment_us: int, desired: Desired = CUT, quality: Clock = Clock.SYNCED) -> Decision:
    return decide(
        presented, at(moment_us), quality, desired=desired, roster=FakeRoster({card(1).subject: {"b1"}}),
        accepted=lambda _occurrence, _keys: False, revoked=frozenset({card(2).id}),
    )  # fmt: skip


def test_before_the_first_left_out_opens_the_schedule_is_certain() -> None:
    assert ask(card(1), UNTIL - 1).outcome is Outcome.VISIT
    assert ask(card(1), TALK.starts_at).occurrence == TALK


@pytest.mark.parametrize(
    ("presented", "method"), [(card(1), Method.QR), (TypedNumber(card(1).id), Method.STAFF), (Guest(), Method.GUEST)]
)
def test_from_then_on_everybody_is_accepted_without_an_occurrence(presented: Presented, method: Method) -> None:
    decision = ask(presented, UNTIL)
    assert (decision.method, decision.outcome, decision.occurrence) == (method, Outcome.ACCEPTED, None)
    assert decision.flags[0] is Flag.NO_SCHEDULE
    assert Flag.NOT_VERIFIED not in decision.flags
    assert decision.remember == ()


def test_the_list_of_an_activity_that_may_be_over_turns_nobody_away() -> None:
    assert ask(card(1), TALK.starts_at, LIMITED).reason is Reason.NOT_FOR_THIS_ACTIVITY
    assert ask(card(1), UNTIL, LIMITED).outcome is Outcome.ACCEPTED


def test_what_the_card_says_of_itself_still_counts() -> None:
    assert ask(card(2), UNTIL).reason is Reason.REVOKED
    assert ask(card(1, valid_days=(-30, -1)), UNTIL).reason is Reason.EXPIRED


def test_a_wrong_clock_is_flagged_as_such_not_as_a_schedule_that_ran_out() -> None:
    assert ask(card(1), UNTIL, quality=Clock.UNSET).flags[0] is Flag.CLOCK_UNSURE


def test_a_twin_that_names_no_end_is_certain_for_ever() -> None:
    assert ask(card(1), UNTIL + 10**15, twin(TALK)).outcome is not Outcome.ACCEPTED


def test_screen_says_that_the_activity_follows_and_does_not_say_that_nothing_is_planned(tmp_path: Path) -> None:
    with Stage(tmp_path, CUT) as stage:
        stage.wait((UNTIL - to_us(START)) / 1_000_000)
        assert [row["title"]["zh"] for row in stage.snapshot["schedule"]] == [words.NO_SCHEDULE.zh]
        view = stage.see(code(card(1)))
        assert (view["title"]["zh"], view["lines"]["zh"]) == (words.ACCEPTED.zh, words.ACTIVITY_LATER.zh)
