"""Reads line protocol for the InfluxDB double, apart from the adapter that writes it.

Source: InfluxDB 2 reference, "Line protocol": in names, comma, equals sign and space are escaped, and quotes mean
nothing; in texts, quotes and backslashes are escaped, and a newline is a newline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.influx_double_flux import Value

NAME = r"(?:[^\\,= \n]|\\.)+"
VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^", \n]+)'
TAGS = rf"(?:,{NAME}={NAME})*"
FIELDS = rf"{NAME}={VALUE}(?:,{NAME}={VALUE})*"
LINE = re.compile(rf"(?P<measurement>{NAME})(?P<tags>{TAGS}) (?P<fields>{FIELDS}) (?P<time>-?\d+)(?:\n|$)", re.DOTALL)
TAG = re.compile(rf",({NAME})=({NAME})")
FIELD = re.compile(rf"({NAME})=({VALUE})(?:,|$)", re.DOTALL)


class LineError(ValueError):
    """A line that is not line protocol."""


@dataclass(frozen=True)
class WrittenPoint:
    """A parsed line."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: dict[str, Value]
    time_ns: int


def parse_lines(body: str) -> list[WrittenPoint]:
    """All points, or LineError."""
    points, place = [], 0
    while place < len(body):
        match = LINE.match(body, place)
        if match is None:
            raise LineError(repr(body[place:].split("\n", 1)[0]))
        tags = tuple(sorted((unescaped(key), unescaped(value)) for key, value in TAG.findall(match["tags"])))
        fields = {unescaped(key): field_value(value) for key, value in FIELD.findall(match["fields"])}
        points.append(WrittenPoint(unescaped(match["measurement"]), tags, fields, int(match["time"])))
        place = match.end()
    return points


def unescaped(name: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", name)


def field_value(text: str) -> Value:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if re.fullmatch(r"-?\d+i", text):
        return int(text[:-1])
    if re.fullmatch(r"-?\d+(\.\d*)?([eE][+-]?\d+)?", text):
        return float(text)
    if text in ("t", "T", "true", "True", "f", "F", "false", "False"):
        return text[0] in "tT"
    raise LineError(f"{text!r}: invalid number or boolean")
