"""The audit in words: ids become the names of things, settings get the words of their forms, values those of the page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud.accounts import service as accounts
from cloud.activities import service as activities
from cloud.activities.repeating import said
from cloud.audit.models import AuditEntry
from cloud.clock import from_us
from cloud.console.words import Words
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms
from firmware_specs.credentials import card_number

ID: Final = re.compile(r"\b(?:acc|act|mem|org|rm)_[0-9a-f]{16}\b")
LEFT_OUT: Final = frozenset({
    "organisation_id", "timezone", "opens_before_s", "profile", "session_id",
})  # fmt: skip
"""What an entry holds besides, that says little to a person; the API gives all."""


@dataclass(frozen=True)
class Names:
    """What ids are called: name and English name."""

    known: Mapping[str, tuple[str, str]]

    def of(self, words: Words, text: str) -> str:
        """`text` with names instead of ids."""
        return ID.sub(lambda found: words.either(*self.known.get(found[0], ("", ""))) or found[0], text)


def names(session: Session, entries: Iterable[AuditEntry]) -> Names:
    """Of all that these entries speak of, each kind by one query."""
    ids = set(ID.findall(" ".join(f"{entry.subject} {entry.detail} {entry.before}" for entry in entries)))
    by_kind = {kind: {each for each in ids if each.startswith(kind)} for kind in ("acc", "act", "mem", "org", "rm")}
    labels = rooms.labels(session, by_kind["rm"])
    return Names({
        **organisations.names(session, by_kind["org"]),
        **activities.titles(session, by_kind["act"]),
        **{each: (name, "") for each, name in accounts.names(session, by_kind["acc"]).items()},
        **{each: (name, "") for each, name in members.names(session, by_kind["mem"]).items()},
        **{each: (f"{number} {name}", f"{number} {name_en or name}") for each, (number, name, name_en) in labels.items()},
    })  # fmt: skip


def subject(words: Words, entry: AuditEntry, known: Names) -> str:
    """What was changed."""
    if entry.action.startswith("credential.") and re.fullmatch(r"[0-9a-f]{16}", entry.subject):
        return card_number(entry.subject)
    if entry.action.startswith("token."):
        return str(entry.detail.get("name") or entry.subject)
    if entry.action.startswith("template."):
        place = entry.detail.get("room_id") or entry.detail.get("organisation_id")
        return known.of(words, str(place)) if place else words("templates.everywhere")
    if entry.action == "terminal.import":
        return words("nav.terminals")
    thing = entry.subject.partition("/")[0]
    return known.of(words, thing)


def detail(words: Words, entry: AuditEntry, known: Names) -> str:
    """How, in the words of the forms: what differs from before, then what else was said."""
    before, after = _flat(entry.before or {}), _flat(entry.detail)
    if entry.action.endswith(".delete"):
        after = {name: value for name, value in after.items() if name not in before}
    said = [_changed(words, name, old, after[name], entry, known) for name, old in before.items()
            if name in after and old != after[name]]  # fmt: skip
    said += [_was(words, name, old, entry, known) for name, old in _telling(before) if name not in after]
    said += [_line(words, name, _value(words, name, value, entry, known)) for name, value in _telling(after)
             if name not in before]  # fmt: skip
    return words("audit.and").join(said)


def place(words: Words, address: str) -> str:
    """From where: an address of the network, or which of our own programs."""
    return words.known(f"audit.program_{address.replace(' ', '_')}", address) or "–"


def who(words: Words, entry: AuditEntry) -> str:
    """The account's name, or which of our own programs; a dash for somebody unknown."""
    return words.known(f"audit.program_{entry.who.replace(' ', '_')}", entry.who)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings beside the rest."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _telling(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items()
            if name not in LEFT_OUT and value is not None and value not in ("", [], False)]  # fmt: skip


def _line(words: Words, name: str, says: str) -> str:
    return words("fault.line", where=words.known(f"field.{name}", words("field.this")), says=says)


def _was(words: Words, name: str, old: Any, entry: AuditEntry, known: Names) -> str:
    return _line(words, name, words("audit.was", old=_shown(words, name, old, entry, known)))


def _changed(words: Words, name: str, old: Any, new: Any, entry: AuditEntry, known: Names) -> str:
    old, new = (_shown(words, name, value, entry, known) for value in (old, new))
    return _line(words, name, words("audit.from_to", old=old, new=new))


def _shown(words: Words, name: str, value: Any, entry: AuditEntry, known: Names) -> str:
    """A value, or that there is none."""
    empty = value is None or value in ("", [])
    return words("audit.nothing") if empty else _value(words, name, value, entry, known)


def _value(words: Words, name: str, value: Any, entry: AuditEntry, known: Names) -> str:
    if name == "fields" and isinstance(value, list):
        return words("audit.and_short").join(words.known(f"field.{each}", words("field.this")) for each in value)
    if name == "starts_at" and isinstance(value, int):
        return words.minute(from_us(value))
    if name in {"duration_s", "opens_before_s"} and isinstance(value, int | float):
        return words("time.minutes", n=int(value) // 60)
    if name == "rrule":
        at = entry.detail.get("starts_at")
        start: datetime = from_us(at) if isinstance(at, int) else entry.at
        return said(words, str(value), start.astimezone(words.zone))
    if isinstance(value, bool):
        return words("audit.yes" if value else "audit.no")
    if isinstance(value, list):
        return words("audit.and_short").join(known.of(words, str(each)) for each in value)
    said_in_words = words.maybe(f"{'role' if name == 'role' else name}.{value}")
    return said_in_words or known.of(words, words.number(value) if isinstance(value, int | float) else str(value))
