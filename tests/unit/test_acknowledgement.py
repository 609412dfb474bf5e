"""The one rule for every answer of the cloud, case by case."""

from dataclasses import replace

import pytest

from edge.acknowledgement import (
    MAX_WAIT_S,
    Advance,
    Ignore,
    OpenStream,
    Position,
    Rewind,
    Verdict,
    Wait,
    judge,
)
from edge.stream import StreamState, new_stream
from firmware_specs.messages import Gap, Stored
from firmware_specs.wire import chain_next

STREAM = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
CHAINS = [new_stream("kiosk-1", STREAM).start]
for index in range(1, 21):
    CHAINS.append(chain_next(CHAINS[-1], b"line %d" % index))
STATE = replace(
    new_stream("kiosk-1", STREAM),
    last=20,
    fixed=15,
    through=10,
    through_epoch=5,
    epoch=5,
    trimmed=4,
    trimmed_chain=CHAINS[4],
)


def position(**changes: object) -> Position:
    """20 records, 15 of them sent, 10 stored, the oldest 4 trimmed; epoch 5."""
    state: StreamState = replace(STATE, **changes)  # type: ignore[arg-type]
    known = {0, state.trimmed, *range(state.trimmed + 1, state.fixed + 1)}
    return Position(state, lambda number: CHAINS[number] if number in known else None)


def answer(through: int | None, *, chain: bytes | None = None, **fields: object) -> Stored:
    said: dict[str, object] = {"epoch": 5, "stream": STREAM}
    if through is not None:
        own = CHAINS[through] if through < len(CHAINS) else bytes(32)
        said |= {"through": through, "chain": (chain or own).hex()}
    return Stored.model_validate(said | fields)


def opened(verdict: Verdict) -> OpenStream:
    assert isinstance(verdict, OpenStream)
    return verdict


def test_equal_chain_further_on_is_forward() -> None:
    assert judge(position(), answer(15)) == Advance(15, 5)


def test_equal_chain_where_it_was_is_no_news() -> None:
    assert judge(position(), answer(10)) == Advance(10, 5)


def test_equal_chain_further_back_in_a_new_epoch_is_sent_again() -> None:
    assert judge(position(), answer(7, epoch=6)) == Rewind(7, 6, sure=True)


def test_equal_chain_further_back_in_the_same_epoch_may_be_an_old_answer() -> None:
    assert judge(position(), answer(7)) == Rewind(7, 5, sure=False)


def test_boundary_of_what_was_trimmed_can_still_be_compared() -> None:
    assert judge(position(), answer(4, epoch=6)) == Rewind(4, 6, sure=True)


def test_other_chain_in_the_same_epoch_opens_a_stream_after_what_is_known_to_be_stored() -> None:
    verdict = opened(judge(position(), answer(12, chain=bytes(32))))
    assert (verdict.parent.stream, verdict.parent.through) == (STREAM, 10)
    assert verdict.parent.chain == CHAINS[10].hex()
    assert (verdict.known, verdict.gap, verdict.reason) == (10, None, "diverged")


def test_other_chain_after_a_restore_copies_all_and_declares_what_was_trimmed() -> None:
    verdict = opened(judge(position(), answer(12, chain=bytes(32), epoch=6)))
    assert (verdict.parent.through, verdict.parent.chain) == (0, CHAINS[0].hex())
    assert verdict.known == 0
    assert verdict.gap == Gap(stream=STREAM, first=1, last=4, reason="trimmed")


def test_other_chain_after_a_restore_declares_nothing_where_nothing_was_trimmed() -> None:
    verdict = judge(position(trimmed=0, trimmed_chain=CHAINS[0]), answer(12, chain=bytes(32), epoch=6))
    assert opened(verdict).gap is None


def test_beyond_what_it_has_opens_a_stream() -> None:
    verdict = opened(judge(position(), answer(500)))
    assert (verdict.reason, verdict.known, verdict.parent.through) == ("beyond", 10, 10)


def test_number_that_was_never_sent_opens_a_stream() -> None:
    assert opened(judge(position(), answer(16))).reason == "diverged"


