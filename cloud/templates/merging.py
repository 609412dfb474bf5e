"""Which settings a terminal gets, and where each comes from: the profile's default, templates in their order, its own. Pure.

Promises one order: everywhere, then the organisations from the top down, then the room; in each place what is for all kinds
before what is for this kind; the terminal's own last. Called by `templates.service` and by the twin.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, TypeVar

from pydantic import Field, StrictFloat, StrictStr

from cloud.errors import Fault, Invalid
from firmware_specs import profiles
from firmware_specs.fields import Word
from firmware_specs.profile_settings import ChoiceSetting, Misfit, NumberSetting, Settings, Value, defaults, misfits

Kind = Literal["kiosk", "tv"]
Given = Annotated[
    dict[Word, StrictStr | Annotated[StrictFloat, Field(allow_inf_nan=False)]],
    Field(max_length=64, examples=[{"language": "en", "health_every_s": 30}]),
]
"""Settings by name, as far as somebody set them: which there are, and what they may be, says the profile."""

PROFILES: Final = profiles.NAMES
EVERYWHERE: Final = ""
"""The place of a template that is for all."""


class Layer(Protocol):
    """What is merged of a template."""

    id: str
    place: str
    kind: str
    settings: dict[str, Value]


L = TypeVar("L", bound=Layer)


@dataclass(frozen=True)
class Effective:
    """A setting's value and whence: `default`, `own`, or `template` with its id and place."""

    value: Value
    source: Literal["default", "template", "own"]
    template_id: str | None = None
    place: str | None = None


def settings_of(profile: str) -> Settings:
    """What can be set at a terminal of this profile; Invalid for one that there is not."""
    try:
        return profiles.load(profile).settings
    except ValueError as error:
        known = ", ".join(profiles.NAMES)
        fault = Fault(
            "body.profile", f"there is no such profile; there are {known}", "profile_unknown", {"known": known}
        )
        raise Invalid("The profile does not exist.", [fault], code="profile_unknown", known=known) from error


def known_settings(profile: str, kind: str) -> Settings:
    """The same of a terminal that there is, whose profile may be of another release: then what its kind has."""
    return settings_of(profile if profile in profiles.NAMES else kind)


def check(profile: str, given: Mapping[str, Value]) -> None:
    """Invalid, with every fault, for settings that a terminal of this profile does not have or take."""
    _refuse(misfits(settings_of(profile), given))


def check_for_kind(kind: str | None, given: Mapping[str, Value]) -> None:
    """The same for a kind; without one, what some kind has, and every kind that has it takes."""
    if kind:
        check(kind, given)
        return
    found: list[Misfit] = []
    for name, value in sorted(given.items()):
        wrong = [misfits(settings_of(each), {name: value}) for each in profiles.NAMES]
        taken = [each for each in wrong if not each or each[0].code != "setting_unknown"]
        found += next((each for each in taken or wrong if each), [])
    _refuse(found)


def all_settings(kind: str | None) -> Settings:
    """What can be set at this kind, or at any."""
    found: dict[str, ChoiceSetting | NumberSetting] = {}
    for name in [kind] if kind else profiles.NAMES:
        found |= dict(settings_of(name))
    return found


def in_order(layers: Iterable[L], places: Sequence[str], kind: str) -> list[L]:
    """Those for this kind in these places, in the order in which they count: the later wins. `places` are from the top."""
    rank = {place: number for number, place in enumerate((EVERYWHERE, *places))}
    concerned = [each for each in layers if each.place in rank and each.kind in {"", kind}]
    return sorted(concerned, key=lambda each: (rank[each.place], each.kind != ""))


def merged(settings: Settings, layers: Sequence[Layer], own: Mapping[str, Value]) -> dict[str, Effective]:
    """Each setting of the profile; what a template has besides, or has out of this profile's range, is passed over."""
    found = {name: Effective(value, "default") for name, value in defaults(settings).items()}
    for layer in layers:
        for name, value in _fitting(settings, layer.settings).items():
            found[name] = Effective(value, "template", layer.id, layer.place)
    for name, value in _fitting(settings, own).items():
        found[name] = Effective(value, "own")
    return found


def values(effective: Mapping[str, Effective]) -> dict[str, Value]:
    """Without whence."""
    return {name: each.value for name, each in effective.items()}


def _fitting(settings: Settings, given: Mapping[str, Value]) -> dict[str, Value]:
    wrong = {each.name for each in misfits(settings, given)}
    return {name: value for name, value in given.items() if name not in wrong}


def _refuse(wrong: Sequence[Misfit]) -> None:
    if wrong:
        raise Invalid("A setting cannot be set so.", [_fault(each) for each in wrong], code="settings")


def _fault(misfit: Misfit) -> Fault:
    code = misfit.code
    return Fault(f"body.settings.{misfit.name}", misfit.says, code, misfit.values)
