"""Which points every store takes: the strictest of the stores decides, so that all refuse the same ones.

Pure. The rules come from InfluxDB's line protocol and the float64 and int64 that all stores keep numbers in.
A refusal is permanent; its sentence goes into the quarantine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

from cloud.timeseries.buckets import END_OF_TIME_US
from cloud.timeseries.port import FieldValue, Measurement, Point

# The fields the profiles and records name. They are numbers everywhere, and have a column of their own in DuckDB.
NUMERIC_FIELDS: dict[Measurement, tuple[str, ...]] = {
    Measurement.ATTENDANCE: ("heads",),
    Measurement.INTERACTION: ("touches", "help_calls"),
    Measurement.PLAYBACK: ("plays", "played_s", "planned_s"),
    Measurement.HEALTH: (
        "cpu_percent",
        "memory_percent",
        "memory_mb",
        "disk_free_bytes",
        "disk_percent",
        "temperature_c",
        "outbox_depth",
        "outbox_age_s",
        "camera_fps",
        "last_decode_age_s",
        "page_alive",
        "clock_offset_ms",
        "uptime_s",
        "touches",
        "under_voltage",
        "network_up",
        "network_wireless",
        "network_signal_dbm",
        "network_errors",
        "answer_ms",
        "page_answer_ms",
    ),
    Measurement.PRESENCE: ("online",),
}
RESERVED_FIELDS = frozenset({"number", "uncertainty_us", "time"})
TEXT_PREFIX = "text/"  # under which InfluxDB keeps texts, so that a name's numbers and texts never conflict
MAX_TAG_LENGTH = 256
MAX_FIELD_NAME_LENGTH = 64
MAX_TEXT_LENGTH = 8192
MAX_FIELDS = 64
MAX_NUMBER = 2**63 - 1

# Line protocol cannot carry control characters in names, and a backslash before a separator reads two ways.
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def refusal(point: Point) -> str | None:
    """Why no store can keep the point, or None."""
    if not 1 <= point.number <= MAX_NUMBER:
        return f"number {point.number} is not between 1 and 2**63 - 1"
    if not 0 <= point.effective_at_us < END_OF_TIME_US:
        return f"effective time {point.effective_at_us} us is not between 1970 and 2262"
    if not 0 <= point.uncertainty_us <= MAX_NUMBER:
        return f"uncertainty {point.uncertainty_us} us is not between 0 and 2**63 - 1"
    return refusal_of_tags(point) or refusal_of_fields(point.measurement, point.fields)


def refusal_of_tags(point: Point) -> str | None:
    """Why its stream or a tag cannot be kept, or None."""
    if not point.stream:
        return "the stream has no name"
    for name in ("stream", "terminal", "room", "organisation", "kind"):
        problem = refusal_of_name(getattr(point, name))
        if problem:
            return f"{name} {problem}"
    return None


def refusal_of_name(name: str) -> str | None:
    """Why a tag's value cannot be kept, or None."""
    if len(name) > MAX_TAG_LENGTH:
        return f"is longer than {MAX_TAG_LENGTH} characters"
    if _UNCLEAN.search(name):
        return f"{name!a} has a control character or a backslash in it"
    return None


def refusal_of_fields(measurement: Measurement, fields: Mapping[str, FieldValue]) -> str | None:
    """Why a field cannot be kept, or None."""
    if len(fields) > MAX_FIELDS:
        return f"has {len(fields)} fields; {MAX_FIELDS} are the most"
    numeric = NUMERIC_FIELDS[measurement]
    for name, value in fields.items():
        problem = _refusal_of_field_name(name) or _refusal_of_value(value, must_be_number=name in numeric)
        if problem:
            return f"field {name[:MAX_FIELD_NAME_LENGTH]!a} {problem}"
    return None


def _refusal_of_field_name(name: str) -> str | None:
    if not name or name.startswith(("_", TEXT_PREFIX)) or name in RESERVED_FIELDS:
        return "has a name that the stores keep for themselves"
    if len(name) > MAX_FIELD_NAME_LENGTH or _UNCLEAN.search(name):
        return f"has a name longer than {MAX_FIELD_NAME_LENGTH}, or with a control character or a backslash"
    return None


def _refusal_of_value(value: FieldValue, *, must_be_number: bool) -> str | None:
    if isinstance(value, str):
        if must_be_number:
            return "is a text where all others are numbers"
        if len(value) > MAX_TEXT_LENGTH:
            return f"is a text of {len(value)} characters; {MAX_TEXT_LENGTH} are the most"
        return "is a text that is not Unicode" if _LONE_SURROGATE.search(value) else None
    try:
        return None if isfinite(value) else "is not a finite number"
    except OverflowError:
        return "is a number too large for a double"
    except TypeError:
        return f"is neither a number nor a text but {type(value).__name__}"
