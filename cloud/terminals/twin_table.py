"""The desired twin beside the reported one, setting by setting, for the terminal's page."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from cloud.console.widgets import Column, mono, none, panel, plate, say, small, table
from cloud.console.words import Words
from cloud.terminals.models import Terminal

Cell = str | Markup


def document(text: str) -> dict[str, Any]:
    """A twin's document as kept."""
    found: dict[str, Any] = json.loads(text)
    return found


def table_of(words: Words, desired: Mapping[str, Any] | None, terminal: Terminal, told_at: datetime | None) -> Markup:
    """What it was told, what it says it has, and whether that is the same."""
    title = words("twin.title")
    if desired is None:
        return panel(title, none(words("twin.none"), words("twin.none_more")))
    reported = terminal.reported or {}
    told, has = _version(desired.get("version")), _version(reported.get("version"))
    columns = (Column(words("twin.setting")), Column(words("twin.desired"), h=True),
               Column(words("twin.reported"), h=True), Column(words("twin.result")))  # fmt: skip
    rows = [[words("twin.version"), told, has or "–", _verdict(words, told, has, reported)]]
    rows += [_row(words, key, shown, reported, told == has) for key, shown in _settings(words, desired)]
    problems = [[words("twin.problem"), "", str(problem), say("bad", words("twin.refused"))]
                for problem in reported.get("problems", [])]  # fmt: skip
    since = words("twin.since", time=words.minute(told_at)) if told_at else ""
    return panel(title, table(columns, [*rows, *problems], title), beside=small(since))


def _settings(words: Words, desired: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    room = desired.get("room") or {}
    language = str(desired.get("language", ""))
    return [
        ("room", plate(str(room["number"])) if room.get("number") else "–"),
        ("language", words.known(f"twin.language_{language}", language)),
        ("roster", _file(desired.get("roster"))),
        ("revocations", _file(desired.get("revocations"))),
        ("occurrences", words.number(len(desired.get("occurrences", [])))),
        ("issuer_keys", words.number(len(desired.get("issuer_keys", [])))),
    ]


def _row(words: Words, key: str, shown: Cell, reported: Mapping[str, Any], same_version: bool) -> list[Cell]:
    """A terminal that reports nothing of a setting by itself is believed by its version."""
    says = (reported.get("settings") or {}).get(key)
    if says is not None:
        value = mono(str(says)[:8]) if key in {"roster", "revocations"} else str(says)
        return [words(f"twin.{key}"), shown, value, say("ok" if same_version else "info", words("twin.said"))]
    if same_version and reported.get("applied"):
        return [words(f"twin.{key}"), shown, words("twin.by_version"), say("ok", words("twin.equal"))]
    return [words(f"twin.{key}"), shown, "–", say("unknown", words("twin.unknown"))]


def _verdict(words: Words, told: str, has: str, reported: Mapping[str, Any]) -> Markup:
    if not has:
        return say("unknown", words("twin.never"))
    if told != has:
        return say("differ", words("twin.differs"))
    return say("ok", words("twin.equal")) if reported.get("applied") else say("bad", words("twin.refused"))


def _version(version: Any) -> str:
    if isinstance(version, Mapping):
        return f"{version.get('epoch', '')}/{version.get('number', '')}"
    if isinstance(version, list):
        return "/".join(str(part) for part in version)
    return str(version) if version else ""


def _file(reference: Any) -> Cell:
    return mono(str(reference["sha256"])[:8]) if isinstance(reference, Mapping) and "sha256" in reference else "–"
