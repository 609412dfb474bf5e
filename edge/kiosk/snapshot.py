"""The whole of the kiosk's screen as one JSON object: room, clock, schedule, view, state line.

Promises that it follows from its arguments alone, so that a page that missed any number of changes is right again with
the next one. Pure; called by the session; read by page/render.js.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.errors import StorageState
from edge.kiosk import words
from edge.kiosk.decision import coming, current, knows_schedule
from edge.kiosk.views import Screen, View, local_time
from edge.kiosk.words import Words
from firmware_specs.messages import Clock, Desired, Occurrence

ROWS: Final = 2
_ABOUT_NOBODY: Final = frozenset(
    {Screen.WAITING, Screen.CHOOSE, Screen.HELP, Screen.STOP, Screen.IDENTIFY, Screen.MAINTENANCE}
)
LONG_UNSTORED_US: Final = 24 * 3600 * 1_000_000  # from then on the state line names the day, not the network


class StorageStatus(Protocol):
    """What the outbox says of itself (edge.outbox.Status); instants in microseconds."""

    @property
    def depth(self) -> int: ...
    @property
    def oldest_at_us(self) -> int | None: ...
    @property
    def last_stored_at_us(self) -> int | None: ...
    @property
    def state(self) -> StorageState: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the session knows at a moment beside the view.

    ``connected`` is the uplink's word, ``camera`` whether there is a picture, ``has_camera`` whether there should be one.
    """

    now_us: int
    quality: Clock
    desired: Desired | None
    storage: StorageStatus
    connected: bool
    camera: bool
    terminal: str
    language: Literal["zh", "en"] = "zh"  # until the twin says another
    dim: bool = False
    has_camera: bool = True
    volume: int = 100  # of the page's sounds


def take(view: View, around: Surroundings) -> dict[str, Any]:
    """The snapshot without the view's number and deadline, which the session adds."""
    now = local_now(around)
    return {
        "language": around.desired.language if around.desired else around.language,
        "head": _head(around, now),
        "schedule": _schedule(around, now),
        "view": _view(view),
        "line": _line(view, around, now),
        "back": _both(words.BACK_IN),
        "dim": around.dim,
        "volume": around.volume,
    }


def covered(snapshot: dict[str, Any], cover: int) -> dict[str, Any]:
    """The same for a screenshot that leaves the terminal: nothing that somebody's showing, typing or leaving has brought up.

    ``cover`` is the cover's number, from 1, which the page says back. What is about nobody is named; all other views, those
    to come too, give way to a plain sentence.
    """
    view = snapshot["view"]
    if view["screen"] not in _ABOUT_NOBODY:
        plain = _view(View(Screen.RESULT, words.COVERED, words.COVERED_MORE))
        view = plain | {name: view[name] for name in ("number", "captured_ms")} | {"back_ms": None, "deadline_ms": None}
    return snapshot | {"view": view | {"sound": None}, "covered": cover}