def test_trimmed_numbers_asked_for_again_after_a_restore_are_declared() -> None:
    verdict = opened(judge(position(), answer(2, epoch=6)))
    assert verdict.gap == Gap(stream=STREAM, first=3, last=4, reason="trimmed")
    assert (verdict.parent.through, verdict.known, verdict.sure) == (2, 2, True)


def test_whole_stream_asked_for_again_after_trimming_declares_from_the_first() -> None:
    verdict = opened(judge(position(), answer(0, epoch=6)))
    assert verdict.gap == Gap(stream=STREAM, first=1, last=4, reason="trimmed")


def test_trimmed_numbers_asked_for_within_an_epoch_are_doubted() -> None:
    assert opened(judge(position(), answer(2))).sure is False


def test_foreign_stream_opens_a_stream_without_a_gap() -> None:
    verdict = opened(judge(position(), answer(None, error="foreign_stream")))
    assert (verdict.parent.through, verdict.known, verdict.gap) == (10, 10, None)


def test_foreign_stream_of_a_stream_with_nothing_stored_names_its_start() -> None:
    fresh = position(last=3, fixed=3, through=0, trimmed=0, trimmed_chain=CHAINS[0])
    verdict = opened(judge(fresh, answer(None, error="foreign_stream")))
    assert (verdict.parent.through, verdict.parent.chain) == (0, CHAINS[0].hex())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(15, epoch=4), "lower_epoch"),
        (answer(15, stream=OTHER), "other_stream"),
        (answer(None, stream=OTHER, error="foreign_stream"), "other_stream"),
        (answer(None, stream=OTHER, error="busy"), "other_stream"),
        (answer(None, stream=None, error="foreign_stream"), "names_no_stream"),
        (answer(None), "says_nothing"),
    ],
)
def test_what_is_not_for_this_stream_is_ignored(said: Stored, reason: str) -> None:
    assert judge(position(), said) == Ignore(reason)


def test_higher_epoch_seen_elsewhere_makes_older_answers_void() -> None:
    assert judge(position(epoch=7), answer(15, epoch=6)) == Ignore("lower_epoch")


def test_epoch_seen_elsewhere_does_not_vouch_for_what_an_earlier_one_had_stored() -> None:
    verdict = opened(judge(position(epoch=6), answer(12, chain=bytes(32), epoch=6)))
    assert verdict.known == 0


def test_busy_waits_as_long_as_it_is_told() -> None:
    assert judge(position(), answer(None, error="busy", retry_after_s=3.0)) == Wait("busy", 5, 3.0, smaller=False)


def test_no_answer_can_put_a_terminal_off_for_ever() -> None:
    verdict = judge(position(), answer(None, error="busy", retry_after_s=86_400.0))
    assert isinstance(verdict, Wait)
    assert verdict.retry_after_s == MAX_WAIT_S


@pytest.mark.parametrize(
    ("error", "least_s", "smaller"),
    [
        ("broken", 0.0, True),
        ("too_large", 0.0, True),
        ("fork", 1.0, False),
        ("unknown_version", 60.0, False),
        ("too_many_streams", MAX_WAIT_S, False),
        ("bad_signature", MAX_WAIT_S, False),
        ("a_word_of_tomorrow", 5.0, False),
    ],
)
def test_error_that_changes_nothing_waits(error: str, least_s: float, smaller: bool) -> None:
    assert judge(position(), answer(10, error=error)) == Wait(error, 5, least_s, smaller)


@pytest.mark.parametrize("through", [2, 10, 12, 15, 99])
def test_bad_signature_neither_forks_nor_moves_whatever_it_says_of_a_position(through: int) -> None:
    for chain in (None, bytes(32)):
        verdict = judge(position(), answer(through, chain=chain, error="bad_signature"))
        assert verdict == Wait("bad_signature", 5, MAX_WAIT_S, smaller=False)


def test_error_beside_progress_is_progress() -> None:
    assert judge(position(), answer(15, error="fork")) == Advance(15, 5)


def test_fork_with_another_chain_opens_a_stream() -> None:
    assert opened(judge(position(), answer(10, chain=bytes(32), error="fork"))).reason == "diverged"
