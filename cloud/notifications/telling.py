"""Console: how a receiver, and a notification to one, are said: state, symbol and words together."""

from collections.abc import Mapping
from typing import Final

from markupsafe import Markup

from cloud.console.markup import Content, join, tag
from cloud.console.view import View
from cloud.console.widgets import ago, say, small
from cloud.console.words import Words
from cloud.notifications.deciding import State
from cloud.notifications.failures import in_words
from cloud.notifications.models import Notification, Receiver
from cloud.notifications.quiet import Weekday
from cloud.notifications.receivers import Kind

SYMBOLS: Final[Mapping[str, str]] = {
    State.WAITING: "queued", State.SENDING: "running", State.DELIVERED: "ok", State.DEAD: "bad", State.DROPPED: "cancelled",
}  # fmt: skip


def state(view: View, one: Notification) -> Markup:
    """Where it is, since or until when, and why."""
    words = view.words
    said: Content
    if one.state == State.WAITING and one.held and not one.attempts:
        return say("asleep", words("told.held", time=words.minute(one.due_at)))
    if one.state == State.WAITING and one.attempts:
        said = words("told.again", time=words.minute(one.due_at), n=one.attempts)
    else:
        said = words(f"told.{one.state}")
    why = small(in_words(words, one.why)) if one.why and one.state != State.DELIVERED else None
    when = small(ago(words, one.settled_at, view.now)) if one.settled_at is not None else None
    return tag("span", say(SYMBOLS[one.state], said), when, why, class_="rl-row")


def standing(view: View, receiver: Receiver) -> Markup:
    """How the last attempts went, or that it is off."""
    words = view.words
    if not receiver.enabled:
        return say("cancelled", words("receiver.off"))
    failed, succeeded = receiver.failed_at, receiver.succeeded_at
    lines = []
    if succeeded is not None:
        lines.append(join(say("ok", words("receiver.succeeded")), " ", small(ago(words, succeeded, view.now))))
    if failed is not None:
        said = say("bad" if succeeded is None or failed > succeeded else "info", words("receiver.failed"))
        lines.append(join(said, " ", small(ago(words, failed, view.now), " · ", in_words(words, receiver.failure))))
    if not lines:
        return say("queued", words("receiver.untried"))
    return join(*(tag("div", line) for line in lines))


def when(words: Words, receiver: Receiver) -> str:
    """At once or after a while, and when not."""
    said = words("receiver.at_once")
    if receiver.after_minutes:
        said = words("receiver.after", n=receiver.after_minutes)
    if not (receiver.quiet_from and receiver.quiet_until and receiver.quiet_days):
        return said
    span = f"{receiver.quiet_from}–{receiver.quiet_until}"
    days = words("audit.and_short").join(words(f"weekday.{each}") for each in Weekday if each in receiver.quiet_days)
    if len(receiver.quiet_days) == len(Weekday):
        days = words("receiver.daily")
    return words("alarm_rule.two", a=said, b=words("receiver.quiet", span=span, days=days))


def kind(words: Words, receiver: Receiver) -> str:
    """E-mail or webhook."""
    return words(f"receiver.kind_{Kind(receiver.kind)}")
