"""A newest sample in words: what is well, what is not, and nothing of what it does not tell."""

from zoneinfo import ZoneInfo

import pytest

from cloud.console.words import Language, Words
from cloud.readings import telling

ENGLISH, CHINESE = Words(Language.ENGLISH, ZoneInfo("UTC")), Words(Language.CHINESE, ZoneInfo("UTC"))

WELL = {
    "clock_offset_ms": -0.21, "network_up": 1.0, "network_wireless": 1.0, "network_signal_dbm": -56.0, "answer_ms": 18.4,
    "under_voltage": 0.0, "disk_percent": 29.0, "disk_free_bytes": 12.34e9, "memory_percent": 41.2, "cpu_percent": 7.0,
    "temperature_c": 52.0, "camera_fps": 14.0, "last_decode_age_s": 3.0, "page_alive": 1.0, "page_answer_ms": 22.0,
}  # fmt: skip


def test_sample_of_a_kiosk_that_is_well() -> None:
    assert dict(telling.rows(ENGLISH, WELL)) == {
        "Clock": "synced, -0.2 ms",
        "Network": "wireless, -56 dBm, answers in 18 ms",
        "Supply voltage": "sufficient",
        "Disk": "71 % free (12.3 GB)",
        "Memory in use": "41 %",
        "Processor": "7 %",
        "Temperature": "52 °C",
        "Camera": "14 frames a second, decoded 3 s before",
        "Page": "answers in 22 ms",
    }


@pytest.mark.parametrize(
    ("changed", "part", "says"),
    [
        ({"network_up": 0.0}, "Network", "no way to the network"),
        ({"under_voltage": 1.0}, "Supply voltage", "too low"),
        ({"camera_fps": 0.0}, "Camera", "0 frames a second"),
        ({"page_alive": 0.0}, "Page", "does not answer"),
    ],
)
def test_what_is_not_well_is_said_with_a_symbol(changed: dict[str, float], part: str, says: str) -> None:
    said = str(dict(telling.rows(ENGLISH, WELL | changed))[part])
    assert 'data-s="bad"' in said
    assert says in said


def test_parts_that_are_not_told_of_are_left_out() -> None:
    assert telling.rows(ENGLISH, {}) == [("Clock", "not synced by NTP")]
    assert [name for name, _ in telling.rows(CHINESE, {"cpu_percent": 7.0, "firmware": "1.1"})] == ["时钟", "处理器"]
