"""Console: the form of an activity. When it is and how it repeats in plain words, for whom, in which room."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.activities import repeating
from cloud.activities.models import Activity
from cloud.activities.repeating import DAYS, Kind, Repeat
from cloud.activities.service import ActivityForm
from cloud.console import dialogs
from cloud.console.dialogs import shown_when
from cloud.console.markup import join
from cloud.console.places import organisations_of, room_options, rooms_of
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.console.words import Words
from cloud.organisations.tree import Branch
from cloud.scope import Scope

MINUTES = 60


@dataclass(frozen=True)
class _Places:
    rooms: list[tuple[str, str, str, str]]
    organisations: list[Branch]


@dataclass(frozen=True)
class _Shown:
    """What the fields hold at first; `start` is wall time of `zone`."""

    title: str
    title_en: str
    room_id: str
    start: datetime
    minutes: int
    opens_minutes: int
    zone: str
    repeat: Repeat
    audience: tuple[str, ...]


def zone_of(view: View, known: Activity | None) -> ZoneInfo:
    """The zone that the form's times are in: the activity's own, else the console's."""
    return ZoneInfo(known.timezone) if known else view.zone


async def activity_fields(view: View, known: Activity | None = None) -> Markup:
    """All fields, filled with what is known."""

    def places(session: Session, scope: Scope) -> _Places:
        return _Places(rooms_of(session, scope, known.room_id if known else None), organisations_of(session, scope))

    words, found = view.words, await view.read(places)
    shown = _known(known) if known else _new(view, found)
    return join(
        dialogs.field(words("activities.title"), "title", shown.title, required=True, maxlength=120, autofocus=True),
        dialogs.field(words("activities.title_en"), "title_en", shown.title_en, maxlength=120),
        dialogs.choice(words("activities.room"), "room_id", room_options(words, found.rooms), shown.room_id),
        dialogs.field(words("activities.starts"), "starts", f"{shown.start:%Y-%m-%dT%H:%M}", type="datetime-local",
                      required=True, hint=words("activities.zone", zone=shown.zone)),
        dialogs.field(words("activities.minutes"), "minutes", str(shown.minutes), type="number", min=5, max=1440,
                      required=True),
        dialogs.field(words("activities.opens"), "opens", str(shown.opens_minutes), type="number", min=0, max=240,
                      required=True),
        _repeats(words, shown.repeat),
        _audience(words, shown.audience, found.organisations),
    )  # fmt: skip


def activity_form(words: Words, values: dict[str, str], zone: ZoneInfo) -> ActivityForm:
    """What was filled in. Invalid when it is not right."""
    try:
        start = datetime.fromisoformat(values.get("starts", "")).replace(tzinfo=zone)
        duration_s = int(values.get("minutes", "")) * MINUTES
        opens_before_s = int(values.get("opens", "")) * MINUTES
        repeat = _filled_repeat(values)
    except ValueError as error:
        raise refuse(words, "activities.unreadable") from error
    audience: tuple[str, ...] = ()
    if values.get("whom") == "some":
        audience = tuple(name.removeprefix("for:") for name in values if name.startswith("for:"))
        if not audience:
            raise refuse(words, "activities.nobody")
    return dialogs.filled(
        ActivityForm, title=values.get("title", ""), title_en=values.get("title_en", ""),
        room_id=values.get("room_id", ""), starts_at=start, duration_s=duration_s, opens_before_s=opens_before_s,
        timezone=zone.key, rrule=repeating.rule_of(repeat, start), audience=audience,
    )  # fmt: skip


def _new(view: View, places: _Places) -> _Shown:
    soon = view.now.astimezone(view.zone).replace(minute=0) + timedelta(hours=1)
    room_id = places.rooms[0][0] if places.rooms else ""
    return _Shown("", "", room_id, soon, 90, 30, view.zone.key, Repeat(), ())


def _known(known: Activity) -> _Shown:
    start = repeating.local(known.starts_at, known.timezone)
    return _Shown(
        known.title, known.title_en, known.room_id, start, known.duration_s // MINUTES, known.opens_before_s // MINUTES,
        known.timezone, repeating.repeat_of(known.rrule, start), tuple(known.audience),
    )  # fmt: skip


def _repeats(words: Words, repeat: Repeat) -> Markup:
    names = repeating.names(words)
    ends = "until" if repeat.until else "count" if repeat.count else "never"
    kinds = [(each, words(f"repeat.choose_{each}")) for each in Kind]
    endings = [(each, words(f"repeat.ends_{each}")) for each in ("never", "until", "count")]
    return join(
        dialogs.choice(words("activities.repeats"), "repeats", kinds, repeat.kind),
        shown_when("repeats", [Kind.WEEKLY], repeat.kind, dialogs.ticks(
            words("repeat.days"), [(f"day:{day}", names[day], day in repeat.days) for day in DAYS],
            hint=words("repeat.days_hint"), across=True)),
        shown_when("repeats", repeating.COUNTED, repeat.kind, dialogs.field(
            words("repeat.every"), "every", str(repeat.every), type="number", min=1, max=100)),
        shown_when("repeats", [Kind.RULE], repeat.kind, dialogs.field(
            words("repeat.rule"), "rule", repeat.rule, maxlength=200, hint=words("repeat.rule_hint"), spellcheck="false")),
        shown_when("repeats", repeating.ENDING, repeat.kind,
            dialogs.choice(words("repeat.ends"), "ends", endings, ends),
            shown_when("ends", ["until"], ends, dialogs.field(
                words("repeat.last_day"), "until", f"{repeat.until:%Y-%m-%d}" if repeat.until else "", type="date")),
            shown_when("ends", ["count"], ends, dialogs.field(
                words("repeat.times"), "count", str(repeat.count or 10), type="number", min=1, max=1000))),
    )  # fmt: skip


def _audience(words: Words, audience: tuple[str, ...], tree: list[Branch]) -> Markup:
    whom = "some" if audience else "all"
    boxes = [(f"for:{each}", name, each in audience) for each, name in dialogs.indented(words, tree)]
    options = [("all", words("occurrence.everybody")), ("some", words("activities.some"))]
    return join(
        dialogs.choice(words("field.audience"), "whom", options, whom),
        shown_when("whom", ["some"], whom, dialogs.ticks(
            words("activities.organisations"), boxes, hint=words("activities.below_too"))),
    )  # fmt: skip


def _filled_repeat(values: dict[str, str]) -> Repeat:
    kind, ends = Kind(values.get("repeats", "")), values.get("ends", "never")
    return Repeat(
        kind=kind,
        every=int(values.get("every", "") or "1"),
        days=tuple(day for day in DAYS if f"day:{day}" in values),
        until=date.fromisoformat(values.get("until", "")) if ends == "until" and kind in repeating.ENDING else None,
        count=int(values.get("count", "")) if ends == "count" and kind in repeating.ENDING else None,
        rule=values.get("rule", ""),
    )
