"""When a record really happened, as far as its clocks, its batch and its neighbours tell."""

from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.accept import Neighbour
from cloud.ingest.effective import (
    CLOCKS_MAY_DIFFER_US,
    Basis,
    Effective,
    Sending,
    effective_times,
    neighbour_of,
)
from firmware_specs.messages import Clock

S: Final = 1_000_000
NOW: Final = 1_795_000_000 * S
RESEND: Final = 20 * S
UP_MS: Final = 500_000


@dataclass(frozen=True)
class Stamp:
    """A record's times: `ago_s` seconds before the batch was sent, by a clock that is `off_s` ahead."""

    ago_s: int
    off_s: int = 0
    clock: Clock = Clock.SYNCED
    boot: str = "here"

    @property
    def at(self) -> int:
        return NOW - self.ago_s * S + self.off_s * S

    @property
    def mono_ms(self) -> int:
        return UP_MS - self.ago_s * 1000


def sending(off_s: int = 0) -> Sending:
    return Sending(NOW + off_s * S, UP_MS, "here", NOW, RESEND)


def at(seconds_ago: int, uncertainty_s: int, basis: Basis) -> Effective:
    return Effective(NOW - seconds_ago * S, uncertainty_s * S, basis)


def test_synced_record_of_a_terminal_whose_clock_agrees_happened_when_it_says() -> None:
    assert effective_times(sending(), [Stamp(7)], None) == [at(7, 0, Basis.TERMINAL)]


@pytest.mark.parametrize(("off_s", "trusted"), [(80, True), (-80, True), (81, False), (-81, False), (86_400, False)])
def test_a_clock_agrees_within_the_resend_timeout_and_a_minute(off_s: int, trusted: bool) -> None:
    (time,) = effective_times(sending(off_s), [Stamp(7, off_s)], None)
    assert time == (Effective(NOW - 7 * S + off_s * S, 0, Basis.TERMINAL) if trusted else at(7, 20, Basis.COUNTED))


@pytest.mark.parametrize("clock", [Clock.HOLDOVER, Clock.UNSET])
def test_record_with_an_unsure_clock_is_counted_back_on_the_monotonic_one(clock: Clock) -> None:
    assert effective_times(sending(), [Stamp(3600, -99_999, clock)], None) == [at(3600, 20, Basis.COUNTED)]


def test_record_from_the_future_of_its_own_boot_cannot_be_counted_back() -> None:
    (time,) = effective_times(sending(), [Stamp(-5, 0, Clock.UNSET)], None)
    assert time == Effective(NOW, NOW, Basis.BEFORE)


def test_record_of_another_boot_is_put_between_its_neighbours() -> None:
    stamps = [Stamp(100), Stamp(0, 0, Clock.UNSET, "before"), Stamp(40)]
    assert effective_times(sending(), stamps, None)[1] == at(70, 30, Basis.BETWEEN)


def test_neighbour_before_may_be_the_streams_last_stored_record() -> None:
    last = Neighbour(NOW - 100 * S, 0, "long ago", 0)
    stamps = [Stamp(0, 0, Clock.UNSET, "before"), Stamp(40)]
    assert effective_times(sending(), stamps, last)[0] == at(70, 30, Basis.BETWEEN)


def test_neighbour_after_may_be_the_receipt() -> None:
    stamps = [Stamp(100), Stamp(0, 0, Clock.UNSET, "before")]
    assert effective_times(sending(), stamps, None)[1] == at(50, 50, Basis.BETWEEN)


def test_neighbour_of_the_same_boot_tells_the_time_to_the_millisecond() -> None:
    last = Neighbour(NOW - 5000 * S, RESEND, "before", 1000)
    stamp = Stamp(0, 0, Clock.HOLDOVER, "before")
    gone_ms = stamp.mono_ms - 1000
    assert effective_times(sending(), [stamp], last) == [
        Effective(NOW - 5000 * S + gone_ms * 1000, RESEND, Basis.BETWEEN)
    ]


def test_without_anything_before_it_only_the_latest_possible_time_is_known() -> None:
    stamps = [Stamp(0, 0, Clock.UNSET, "before"), Stamp(40)]
    assert effective_times(sending(), stamps, None)[0] == Effective(NOW - 40 * S, NOW - 40 * S, Basis.BEFORE)


def test_record_that_could_not_be_read_is_put_between_its_neighbours() -> None:
    assert effective_times(sending(), [Stamp(100), None, Stamp(40)], None)[1] == at(70, 30, Basis.BETWEEN)


def test_wrong_clock_of_a_day_changes_nothing_for_records_of_this_boot() -> None:
    day = 86_400
    times = effective_times(sending(day), [Stamp(60, day), Stamp(30, day), Stamp(0, day)], None)
    assert [time.at for time in times] == [NOW - 60 * S, NOW - 30 * S, NOW]


def test_last_record_that_could_be_read_is_what_the_next_batch_has_before_it() -> None:
    stamps = [Stamp(100), Stamp(40), None]
    times = effective_times(sending(), stamps, None)
    assert neighbour_of(stamps, times, None) == Neighbour(NOW - 40 * S, 0, "here", stamps[1].mono_ms)  # type: ignore[union-attr]


def test_batch_of_nothing_readable_leaves_what_was_there() -> None:
    last = Neighbour(1, 2, "b", 3)
    assert neighbour_of([None], effective_times(sending(), [None], last), last) == last


stamps = st.one_of(
    st.none(),
    st.builds(
        Stamp,
        st.integers(-100, 10_000),
        st.integers(-10_000, 10_000),
        st.sampled_from(Clock),
        st.sampled_from(["here", "before", "long ago"]),
    ),
)
lasts = st.one_of(
    st.none(),
    st.builds(
        Neighbour, st.integers(0, NOW), st.integers(0, S), st.sampled_from(["here", "before"]), st.integers(0, UP_MS)
    ),
)


@given(batch=st.lists(stamps, min_size=1, max_size=8), last=lasts, off_s=st.integers(-200, 200))
def test_every_record_gets_a_time_that_can_be_stored(
    batch: list[Stamp | None], last: Neighbour | None, off_s: int
) -> None:
    times = effective_times(sending(off_s), batch, last)
    assert len(times) == len(batch)
    for stamp, time in zip(batch, times, strict=True):
        assert time.at >= 0
        assert time.uncertainty_us >= 0
        agrees = abs(off_s * S) <= RESEND + CLOCKS_MAY_DIFFER_US
        assert (time.basis is Basis.TERMINAL) == (stamp is not None and agrees and stamp.clock is Clock.SYNCED)
        if time.basis is not Basis.TERMINAL and all(
            each is None or not agrees or each.clock is not Clock.SYNCED for each in batch
        ):
            assert time.at <= NOW
