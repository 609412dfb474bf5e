"""Console: the fields of settings, built from a profile, for a terminal's own and for a template's; and values in words.

A field that is left empty sets nothing: its hint says what counts then, and whence.
"""

from collections.abc import Mapping

from markupsafe import Markup

from cloud.console.markup import join, tag
from cloud.console.words import Words
from cloud.templates.merging import Effective
from firmware_specs.profile_settings import ChoiceSetting, NumberSetting, Settings, Value, value_text

Places = Mapping[str, tuple[str, str]]
"""What the places of templates are called, by id."""

PREFIX = "set_"
"""Before a setting's name in a form, so that none is called like another field."""


def title(words: Words, about: ChoiceSetting | NumberSetting) -> str:
    """What it is called, with its unit."""
    named = words.either(about.zh, about.en)
    unit = _unit(words, about)
    return words("setting.title", name=named, unit=unit) if unit else named


def value_said(words: Words, about: ChoiceSetting | NumberSetting, value: object) -> str:
    """A value in words; one that is not of the profile as it is."""
    if isinstance(about, ChoiceSetting):
        return next((words.either(each.zh, each.en) for each in about.choices if each.value == value), str(value))
    return " ".join(filter(None, (value_text(value), _unit(words, about))))


def whence(words: Words, effective: Effective, places: Places) -> str:
    """Where a value comes from."""
    if effective.source != "template":
        return words(f"setting.from_{effective.source}")
    if not effective.place:
        return words("setting.from_everywhere")
    return words("setting.from_template", place=words.either(*places.get(effective.place, ("–", "–"))))


def fields(
    words: Words, settings: Settings, own: Mapping[str, object], without: Mapping[str, Effective] | None, places: Places
) -> Markup:
    """A field for each setting; `without` is what counts where it is left empty, None where that depends on the terminal."""
    return join([_field(words, name, about, own.get(name), without, places) for name, about in settings.items()])


def given(settings: Settings, values: Mapping[str, str]) -> dict[str, Value]:
    """What was filled in: numbers as numbers where they are some; the profile judges the rest."""
    filled = {name: values.get(PREFIX + name, "").strip() for name in settings}
    return {name: _read(settings[name], text) for name, text in filled.items() if text}


def _unit(words: Words, about: ChoiceSetting | NumberSetting) -> str:
    """In the page's words; none of a plain number."""
    if isinstance(about, ChoiceSetting) or about.unit == "1":
        return ""
    return words.known(f"unit.{about.unit}", about.unit)


def _field(
    words: Words,
    name: str,
    about: ChoiceSetting | NumberSetting,
    value: object,
    without: Mapping[str, Effective] | None,
    places: Places,
) -> Markup:
    hint = words.either(about.help_zh, about.help_en)
    leave = words("setting.unset")
    if without is not None:
        empty = value_said(words, about, without[name].value)
        leave = words("setting.leave", value=empty)
        says = words("setting.empty", value=empty, whence=whence(words, without[name], places))
        hint = f"{hint} {says}"
    control = _choice(words, name, about, value, leave) if isinstance(about, ChoiceSetting) else tag(
        "input", name=PREFIX + name, value="" if value is None else value_text(value), class_="rl-field", type="number",
        min=value_text(about.low), max=value_text(about.high), step="any",
    )  # fmt: skip
    return tag("label", title(words, about), control, tag("span", hint, class_="q t1"))


def _choice(words: Words, name: str, about: ChoiceSetting, value: object, leave: str) -> Markup:
    first = tag("option", leave, value="", selected=value is None)
    rest = [tag("option", words.either(each.zh, each.en), value=each.value, selected=each.value == value)
            for each in about.choices]  # fmt: skip
    return tag("select", first, *rest, name=PREFIX + name, class_="rl-field")


def _read(about: ChoiceSetting | NumberSetting, text: str) -> Value:
    if isinstance(about, ChoiceSetting):
        return text
    try:
        return float(text)
    except ValueError:
        return text
