"""How a check-in, a presence and a room are said on every page: state, symbol and words together."""

from datetime import datetime

from markupsafe import Markup

from cloud.checkins.service import Seen
from cloud.console.markup import tag
from cloud.console.widgets import chip, evidence, say
from cloud.console.words import Words

STOPS = ("kiosk", "stored", "ledger", "linked")


def who(words: Words, seen: Seen) -> str:
    """A member's name, or what is known instead."""
    if seen.name:
        return seen.name
    if seen.method == "guest":
        return words("outcome.guest_name")
    if not seen.card:
        return words("outcome.unreadable_name")
    return words("outcome.unlinked" if seen.waits else "outcome.typed_name", card=seen.card)


def outcome(words: Words, seen: Seen) -> Markup:
    """What the kiosk decided, as a status."""
    if seen.outcome == "refused":
        state = "unknown" if seen.reason == "unreadable" else "bad"
        return say(state, words.known(f"reason.{seen.reason}", words("outcome.refused")))
    if seen.outcome == "already_in":
        return say("again", words("outcome.already_in"))
    if seen.waits:
        return say("late", words("outcome.waits"))
    if seen.outcome == "visit":
        return say("info", words("outcome.visit"))
    key = seen.method if seen.method in {"guest", "staff"} else "accepted"
    return say("ok", words(f"outcome.{key}"))


def reached(words: Words, seen: Seen) -> Markup:
    """How far the record's evidence reaches; a guest has three stops."""
    stops = 3 if seen.method == "guest" else 4
    level = min(seen.level, stops)
    return evidence(level, stops, words(f"evidence.{STOPS[level - 1]}"))


def presence(words: Words, state: str) -> Markup:
    """A terminal's state."""
    return chip("unknown" if state == "never" else state, words.known(f"presence.{state}", state))


def presence_said(words: Words, state: str, text: str | None = None) -> Markup:
    """The same within text."""
    said = words.known(f"presence.{state}", state)
    return say("unknown" if state == "never" else state, said if text is None else text)


def activity(words: Words, seen: Seen) -> str:
    """The activity's title, empty when there was none."""
    return words.either(seen.activity, seen.activity_en)


def live_mark(words: Words, read_at: datetime | None, failing: bool) -> Markup:
    """That the page is live, and since when what it shows is so."""
    if failing and read_at is not None:
        return say("cut", words("page.stale", time=words.clock(read_at)))
    return tag("span", say("ok", words("page.live_says")), class_="nowrap")
