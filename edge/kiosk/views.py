"""What the kiosk's screen shows at a moment, apart from head, schedule and state line.

Promises that words, symbol, field, sound and time of return belong together as the table of verdicts says.
Pure; called by the session. A field is the ground colour of a result: yes, note, no, stop.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from edge.kiosk import words
from edge.kiosk.decision import Decision
from edge.kiosk.words import Words
from firmware_specs.messages import Flag, Method, Occurrence, Outcome, Reason

SHORT_S: Final = 4.0  # a result that asks nothing of the visitor
LONG_S: Final = 12.0  # one that must be read
PROMPT_S: Final = 20.0  # a screen that waits for a touch or a card
KEYPAD_S: Final = 30.0


class Screen(StrEnum):
    """The kinds of screen; also the names under which touches are counted."""

    WAITING = "waiting"
    RESULT = "result"
    CHOOSE = "choose"
    HELP = "help"
    LEAVE = "leave"
    PIN = "pin"
    NUMBER = "number"
    STOP = "stop"
    IDENTIFY = "identify"
    MAINTENANCE = "maintenance"


_AT_REST: Final = frozenset({Screen.WAITING, Screen.STOP, Screen.MAINTENANCE})
_SHOWN_TO_THEIR_END: Final = frozenset({Screen.RESULT, Screen.HELP, Screen.IDENTIFY})


class Touch(StrEnum):
    """What a touch on the page means; SCREEN is one beside every button."""

    SCREEN = "screen"
    NO_CODE = "no_code"
    HELP = "help"
    GUEST = "guest"
    STAFF = "staff"
    LEAVE = "leave"
    BACK = "back"
    PIN = "pin"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Button:
    """A touch target; ``main`` is the filled one, at most one per screen."""

    touch: Touch
    words: Words
    main: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """One screen. ``back_s`` is the time until it returns by itself, None where it stays.

    ``activity`` is an activity's title under the result's; ``digits`` is the length that a keypad takes at most, and
    ``hidden`` that it shows none of them; ``picture`` shows how a card is held to the camera;
    ``command`` is what staff type at the machine itself, letter by letter.
    """

    screen: Screen
    title: Words
    lines: Words | None = None
    activity: Words | None = None
    field: Literal["yes", "note", "no", "stop"] | None = None
    symbol: str | None = None
    sound: Literal["yes", "again", "note", "no", "identify"] | None = None
    buttons: tuple[Button, ...] = ()
    back_s: float | None = None
    digits: int = 0
    hidden: bool = False
    picture: bool = False
    command: str = ""


_TO_BACK: Final = Button(Touch.BACK, words.BACK)
_GUEST: Final = Button(Touch.GUEST, words.AS_GUEST)
_STAFF: Final = Button(Touch.STAFF, words.STAFF_ENTRY)
_LEAVE: Final = Button(Touch.LEAVE, words.LEAVE)
_SYMBOLS: Final = {
    Reason.NOT_FOR_THIS_ACTIVITY: "bar",
    Reason.EXPIRED: "wait",
    Reason.NOT_YET_VALID: "wait",
    Reason.REVOKED: "bar",
    Reason.UNKNOWN_ISSUER: "ask",
    Reason.FORGED: "ask",
    Reason.UNREADABLE: "again",
}
_ACCEPTED: Final = {
    Method.QR: words.ACCEPTED,
    Method.GUEST: words.GUEST_ACCEPTED,
    Method.STAFF: words.STAFF_ACCEPTED,
}


def gives_way(screen: Screen, *, closed: bool) -> bool:
    """Whether it goes as soon as another one is due: what is at rest, and under maintenance every prompt."""
    return screen in _AT_REST or (closed and screen not in _SHOWN_TO_THEIR_END)


def waiting(*, camera: bool) -> View:
    """The prompt; without a camera it points to the buttons."""
    title = words.SHOW if camera else words.TOUCH
    buttons = (Button(Touch.NO_CODE, words.NO_CODE), Button(Touch.HELP, words.ASK_HELP))
    return View(Screen.WAITING, title, buttons=buttons, picture=camera)


def choose(*, staff: bool) -> View:
    """After "no QR code": guest, staff entry (where the twin holds a PIN), check out, back."""
    buttons = (_GUEST, _STAFF, _LEAVE, _TO_BACK) if staff else (_GUEST, _LEAVE, _TO_BACK)
    return View(Screen.CHOOSE, words.CHOOSE, buttons=buttons, back_s=PROMPT_S)


def leave() -> View:
    """The prompt for the card of someone who goes."""
    return View(Screen.LEAVE, words.SHOW, words.LEAVING, buttons=(_TO_BACK,), back_s=PROMPT_S, picture=True)


def help_called(*, heard: bool, staff: bool) -> View:
    """After a call for help; ``heard`` is False where the terminal is offline and nobody can be told."""
    title, lines = (words.HELP_CALLED, words.HELP_COMING) if heard else (words.HELP_UNHEARD, words.HELP_OFFLINE)
    buttons = (_STAFF, _TO_BACK) if staff else (_TO_BACK,)
    return View(Screen.HELP, title, lines, field="note", symbol="info", sound="note", buttons=buttons, back_s=LONG_S)


def ask_pin(lines: Words = words.PIN_LINE) -> View:
    """The keypad for the staff PIN."""
    return View(Screen.PIN, words.PIN, lines, back_s=KEYPAD_S, digits=12, hidden=True)


def ask_number(lines: Words = words.NUMBER_LINE) -> View:
    """The keypad for the number printed on a card."""
    return View(Screen.NUMBER, words.NUMBER, lines, back_s=KEYPAD_S, digits=12)


def identify(terminal: str, seconds: float) -> View:
    """An operator looks for this terminal: it shows and sounds which one it is; a touch ends it."""
    name = Words(terminal, "")
    return View(
        Screen.IDENTIFY, words.HERE_I_AM, name, field="note", symbol="info", sound="identify", buttons=(_TO_BACK,),
        back_s=seconds,
    )  # fmt: skip


def stop() -> View:
    """The terminal cannot keep anything, so it turns nobody green; stays until it can."""
    return View(Screen.STOP, words.STOPPED, words.SIGN_AT_DESK, field="stop", symbol="full")


def maintenance() -> View:
    """Out of service on an operator's word, so it turns nobody green; stays until the word is taken back."""
    return View(Screen.MAINTENANCE, words.OUT_OF_SERVICE, words.SIGN_AT_DESK, field="stop", symbol="tool")


