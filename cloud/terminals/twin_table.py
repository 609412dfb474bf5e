"""The desired twin beside the reported one, setting by setting, for the terminal's page: what differs, since when, whence."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.console.markup import tag
from cloud.console.widgets import Column, mono, none, panel, plate, say, small, table
from cloud.console.words import Words
from cloud.templates import merging, setting_fields
from cloud.templates import service as templates
from cloud.templates.merging import Effective
from cloud.templates.setting_fields import Places
from cloud.terminals import reported, twin
from cloud.terminals.models import Terminal
from firmware_specs.profile_settings import ChoiceSetting, NumberSetting, value_text

Cell = str | Markup


@dataclass(frozen=True)
class Told:
    """What a terminal was told at last: the document, since when, since when it lags, and whence each setting comes."""

    document: dict[str, Any] | None = None
    told_at: datetime | None = None
    lags_since: datetime | None = None
    effective: Mapping[str, Effective] = field(default_factory=dict)
    places: Places = field(default_factory=dict)


def told(session: Session, terminal: Terminal) -> Told:
    """As it is now."""
    effective = twin.settings_in_effect(session, terminal)
    places = templates.places(session, effective.values())
    newest = twin.current_twin(session, terminal.id)
    if newest is None:
        return Told(effective=effective, places=places)
    lags_since = reported.lags_since(session, terminal, newest)
    return Told(json.loads(newest.document), newest.created_at, lags_since, effective, places)


def table_of(words: Words, known: Told, terminal: Terminal) -> Markup:
    """What it was told, what it says it has, and whether that is the same."""
    title = words("twin.title")
    desired = known.document
    if desired is None:
        return panel(title, none(words("twin.none"), words("twin.none_more")))
    says = terminal.reported or {}
    wanted, has = _version(desired.get("version")), _version(says.get("version"))
    columns = (Column(words("twin.setting")), Column(words("twin.desired"), h=True),
               Column(words("twin.reported"), h=True), Column(words("twin.result")))  # fmt: skip
    rows = [[words("twin.version"), _number(wanted, has), _number(has, wanted), _verdict(words, wanted, has, says)]]
    rows += _settings(words, known, terminal, same_version=wanted == has)
    rows += [_row(words, key, shown, says, wanted == has) for key, shown in _rest(words, desired)]
    problems = [[words("twin.problem"), "", tag("span", str(problem), lang="en"), say("bad", words("twin.refused"))]
                for problem in says.get("problems", [])]  # fmt: skip
    return panel(title, table(columns, [*rows, *problems], title), beside=small(_since(words, known)))


def _since(words: Words, known: Told) -> str:
    if known.lags_since is not None:
        return words("twin.differs_since", time=words.minute(known.lags_since))
    return words("twin.since", time=words.minute(known.told_at)) if known.told_at else ""


def _settings(words: Words, known: Told, terminal: Terminal, *, same_version: bool) -> list[list[Cell]]:
    """Those of the profile, in its order, with whence each comes."""
    rows: list[list[Cell]] = []
    says = (terminal.reported or {}).get("settings") or {}
    applied = bool((terminal.reported or {}).get("applied"))
    for name, about in merging.known_settings(terminal.profile, terminal.kind).items():
        wanted = (known.document or {}).get(name)
        shown = setting_fields.value_said(words, about, wanted)
        first = Markup("{} {}").format(words.either(about.zh, about.en), small(_whence(words, known, name, about)))
        has = says.get(name)
        if has is None:
            by_version = same_version and applied
            verdict = say("ok", words("twin.equal")) if by_version else say("unknown", words("twin.unknown"))
            rows.append([first, shown, words("twin.by_version") if by_version else "–", verdict])
            continue
        equal = has == value_text(wanted)
        verdict = say("ok", words("twin.equal")) if equal else say("differ", _differs(words, known))
        rows.append([first, shown, _said(words, about, has), verdict])
    return rows


def _whence(words: Words, known: Told, name: str, about: ChoiceSetting | NumberSetting) -> str:
    """Where its value comes from; where the next twin will tell another one, that one and whence."""
    effective = known.effective[name]
    whence = setting_fields.whence(words, effective, known.places)
    if effective.value == (known.document or {}).get(name):
        return whence
    return words("twin.next", value=setting_fields.value_said(words, about, effective.value), whence=whence)


def _said(words: Words, about: ChoiceSetting | NumberSetting, has: object) -> str:
    return setting_fields.value_said(words, about, str(has)[:40])


def _differs(words: Words, known: Told) -> str:
    at = known.lags_since or known.told_at
    return words("twin.differs_since", time=words.minute(at)) if at else words("twin.differs")


def _rest(words: Words, desired: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    room = desired.get("room") or {}
    return [
        ("room", plate(str(room["number"])) if room.get("number") else "–"),
        ("roster", _file(desired.get("roster"))),
        ("revocations", _file(desired.get("revocations"))),
        ("occurrences", words.number(len(desired.get("occurrences", [])))),
        ("issuer_keys", words.number(len(desired.get("issuer_keys", [])))),
    ]


def _row(words: Words, key: str, shown: Cell, says: Mapping[str, Any], same_version: bool) -> list[Cell]:
    """A terminal that reports nothing of a part by itself is believed by its version."""
    if same_version and says.get("applied"):
        return [words(f"twin.{key}"), shown, words("twin.by_version"), say("ok", words("twin.equal"))]
    return [words(f"twin.{key}"), shown, "–", say("unknown", words("twin.unknown"))]


def _verdict(words: Words, wanted: str, has: str, says: Mapping[str, Any]) -> Markup:
    if not has:
        return say("unknown", words("twin.never"))
    if wanted != has:
        return say("differ", words("twin.differs"))
    if says.get("applied"):
        return say("ok", words("twin.equal"))
    return say("bad", words("twin.refused")) if says.get("problems") else say("running", words("twin.pending"))


def _number(version: str, other: str) -> Cell:
    """Without the epoch, which is in the title, unless the other version is of another one."""
    epoch, _, number = version.rpartition("/")
    if not epoch or (other and other.rpartition("/")[0] != epoch):
        return version or "–"
    return tag("span", number, title=version)


def _version(version: Any) -> str:
    if isinstance(version, list):
        return "/".join(str(part) for part in version)
    return str(version) if version else ""


def _file(reference: Any) -> Cell:
    return mono(str(reference["sha256"])[:8]) if isinstance(reference, Mapping) and "sha256" in reference else "–"
