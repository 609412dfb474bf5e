"""The real InfluxDB that the environment names for the tests, if it names one.

The three buckets `<bucket>`, `<bucket>_hourly` and `<bucket>_daily` are emptied by the tests: give them one of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

VARIABLES = tuple(f"ROOMLINK_TEST_INFLUX_{name}" for name in ("URL", "TOKEN", "ORG", "BUCKET"))


@dataclass(frozen=True)
class RealInflux:
    """Where the server is and how to speak to it."""

    url: str
    token: str
    org: str
    bucket: str


def real_influx() -> RealInflux | None:
    """The server, when all four variables are set."""
    values = [os.environ.get(name, "") for name in VARIABLES]
    return RealInflux(*values) if all(values) else None


def report() -> str:
    """What a test run says about it."""
    found = real_influx()
    if found is None:
        return f"InfluxDB: a double only; nothing ran against a real server ({', '.join(VARIABLES)} name none)"
    return f"InfluxDB: a double, and the real one at {found.url}"