def not_set_up(command: str) -> View:
    """The machine is no terminal yet; stays until it was claimed."""
    return View(Screen.STOP, words.NOT_SET_UP, words.SET_UP, field="stop", symbol="wait", command=command)


def one_moment() -> View:
    """A card was seen, and the disk takes long; the verdict follows."""
    return View(Screen.RESULT, words.ONE_MOMENT, words.BEING_KEPT, field="note", symbol="wait", back_s=LONG_S)


def checked_out(occurrence: Occurrence | None) -> View:
    """The time of leaving is kept."""
    activity = words.title(occurrence) if occurrence else None
    return View(
        Screen.RESULT, words.CHECKED_OUT, None, activity, field="yes", symbol="tick", sound="yes", back_s=SHORT_S
    )


def result(decision: Decision, now: datetime) -> View:
    """The verdict on a screen; ``now`` is local time, for the words of the next occurrence."""
    match decision.outcome:
        case Outcome.ACCEPTED:
            return _accepted(decision)
        case Outcome.ALREADY_IN:
            buttons = _after_staff(decision) or (_LEAVE,)
            return View(
                Screen.RESULT, words.ALREADY_IN, words.NOT_NEEDED, None, "yes", "tick2", "again", buttons, SHORT_S
            )
        case Outcome.VISIT:
            lines = words.VISIT_KEPT
            if decision.next is not None:
                lines = lines.then(_say_next(decision.next, now))
            buttons = _after_staff(decision)
            return View(Screen.RESULT, words.VISIT, lines, None, "note", "info", "note", buttons, SHORT_S)
        case Outcome.REFUSED:
            return _refused(decision.reason or Reason.UNREADABLE)


def local_time(at_us: int, like: datetime) -> datetime:
    """An instant of the contract in the time zone of ``like``; the last there is, where the calendar ends before it."""
    try:
        return datetime.fromtimestamp(at_us // 1_000_000, like.tzinfo)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=like.tzinfo)


# --- inside ---------------------------------------------------------------------------------------------------------


def _accepted(decision: Decision) -> View:
    activity, lines = None, None
    if decision.occurrence is not None:
        activity = words.title(decision.occurrence)
    elif {Flag.CLOCK_UNSURE, Flag.NO_SCHEDULE} & set(decision.flags):
        lines = words.ACTIVITY_LATER
    else:
        lines = words.LATER
    title = _ACCEPTED[decision.method]
    return View(Screen.RESULT, title, lines, activity, "yes", "tick", "yes", _after_staff(decision), SHORT_S)


def _refused(reason: Reason) -> View:
    title, lines, symbol = words.REFUSED[reason], words.NEXT_STEP[reason], _SYMBOLS[reason]
    buttons: tuple[Button, ...] = ()
    if reason is Reason.NOT_FOR_THIS_ACTIVITY:
        buttons = (_GUEST, Button(Touch.HELP, words.CALL_STAFF, main=True))
    back_s = SHORT_S if reason is Reason.UNREADABLE else LONG_S
    return View(Screen.RESULT, title, lines, None, "no", symbol, "no", buttons, back_s)


def _after_staff(decision: Decision) -> tuple[Button, ...]:
    return (Button(Touch.STAFF, words.ANOTHER),) if decision.method is Method.STAFF else ()


def _say_next(following: Occurrence, now: datetime) -> Words:
    starts = local_time(following.starts_at, now)
    clock = words.say_time(starts)
    time = Words(clock, clock)
    if starts.date() != now.date():
        date = words.say_date(starts)
        time = Words(f"{date.zh} {clock}", f"{date.en}, {clock}")
    named = words.title(following)
    return words.NEXT_ON.fill(time=time, title=Words(named.zh, named.en or named.zh))
