"""The agent's version of a terminal: what its birth says, and a text by which versions sort as numbers do. Pure.

Promises that 1.9.0 comes before 1.10.0, and that a birth without a version gives an empty text. Called by ingest with each birth,
and by the pages.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

LONGEST: Final = 60
"""Characters kept of a version; a terminal may say anything."""
_DIGITS: Final = 8


def version_of(birth: Mapping[str, Any] | None) -> str:
    """The agent's, else the first that is said; empty where none is."""
    versions = (birth or {}).get("versions") or {}
    return str(versions.get("agent") or next(iter(versions.values()), ""))[:LONGEST]


def order_of(version: str) -> str:
    """The same with every number filled up with zeros."""
    return re.sub(r"[0-9]+", lambda number: number[0].zfill(_DIGITS), version)
