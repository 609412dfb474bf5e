"""The terminal's clocks, and how far they are trusted."""

import time
from pathlib import Path

import pytest

from edge import clock as clocks
from edge.clock import EARLIEST_US, Clock, KernelTime, SteppedClock
from firmware_specs.messages import CheckIn, Method, Outcome
from firmware_specs.messages import Clock as Quality


def test_wall_clock_counts_microseconds() -> None:
    assert abs(Clock().now_us() - time.time() * 1e6) < 1e6


def test_time_since_boot_only_grows() -> None:
    clock = Clock()
    assert 0 < clock.mono_ms() <= clock.mono_ms()


def test_boot_is_the_kernels_id() -> None:
    assert Clock().boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_boot_id_is_made_up_where_the_kernel_gives_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clocks, "_BOOT_ID", tmp_path / "nothing")
    assert len(clocks.boot_id()) == 36


def test_trusted_clock_is_synced() -> None:
    assert Clock(trusted=True).quality() is Quality.SYNCED


def kernel_says(monkeypatch: pytest.MonkeyPatch, *, synced: bool, battery: bool = False) -> None:
    monkeypatch.setattr(clocks, "kernel_time", lambda: KernelTime(synced, 0.0))
    monkeypatch.setattr(clocks, "has_battery_clock", lambda: battery)


def test_clock_is_synced_where_the_kernel_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_says(monkeypatch, synced=True)
    assert Clock().quality() is Quality.SYNCED


def test_clock_that_was_synced_in_this_boot_is_held_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock(marker=tmp_path / "marker")
    kernel_says(monkeypatch, synced=True)
    assert clock.quality() is Quality.SYNCED
    kernel_says(monkeypatch, synced=False)
    assert clock.quality() is Quality.HOLDOVER
    assert Clock(marker=tmp_path / "marker").quality() is Quality.HOLDOVER
    (tmp_path / "marker").write_text("another boot")
    assert Clock(marker=tmp_path / "marker").quality() is Quality.UNSET


def test_battery_holds_the_time_over(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_says(monkeypatch, synced=False, battery=True)
    assert Clock().quality() is Quality.HOLDOVER


def test_clock_that_nothing_speaks_for_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel_says(monkeypatch, synced=False)
    assert Clock().quality() is Quality.UNSET


def test_marker_that_cannot_be_written_is_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel_says(monkeypatch, synced=True)
    assert Clock(marker=tmp_path / "not" / "there").quality() is Quality.SYNCED


def test_kernel_and_machine_can_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert abs(clocks.kernel_time().offset_ms) < 1000
    monkeypatch.setattr(clocks, "_BATTERY_CLOCKS", tmp_path)
    assert not clocks.has_battery_clock()
    (tmp_path / "rtc0").mkdir()
    assert clocks.has_battery_clock()


def test_time_before_this_program_existed_was_never_set(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text(str(EARLIEST_US - Clock().now_us() - 1_000_000))
    assert Clock(trusted=True, offset_file=offset).quality() is Quality.UNSET


def test_offset_file_is_read_at_each_call(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    clock = Clock(offset_file=offset)
    before_us = clock.now_us()
    offset.write_text("86400000000 unset\n")
    assert clock.now_us() - before_us >= 86_400_000_000
    assert clock.quality() is Quality.UNSET
    offset.write_text("")
    assert clock.now_us() - before_us < 86_400_000_000


def test_stepped_clock_moves_when_told() -> None:
    clock = SteppedClock()
    wall_us, mono_ms = clock.now_us(), clock.mono_ms()
    clock.step(1.5)
    assert (clock.now_us() - wall_us, clock.mono_ms() - mono_ms) == (1_500_000, 1500)
    clock.set_wall(5)
    assert (clock.now_us(), clock.mono_ms() - mono_ms) == (5, 1500)
    assert clock.quality() is Quality.SYNCED


def test_stamp_is_what_every_record_carries() -> None:
    clock = SteppedClock()
    record = CheckIn(**clock.stamp((3, 4)), method=Method.GUEST, outcome=Outcome.VISIT)
    assert (record.at, record.boot, record.config) == (clock.now_us(), clock.boot, (3, 4))
    assert clock.stamp((3, 4))["id"] != record.id
