"""What can be set at a terminal of one profile: each setting's type, range or choices, unit, default and words. Pure.

Promises that the cloud before it sends, and the terminal before it applies, judge a value by the same lines of the profile.
Called by `profiles` (which reads them), by the cloud's forms and by the terminal's twin.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firmware_specs.errors import DecodeError
from firmware_specs.fields import MAX_TWIN_BYTES, Word
from firmware_specs.messages import Desired
from firmware_specs.strict import json_object
from firmware_specs.wire import decode_desired

Line = Annotated[str, Field(min_length=1, max_length=300)]
Value = str | float
MAX_SHOWN: Final = 40
"""Characters of a refused value that a sentence repeats."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Words(_Part):
    """What people read of a setting: its title, and what it does."""

    zh: Line
    en: Line
    help_zh: Line
    help_en: Line


class Choice(_Part):
    """One of the words that a setting may have."""

    value: Word
    zh: Line
    en: Line


class ChoiceSetting(_Words):
    """One of a few words."""

    type: Literal["choice"]
    choices: Annotated[list[Choice], Field(min_length=2, max_length=20)]
    default: Word

    @model_validator(mode="after")
    def _default_is_a_choice(self) -> "ChoiceSetting":
        if self.default not in {each.value for each in self.choices}:
            raise ValueError("the default is none of the choices")
        return self


class NumberSetting(_Words):
    """A number from ``low`` to ``high``, both allowed. ``unit`` is a UCUM symbol, `1` for a plain number."""

    type: Literal["number"]
    unit: Line
    low: float
    high: float
    default: float

    @model_validator(mode="after")
    def _default_is_in_range(self) -> "NumberSetting":
        if not self.low <= self.default <= self.high:
            raise ValueError("the default is out of the range")
        return self


Setting = Annotated[ChoiceSetting | NumberSetting, Field(discriminator="type")]
Settings = Mapping[str, ChoiceSetting | NumberSetting]


@dataclass(frozen=True)
class Misfit:
    """A setting that is not taken: a sentence that says what is allowed, and its code and values for other languages."""

    name: str
    says: str
    code: str
    values: Mapping[str, object] = field(default_factory=dict)


def misfits(settings: Settings, given: Mapping[str, object]) -> list[Misfit]:
    """Which of the given settings do not exist or have a value that is not allowed, by name."""
    found = (_misfit(settings, name, value) for name, value in sorted(given.items()))
    return [each for each in found if each is not None]


def defaults(settings: Settings) -> dict[str, Value]:
    """What counts where nobody has set anything."""
    return {name: about.default for name, about in settings.items()}


def value_text(value: object) -> str:
    """A value as a report says it: 60 for 60.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_desired(payload: bytes, settings: Settings, in_force: Mapping[str, Value]) -> tuple[Desired, list[Misfit]]:
    """A desired twin, in which each setting that does not fit is what it was ``in_force`` before, and which these are.

    Raises DecodeError for what cannot be read for any other reason.
    """
    try:
        desired = decode_desired(payload)
    except DecodeError as error:
        return _read_without_misfits(payload, settings, in_force, error)
    wrong = misfits(settings, {name: getattr(desired, name) for name in settings})
    kept = {each.name: in_force[each.name] for each in wrong}
    return (desired.model_copy(update=kept) if kept else desired), wrong


def _read_without_misfits(
    payload: bytes, settings: Settings, in_force: Mapping[str, Value], why: DecodeError
) -> tuple[Desired, list[Misfit]]:
    if len(payload) > MAX_TWIN_BYTES:
        raise why
    fields: dict[str, Any] = json_object("desired", payload)
    wrong = misfits(settings, {name: fields[name] for name in settings if name in fields})
    if not wrong:
        raise why
    fields |= {each.name: in_force[each.name] for each in wrong}
    return decode_desired(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()), wrong


def _misfit(settings: Settings, name: str, value: object) -> Misfit | None:
    about = settings.get(name)
    if about is None:
        known = ", ".join(sorted(settings))
        return Misfit(name, f"there is no such setting; there are {known}", "setting_unknown", {"known": known})
    if isinstance(about, ChoiceSetting):
        words = [each.value for each in about.choices]
        if value in words:
            return None
        allowed = ", ".join(words)
        return Misfit(name, f"must be one of {allowed}, and is {_shown(value)}", "setting_choice",
                      {"allowed": allowed, "value": _shown(value)})  # fmt: skip
    if isinstance(value, int | float) and not isinstance(value, bool) and about.low <= value <= about.high:
        return None
    span = {"low": value_text(about.low), "high": value_text(about.high), "unit": _unit(about), "value": _shown(value)}
    return Misfit(name, "must be {low} to {high}{unit}, and is {value}".format(**span), "setting_range", span)


def _unit(about: NumberSetting) -> str:
    return "" if about.unit == "1" else f" {about.unit}"


def _shown(value: object) -> str:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    text = value_text(value) if plain else json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
