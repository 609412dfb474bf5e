"""Samples of the terminal's health, which never stand in a check-in's way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import health
from edge.clock import KernelTime, SteppedClock
from edge.errors import OutboxFull
from edge.health import HealthSampler, measure
from edge.machine import Machine
from edge.outbox import Outbox
from firmware_specs import profiles
from firmware_specs.messages import Health
from firmware_specs.wire import decode_batch, decode_record
from tests.process import wait_until

FOLDER = Path("/")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def outbox(clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(":memory:", terminal="kiosk-1", clock=clock)
    yield outbox
    outbox.close()


def samples(outbox: Outbox) -> list[Health]:
    outgoing = outbox.next_batch(200, 65_536)
    assert outgoing is not None
    records = [decode_record(line) for line in decode_batch(outgoing.payload).lines]
    return [record for record in records if isinstance(record, Health)]


def test_sample_holds_what_every_terminal_measures(outbox: Outbox, clock: SteppedClock) -> None:
    clock.step(90)
    metrics = measure(outbox, clock, FOLDER)
    assert metrics["outbox_depth"] == 1
    assert metrics["outbox_age_s"] == 90
    assert metrics["uptime_s"] == 150
    assert {"cpu_percent", "memory_percent", "memory_mb", "disk_percent", "disk_free_bytes"} <= metrics.keys()


def test_every_metric_is_in_the_kiosks_profile(
    outbox: Outbox, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "hottest", lambda: 61.5)
    monkeypatch.setattr(health, "kernel_time", lambda: KernelTime(synced=True, offset_ms=-0.2))
    metrics = measure(outbox, clock, FOLDER)
    assert metrics.keys() <= profiles.load("kiosk").telemetry.keys()
    assert metrics["clock_offset_ms"] == -0.2


def test_empty_outbox_has_no_oldest_record(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.stored(outbox.status().stream, 1, 1)
    assert "outbox_age_s" not in measure(outbox, clock, FOLDER)


def test_disk_that_cannot_be_asked_is_left_out(outbox: Outbox, clock: SteppedClock) -> None:
    assert "disk_percent" not in measure(outbox, clock, Path("/not/there"))


def test_hottest_sensor_is_told_where_there_is_one(
    outbox: Outbox, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "hottest", lambda: 61.5)
    assert measure(outbox, clock, FOLDER)["temperature_c"] == 61.5


def test_what_the_machine_tells_of_power_and_network_is_in_the_sample(
    outbox: Outbox, clock: SteppedClock, tmp_path: Path
) -> None:
    throttled = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    throttled.parent.mkdir(parents=True)
    throttled.write_text("0x1")
    metrics = measure(outbox, clock, FOLDER, Machine(tmp_path / "sys", tmp_path / "proc"))
    assert (metrics["under_voltage"], metrics["network_up"]) == (1.0, 0.0)
    assert metrics.keys() <= profiles.load("tv").telemetry.keys()


def test_sample_is_kept_under_the_twin_in_force_with_what_parts_add(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.config = (7, 9)
    HealthSampler(outbox, clock, FOLDER, lambda: {"camera_fps": 12.5}).sample()
    (sample,) = samples(outbox)
    assert sample.config == (7, 9)
    assert sample.metrics["camera_fps"] == 12.5


def test_sample_without_room_is_not_taken(outbox: Outbox, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> int:
        raise OutboxFull("no room")

    monkeypatch.setattr(outbox, "append", refuse)
    HealthSampler(outbox, clock, FOLDER).sample()
    assert outbox.status().depth == 1


def test_sampler_goes_on_after_a_part_that_fails(outbox: Outbox, clock: SteppedClock) -> None:
    calls: list[int] = []

    def fail_once() -> dict[str, float]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the camera is gone")
        return {}

    sampler = HealthSampler(outbox, clock, FOLDER, fail_once)
    sampler.every_s = 0.01
    sampler.start()
    assert wait_until(lambda: outbox.status().depth > 1)
    sampler.stop()
