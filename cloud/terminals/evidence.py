"""The panel of a terminal's page that shows how far its records have come: its word, journal, ledger, time series.

Promises the reconciler's own verdict on each of the streams, counted now, beside the figures that it comes from.
"""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from cloud.console.markup import tag
from cloud.console.widgets import Stop, ago, chip, line, mono, none, panel, say
from cloud.console.words import Words
from cloud.overview.positions import NOT_COUNTED, StreamStanding
from cloud.terminals.presence import CONNECTED


def panel_of(words: Words, streams: Sequence[StreamStanding], presence: str, now: datetime) -> Markup:
    """The newest stream's stops and what they mean together; the other streams below, newest first."""
    title = words("terminal.evidence")
    if not streams:
        return panel(title, none(words("terminal.no_stream"), words("terminal.no_stream_more")))
    newest = streams[0]
    chain = f"{newest.chain[:4]} {newest.chain[4:8]} … {newest.chain[-4:]}"
    about = tag(
        "p", words("terminal.stream"), " ", _short(newest), " · ", words("terminal.chain"), " ", mono(chain),
        class_="q t1", style="padding-top:16px",
    )  # fmt: skip
    stops = line(_stops(words, newest, presence, now))
    return panel(title, stops, about, _others(words, streams), beside=chip(*verdict(words, streams, presence, now)))


def verdict(words: Words, streams: Sequence[StreamStanding], presence: str, now: datetime) -> tuple[str, str]:
    """State and words of the chip. What differs comes first; of a terminal that is away nobody knows what it holds by now."""
    newest = streams[0]
    if newest.difference:
        return "bad", words(f"terminal.differs_{newest.difference}")
    if any(each.difference for each in streams):
        return "bad", words("terminal.differs_before")
    if newest.is_stale(now):
        return "late", _not_compared(words, newest)
    if newest.waiting and presence not in CONNECTED:
        return "late", words("terminal.waits_for_it")
    if newest.waiting or newest.behind:
        return "late", words("terminal.catching_up")
    if presence not in CONNECTED:
        return "late", words("terminal.equal_so_far")
    return "ok", words("terminal.equal")


def _stops(words: Words, newest: StreamStanding, presence: str, now: datetime) -> list[Stop]:
    waits = _waits(words, newest, presence)
    stored: Markup | str = ago(words, newest.stored_at, now)
    if newest.is_journal_off:
        stored = words("terminal.journal_holds", n=newest.counted.journal or 0)
    return [
        Stop(words("terminal.said"), words.number(newest.said), waits, behind=newest.waiting > 0),
        Stop(words("terminal.stored"), words.number(newest.stored), stored,
             behind=newest.differing > 0 or newest.is_journal_off),
        Stop(words("overview.ledger"), words.number(newest.counted.ledger), _in_ledger(words, newest),
             behind=newest.behind > 0 or newest.series is None or newest.missing > 0 or newest.unhanded > 0),
        Stop(words("overview.series"), NOT_COUNTED if newest.series is None else words.number(newest.series),
             _in_series(words, newest, now), on=newest.series is not None),
    ]  # fmt: skip


def _waits(words: Words, newest: StreamStanding, presence: str) -> str:
    if presence in CONNECTED:
        return words("terminal.waits", n=newest.waiting) if newest.waiting else words("terminal.waits_none")
    return words("terminal.waits_at_least", n=newest.waiting) if newest.waiting else words("terminal.waits_unknown")


def _in_ledger(words: Words, newest: StreamStanding) -> str:
    """Facts are a part of the records: check-ins, check-outs, touches."""
    if newest.differing:
        return words("terminal.missing", n=newest.differing)
    return words("terminal.facts")


def _in_series(words: Words, newest: StreamStanding, now: datetime) -> str:
    """Points are what is drawn of the records: samples, check-ins, touches; the reconciler counted them."""
    if newest.missing:
        return words("overview.series_missing", n=newest.missing)
    if newest.behind:
        return words("terminal.behind", n=newest.behind)
    if newest.unhanded:
        return words("terminal.unhanded", n=newest.unhanded)
    return _not_compared(words, newest) if newest.is_stale(now) else words("overview.series_all")


def _not_compared(words: Words, newest: StreamStanding) -> str:
    if newest.compared_at is None:
        return words("overview.not_counted")
    return words("overview.not_compared_since", time=words.minute(newest.compared_at))


def _others(words: Words, streams: Sequence[StreamStanding]) -> Markup | None:
    """Streams before the present one, those of them that differ, and declared gaps."""
    said = [
        tag("li", _short(each), " ", words("terminal.through", n=each.stored),
            f" · {words('terminal.gap', gap=each.gap)}" if each.gap else None,
            [" · ", say("bad", words(f"terminal.differs_{each.difference}"))] if each.difference else None)
        for each in streams
        if each.gap or each is not streams[0]
    ]  # fmt: skip
    if not said:
        return None
    return tag("div", tag("p", words("terminal.other_streams"), class_="q t1"), tag("ul", said, class_="t1"))


def _short(each: StreamStanding) -> Markup:
    return mono(f"{each.stream[:4]}…{each.stream[-4:]}")
