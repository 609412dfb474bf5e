"""Kinds of terminal: hardware, capabilities, limits, settings and telemetry of each, as YAML files beside this one.

The agent measures what its profile names and takes the settings that it names; the cloud shows both with the units and words
stated there. Read with `load`.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from firmware_specs.fields import Word
from firmware_specs.profile_settings import Setting

NAMES: Final = ("kiosk", "tv")
RecordType = Literal["started", "dropped", "check_in", "check_out", "interaction", "health", "command_state"]
Line = Annotated[str, Field(min_length=1, max_length=300)]


class _Part(BaseModel):
    """A misspelt key in a profile is a mistake, not an addition: these files are ours."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Metric(_Part):
    """One measurement of a `health` record. ``unit`` is a UCUM symbol, `1` for a plain number."""

    unit: Line
    kind: Literal["gauge", "counter"]
    zh: Line
    en: Line
    low: float
    high: float


class Hardware(_Part):
    """The least that a terminal of this kind has."""

    memory_mb: Annotated[int, Field(ge=1)]
    storage_mb: Annotated[int, Field(ge=1)]
    parts: list[Line]


class Limits(_Part):
    """What the agent keeps to; all times in seconds, all sizes in bytes."""

    outbox_bytes: Annotated[int, Field(ge=1)]
    reserved_bytes: Annotated[int, Field(ge=0)]
    stored_kept_s: Annotated[int, Field(ge=0)]
    resident_memory_mb: Annotated[int, Field(ge=1)]
    records_per_s: Annotated[int, Field(ge=1)]
    decision_ms: Annotated[int, Field(ge=1)] | None = None


class Profile(_Part):
    """One kind of terminal."""

    name: Word
    zh: Line
    en: Line
    hardware: Hardware
    capabilities: list[Word]
    records: list[RecordType]
    never_dropped: list[RecordType]
    limits: Limits
    settings: Annotated[dict[Word, Setting], Field(max_length=64)]
    telemetry: Annotated[dict[Word, Metric], Field(max_length=64)]


@cache
def load(name: str) -> Profile:
    """A profile by its name, read once; ValueError names those that exist."""
    if name not in NAMES:
        raise ValueError(f"there is no profile {name!r}; there are {', '.join(NAMES)}")
    return read(files(__name__).joinpath(f"{name}.yaml").read_text("utf-8"))


def read(text: str) -> Profile:
    """A profile from its YAML text; ValueError where it is wrong."""
    return Profile.model_validate(yaml.safe_load(text))
