"""What a message says: subject, plain text and the webhook's body, in the receiver's language and time zone.

Promises no name of a person, no address, no secret: rooms, terminals, rules and times only. Called by the sender, after reading.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from cloud.alarms.grouping import Reach
from cloud.alarms.standing import Standing
from cloud.clock import to_us
from cloud.console.words import Language, Words
from cloud.notifications.deciding import What
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms

BODY_TYPE: Final = "alarms"
TEST_TYPE: Final = "test"


@dataclass(frozen=True)
class Item:
    """One thing that is told: what happened to the alarm and when, and how it stands now."""

    what: What
    at: datetime
    alarm: Standing


@dataclass(frozen=True)
class Names:
    """What rooms and organisations are called."""

    rooms: Mapping[str, tuple[str, str, str]]
    organisations: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Written:
    """A message as it is sent: by mail subject and text, by webhook `body`, which is JSON and holds both."""

    subject: str
    text: str
    body: bytes


@dataclass(frozen=True)
class Tongue:
    """Whom it is for: the receiver's id and name, its words, and the console's address, where it is known."""

    receiver_id: str
    name: str
    words: Words
    public_url: str | None = None

    @classmethod
    def of(cls, receiver_id: str, name: str, language: str, timezone: str, public_url: str | None) -> "Tongue":
        """From a receiver's row."""
        return cls(receiver_id, name, Words(Language(language), ZoneInfo(timezone)), public_url)


def names_of(session: Session, alarms: Iterable[Standing]) -> Names:
    """Of the places of these alarms."""
    known = list(alarms)
    return Names(
        rooms.labels(session, {each.room_id for each in known if each.room_id}),
        organisations.names(session, {each.place_id for each in known if each.reach is Reach.ORGANISATION}),
    )


def write(tongue: Tongue, items: Sequence[Item], names: Names, now: datetime) -> Written:
    """One message about one or several things."""
    words = tongue.words
    first = items[0]
    title = words("letter.subject", what=_title(words, first), place=place(words, first.alarm, names))
    if len(items) > 1:
        title = words("letter.several", n=len(items), what=_title(words, first))
    paragraphs = ["\n".join(_lines(tongue, item, names)) for item in items]
    told = [_told(tongue, item, names) for item in items]
    return _written(tongue, BODY_TYPE, title, [*paragraphs, words("letter.foot", name=tongue.name)], now, told)


def write_test(tongue: Tongue, now: datetime) -> Written:
    """A message that says that nothing is wrong."""
    words = tongue.words
    said = words("letter.test", name=tongue.name)
    return _written(tongue, TEST_TYPE, words("letter.test_subject"), [said], now, [])


def place(words: Words, alarm: Standing, names: Names) -> str:
    """Where it is, as the console says it, but in plain text."""
    number, name, name_en = names.rooms.get(alarm.room_id, ("", "", ""))
    room = f"{number} {words.either(name, name_en)}".strip()
    match alarm.reach:
        case Reach.TERMINAL:
            said = words("letter.terminal", id=alarm.place_id)
            return words("letter.in_room", room=room, terminal=said) if room else said
        case Reach.CLOUD:
            return words("alarm.cloud")
        case Reach.ROOM:
            where = room
        case Reach.ORGANISATION:
            where = words.either(*names.organisations.get(alarm.place_id, ("–", "")))
        case _:
            where = words("alarm.everywhere")
    if not alarm.members:
        return where
    return words("letter.of_several", place=where, terminals=words("alarm.terminals", n=alarm.members))


def _title(words: Words, item: Item) -> str:
    alarm = item.alarm
    severity = words(f"alarm.{alarm.severity}")
    return words(f"letter.{item.what}", severity=severity, name=words.either(alarm.name, alarm.name_en))


def _lines(tongue: Tongue, item: Item, names: Names) -> list[str]:
    words, alarm = tongue.words, item.alarm
    lines = [
        _title(words, item),
        words("letter.where", place=place(words, alarm, names)),
        words("letter.since", time=words.exactly(alarm.since_at)),
        words("letter.now", state=_state(words, alarm)),
    ]
    todo = words.either(alarm.todo, alarm.todo_en)
    if todo and alarm.cleared_at is None:
        lines.append(words("letter.todo", todo=todo))
    url = _url(tongue, alarm)
    return [*lines, words("letter.look", url=url)] if url else lines


def _state(words: Words, alarm: Standing) -> str:
    if alarm.cleared_at is not None:
        return words("letter.now_cleared", time=words.exactly(alarm.cleared_at))
    return words("letter.now_acknowledged" if alarm.acknowledged_at else "letter.now_active")


def _url(tongue: Tongue, alarm: Standing) -> str | None:
    return f"{tongue.public_url.rstrip('/')}/alarms/{alarm.id}" if tongue.public_url else None


def _told(tongue: Tongue, item: Item, names: Names) -> dict[str, Any]:
    """Times in microseconds, as the API has them."""
    words, alarm = tongue.words, item.alarm
    return {
        "what": item.what.value,
        "at": to_us(item.at),
        "alarm_id": alarm.id,
        "rule_id": alarm.rule_id,
        "name": words.either(alarm.name, alarm.name_en),
        "severity": alarm.severity.value,
        "reach": alarm.reach.value,
        "place_id": alarm.place_id,
        "place": place(words, alarm, names),
        "terminals": alarm.members,
        "since_at": to_us(alarm.since_at),
        "cleared_at": None if alarm.cleared_at is None else to_us(alarm.cleared_at),
        "acknowledged": alarm.acknowledged_at is not None,
        "todo": words.either(alarm.todo, alarm.todo_en),
        "url": _url(tongue, alarm),
    }


def _written(
    tongue: Tongue, kind: str, subject: str, paragraphs: Sequence[str], now: datetime, told: list[dict[str, Any]]
) -> Written:
    text = "\n\n".join(paragraphs) + "\n"
    body = {
        "type": kind,
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "data": {
            "receiver": {"id": tongue.receiver_id, "name": tongue.name},
            "subject": subject,
            "text": text,
            "notifications": told,
        },
    }
    return Written(subject, text, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
