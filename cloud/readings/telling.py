"""A terminal's newest sample in words, part by part. Pure; called by this feature's page."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from cloud.console.markup import Content
from cloud.console.widgets import say
from cloud.console.words import Words

Sample = Mapping[str, float | str]
GB: Final = 1e9


def rows(words: Words, sample: Sample) -> list[tuple[str, Content]]:
    """Each part that the sample tells of, and how it is."""
    found = [(words(f"readings.{name}"), tell(words, sample)) for name, tell in _PARTS.items()]
    return [(name, said) for name, said in found if said]


def _number(sample: Sample, name: str) -> float | None:
    value = sample.get(name)
    return value if isinstance(value, int | float) else None


def _clock(words: Words, sample: Sample) -> Content:
    offset_ms = _number(sample, "clock_offset_ms")
    if offset_ms is None:
        return words("readings.clock_alone")
    return words("readings.clock_synced", offset=f"{offset_ms:+.1f}")


def _network(words: Words, sample: Sample) -> Content:
    if _number(sample, "network_up") is None:
        return None
    if not _number(sample, "network_up"):
        return say("bad", words("readings.network_none"))
    parts = [words("readings.wireless" if _number(sample, "network_wireless") else "readings.wired")]
    signal_dbm, answer_ms = _number(sample, "network_signal_dbm"), _number(sample, "answer_ms")
    parts += [f"{signal_dbm:.0f} dBm"] if signal_dbm is not None else []
    parts += [words("readings.answers_in", ms=round(answer_ms))] if answer_ms is not None else []
    return words("audit.and_short").join(parts)


def _power(words: Words, sample: Sample) -> Content:
    low = _number(sample, "under_voltage")
    if low is None:
        return None
    return say("bad", words("readings.power_low")) if low else words("readings.power_good")


def _disk(words: Words, sample: Sample) -> Content:
    used, free = _number(sample, "disk_percent"), _number(sample, "disk_free_bytes")
    if used is None:
        return None
    said = words("readings.free", percent=round(100 - used))
    return said if free is None else f"{said} ({words.number(round(free / GB, 1))} GB)"


def _percent(name: str) -> Callable[[Words, Sample], Content]:
    def tell(_words: Words, sample: Sample) -> Content:
        value = _number(sample, name)
        return None if value is None else f"{value:.0f} %"

    return tell


def _temperature(_words: Words, sample: Sample) -> Content:
    value = _number(sample, "temperature_c")
    return None if value is None else f"{value:.0f} °C"


def _camera(words: Words, sample: Sample) -> Content:
    fps, age_s = _number(sample, "camera_fps"), _number(sample, "last_decode_age_s")
    if fps is None:
        return None
    said = words("readings.frames", fps=words.number(round(fps, 1)))
    if fps <= 0:
        return say("bad", said)
    if age_s is None:
        return said
    return words("readings.decoded", frames=said, age=words.duration(timedelta(seconds=age_s)))


def _page(words: Words, sample: Sample) -> Content:
    alive, answer_ms = _number(sample, "page_alive"), _number(sample, "page_answer_ms")
    if alive is None:
        return None
    if not alive:
        return say("bad", words("readings.page_silent"))
    return (
        words("readings.page_answers") if answer_ms is None else words("readings.page_answers_in", ms=round(answer_ms))
    )


_PARTS: Final[Mapping[str, Callable[[Words, Sample], Content]]] = {
    "clock": _clock,
    "network": _network,
    "power": _power,
    "disk": _disk,
    "memory": _percent("memory_percent"),
    "processor": _percent("cpu_percent"),
    "temperature": _temperature,
    "camera": _camera,
    "page": _page,
}
