"""The pure state of a stream: what may be trimmed, copied, replaced."""

from dataclasses import replace

import pytest

from edge import stream

STATE = stream.new_stream("kiosk-1", "00000000-0000-4000-8000-000000000001", epoch=3)


def test_new_stream_stands_in_its_epoch_with_nothing() -> None:
    assert (STATE.last, STATE.through, STATE.trimmed, STATE.epoch, STATE.through_epoch) == (0, 0, 0, 3, 3)
    assert STATE.trimmed_chain == STATE.start


def test_depth_counts_what_is_not_known_to_be_stored() -> None:
    state = stream.stored(stream.sent(stream.appended(STATE, 9), 6), 6, 3)
    assert (state.depth, state.fixed, state.last) == (3, 6, 9)


def test_fixed_never_goes_back() -> None:
    assert stream.sent(stream.sent(STATE, 6), 2).fixed == 6


def test_epoch_never_goes_back() -> None:
    assert stream.seen(STATE, 2).epoch == 3
    assert stream.stored(stream.seen(STATE, 9), 0, 4).epoch == 9


@pytest.mark.parametrize("through", [0, 7])
def test_only_stored_records_are_trimmed(through: int) -> None:
    state = replace(STATE, last=9, fixed=9, through=6, trimmed=1)
    with pytest.raises(ValueError, match="only stored records"):
        stream.trimmed(state, through, bytes(32))


def test_fork_copies_facts_and_what_is_not_known_to_be_stored() -> None:
    assert stream.is_copied(3, "check_in", 10)
    assert stream.is_copied(3, "interaction", 10)
    assert not stream.is_copied(10, "health", 10)
    assert stream.is_copied(11, "health", 10)


def test_only_samples_that_were_never_sent_are_replaced() -> None:
    state = replace(STATE, last=9, fixed=5)
    assert not stream.is_replaceable(state, 5, "health")
    assert stream.is_replaceable(state, 6, "health")
    assert not stream.is_replaceable(state, 6, "check_in")


def test_gap_of_nothing_is_none() -> None:
    assert stream.as_gap(STATE.stream, 5, 4, "trimmed") is None