def local_now(around: Surroundings) -> datetime:
    """The wall clock where the room is; the machine's own zone where the twin names none that is known here."""
    zone = _zone(around.desired)
    return datetime.fromtimestamp(around.now_us // 1_000_000, zone or UTC).astimezone(zone)


def state_line(around: Surroundings, now: datetime) -> tuple[str, bool, Words]:
    """State, whether it is loud, and its sentence: what needs a hand first, then what explains itself."""
    storage, count = around.storage, words.say_count(around.storage.depth)
    if storage.state != "ok":
        sentence = {"full": words.FULL, "read_only": words.READ_ONLY, "damaged": words.DAMAGED}[storage.state]
        return "bad", False, sentence.fill(n=count)
    since_us = _unstored_since_us(around)
    if since_us is not None:
        return "cut", True, words.NOT_STORED_SINCE.fill(date=words.say_date(local_time(since_us, now)))
    if around.has_camera and not around.camera:
        return "warn", True, words.NO_PICTURE
    if not around.connected:
        return "cut", True, words.OFFLINE_WAITING.fill(n=count) if storage.depth else words.OFFLINE
    if storage.depth:
        return "running", False, words.SENDING.fill(n=count)
    return "online", False, words.ALL_STORED


# --- inside ---------------------------------------------------------------------------------------------------------


def _zone(desired: Desired | None) -> tzinfo | None:
    if desired is None or desired.organisation is None:
        return None
    try:
        return ZoneInfo(desired.organisation.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _unstored_since_us(around: Surroundings) -> int | None:
    """Since when nothing was stored, where records have waited for more than a day by a clock that is trusted."""
    oldest_us = around.storage.oldest_at_us
    if around.quality is Clock.UNSET or oldest_us is None or around.now_us - oldest_us < LONG_UNSTORED_US:
        return None
    return around.storage.last_stored_at_us or oldest_us


def _head(around: Surroundings, now: datetime) -> dict[str, Any]:
    room = around.desired.room if around.desired else None
    unset = around.quality is Clock.UNSET
    return {
        "number": room.number if room else "",
        "name": _both(Words(room.name, room.name_en) if room else Words(words.NO_ROOM.zh, around.terminal)),
        "clock": "--:--" if unset else words.say_time(now),
        "day": _both(words.NO_TIME if unset else words.say_day(now)),
    }


def _schedule(around: Surroundings, now: datetime) -> list[dict[str, Any]]:
    """At most two rows: what is on by its start, then what comes next. One row of words where there is none."""
    if around.desired is None:
        return [_note(words.NO_TWIN)]
    if around.quality is Clock.UNSET:
        return [_note(words.AFTER_TIME)]
    if not knows_schedule(around.desired, around.now_us):
        return [_note(words.NO_SCHEDULE)]
    open_now = sorted(current(around.desired.occurrences, around.now_us)[:ROWS], key=lambda o: o.starts_at)
    open_ids = {o.id for o in open_now}
    next_ones = coming(around.desired.occurrences, around.now_us, ROWS + len(open_ids))
    following = [o for o in next_ones if o.id not in open_ids]
    rows = [_row(o, now, on=True) for o in open_now] + [_row(o, now, on=False) for o in following[:ROWS]]
    return rows[:ROWS] or [_note(words.NOTHING_PLANNED)]


def _note(said: Words) -> dict[str, Any]:
    return {"when": None, "day": None, "title": _both(said), "now": False}


def _row(occurrence: Occurrence, now: datetime, *, on: bool) -> dict[str, Any]:
    starts, ends = local_time(occurrence.starts_at, now), local_time(occurrence.ends_at, now)
    hours = f"{words.say_time(starts)}–{words.say_time(ends)}"
    day = None if on or starts.date() == now.date() else _both(words.say_date(starts))
    return {"when": hours, "day": day, "title": _both(words.title(occurrence)), "now": on}


def _view(view: View) -> dict[str, Any]:
    return {
        "screen": view.screen.value,
        "title": _both(view.title),
        "lines": _both(view.lines),
        "activity": _both(view.activity),
        "field": view.field,
        "symbol": view.symbol,
        "sound": view.sound,
        "buttons": [{"touch": b.touch.value, "words": _both(b.words), "main": b.main} for b in view.buttons],
        "digits": view.digits,
        "hidden": view.hidden,
        "picture": view.picture,
        "command": view.command,
    }


def _line(view: View, around: Surroundings, now: datetime) -> dict[str, Any]:
    state, loud, sentence = state_line(around, now)
    if view.screen is Screen.MAINTENANCE and around.storage.state == "ok":  # no sentence may say that check-in works
        state, loud, sentence = "warn", False, words.UNTIL_STAFF_END_IT
    return {"s": state, "loud": loud, "words": _both(sentence)}


def _both(said: Words | None) -> dict[str, str] | None:
    return None if said is None else {"zh": said.zh, "en": said.en}
