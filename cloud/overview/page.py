"""The overview: where the records are, what is going on now, and what needs a hand. All of it live, from one pulse."""

from datetime import datetime

from markupsafe import Markup
from nicegui import ui

from cloud.alarms.open_alarms import Attention
from cloud.alarms.saying import SYMBOLS
from cloud.checkins.service import Seen
from cloud.console import facts
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import (
    Column,
    Event,
    Row,
    Stop,
    ago,
    chip,
    line,
    link,
    none,
    panel,
    plate,
    small,
    table,
    tile,
    tiles,
    timeline,
)
from cloud.console.words import Words
from cloud.overview.positions import NOT_COUNTED, Compared, Standing
from cloud.overview.service import Pulse, RoomNow, Trouble


def register(shell: Shell) -> None:
    """The page at `/`."""

    @shell.page("/", "overview")
    async def overview(view: View) -> None:
        pulse = await view.pulse()
        words = view.words
        view.html(head(view, words("overview.title"), beside=small(words.day(view.now))))
        with ui.element("div").classes("rl-grid"):
            where = view.html(slot="where")
            numbers = view.html(slot="tiles")
            board = Board(view, pulse)
            with ui.element("div").classes("rl-stack").style("--c:5"):
                attention = view.html(slot="attention")
                rooms = view.html(slot="rooms")

        def show(pulse: Pulse) -> None:
            where.set_content(str(_where(words, pulse.standing, view)))
            numbers.set_content(str(_tiles(words, pulse)))
            attention.set_content(str(_attention(words, pulse, view.now)))
            rooms.set_content(str(_rooms(words, pulse)))
            board.show(pulse)

        async def news() -> None:
            show(await view.pulse())

        show(pulse)
        view.keep_live(news)


class Board:
    """The live board. While a pointer or the focus is in it its order stays, and newer rows are counted above."""

    def __init__(self, view: View, pulse: Pulse) -> None:
        self._view = view
        self._shown = pulse.check_ins
        self._latest = pulse
        self._held = False
        self._element = view.html(slot="board", classes="rl-board-place").style("--c:7")
        self._element.props["aria-live"] = "off"
        for event, held in (("mouseenter", True), ("mouseleave", False), ("focusin", True), ("focusout", False)):
            self._element.on(event, lambda held=held: self._hold(held))

    def show(self, pulse: Pulse) -> None:
        """Take in the newest rows, or only count them."""
        before = self._shown[0].id if self._shown else 0
        self._latest = pulse
        fresh = {seen.id for seen in pulse.check_ins if seen.id > before}
        if not self._held:
            self._shown = pulse.check_ins
        else:
            by_id = {seen.id: seen for seen in pulse.check_ins}
            self._shown = tuple(by_id.get(seen.id, seen) for seen in self._shown)
        self._draw(set() if self._held else fresh, len(fresh) if self._held else 0)

    def _hold(self, held: bool) -> None:
        self._held = held
        if not held:
            self.show(self._latest)

    def _draw(self, fresh: set[int], above: int) -> None:
        words = self._view.words
        rows = [_row(words, seen, seen.id in fresh) for seen in self._shown]
        fit = Column("", "rl-fit")
        columns = [fit, fit, Column("", "b"), Column("", "q lo"), Column("", "num rl-fit")]
        content = table(columns, rows, words("overview.board")) if rows else _empty(words)
        live = facts.live_mark(words, self._view.live.read_at, self._view.live.failing)
        beside = tag("span", words("overview.board_new", n=above), class_="q") if above else live
        self._element.set_content(str(panel(words("overview.board"), content, beside=beside, board=True)))


def _empty(words: Words) -> Markup:
    return none(words("overview.board_none"), words("overview.board_none_more"))


def _row(words: Words, seen: Seen, fresh: bool) -> Row:
    person: str | Markup = facts.who(words, seen)
    if seen.member_id:
        person = link(f"/members/{seen.member_id}", person, class_="rl-quiet")
    room = plate(seen.room) if seen.room else ""
    activity = tag("span", facts.activity(words, seen), class_="rl-activity")
    cells = [words.clock(seen.at), room, person, activity, facts.outcome(words, seen)]
    return Row(cells, fresh=fresh)


def _where(words: Words, standing: Standing, view: View) -> Markup:
    now, compared = view.now, standing.compared
    waiting = words("overview.stored_unknown" if standing.is_least else "overview.stored_none")
    if standing.waiting and standing.waiting_since:
        age = words.duration(now - standing.waiting_since)
        key = "stored_at_least" if standing.is_least else "stored_waiting"
        waiting = words(f"overview.{key}", n=standing.waiting, age=age)
    ledger, ledger_why = ledger_said(words, compared, now)
    series, series_why = series_said(words, compared, now)
    ledger_even = compared is not None and compared.ledger == compared.facts
    series_even = compared is not None and compared.series is not None and compared.series >= compared.points
    if standing.series_behind and standing.series_behind_since:
        age = words.duration(now - standing.series_behind_since)
        series_why = words("overview.series_behind", n=standing.series_behind, age=age)
    stops = [
        Stop(words("overview.said"), words.number(standing.said), words("overview.said_why"),
             behind=standing.waiting > 0),
        Stop(words("overview.stored"), words.number(standing.stored), waiting, behind=not ledger_even),
        Stop(words("overview.ledger"), ledger, ledger_why, on=ledger != NOT_COUNTED,
             behind=standing.series_behind > 0 or not series_even),
        Stop(words("overview.series"), series, series_why, on=series != NOT_COUNTED),
    ]  # fmt: skip
    state, says = comparison_said(words, compared, now)
    if view.live.failing:
        state, says = "cut", words("overview.reconciled", time=words.clock(view.live.read_at or now))
    return panel(words("overview.where"), line(stops), beside=chip(state, says))


def ledger_said(words: Words, compared: Compared | None, now: datetime) -> tuple[str, str]:
    """How many facts were counted in the ledger, and whether that is all of them."""
    if compared is None:
        return NOT_COUNTED, words("overview.not_counted")
    if compared.ledger != compared.facts:
        return words.number(compared.ledger), words("overview.ledger_differs", n=abs(compared.facts - compared.ledger))
    if compared.is_stale(now):
        return words.number(compared.ledger), _since(words, compared)
    if compared.differing:
        return words.number(compared.ledger), words("overview.totals_only", n=compared.differing)
    return words.number(compared.ledger), words("overview.ledger_all")


def series_said(words: Words, compared: Compared | None, now: datetime) -> tuple[str, str]:
    """How many points were counted in the time series, and whether that is all of them."""
    if compared is None:
        return NOT_COUNTED, words("overview.not_counted")
    if compared.series is None:
        return NOT_COUNTED, words("overview.series_away")
    if compared.series < compared.points:
        return words.number(compared.series), words("overview.series_missing", n=compared.points - compared.series)
    if compared.is_stale(now):
        return words.number(compared.series), _since(words, compared)
    if compared.differing:
        return words.number(compared.series), words("overview.totals_only", n=compared.differing)
    return words.number(compared.series), words("overview.series_all")


def _since(words: Words, compared: Compared) -> str:
    return words("overview.not_compared_since", time=words.minute(compared.finished_at))


def comparison_said(words: Words, compared: Compared | None, now: datetime) -> tuple[str, str]:
    """State and words of the chip: what was compared when, and what was not."""
    if compared is None:
        return "late", words("overview.never_compared")
    if compared.is_stale(now):
        return "late", _since(words, compared)
    if compared.differing:
        return "bad", words("overview.differing", n=compared.differing)
    time = words.clock(compared.finished_at)
    if compared.series is None:
        return "late", words("overview.series_not_compared", time=time)
    return "ok", words("overview.compared", time=time)


def _tiles(words: Words, pulse: Pulse) -> Markup:
    presence = dict(pulse.presence)
    others = [
        f"{words(f'presence.{state}')} {words.number(count)}" for state, count in pulse.presence if state != "online"
    ]
    explained = "、".join(others) if words.language == "zh" else ", ".join(others)
    if not pulse.terminals:
        explained = words("overview.online_none")
    return tiles(
        tile(words("overview.today"), words.number(pulse.today), words("overview.today_why", n=pulse.yesterday_until_now)),
        tile(words("overview.now"), words.number(pulse.activities_now), words("overview.now_why", n=pulse.rooms)),
        tile(words("overview.online"), words.number(presence.get("online", 0)), explained or words("overview.online_all"),
             beside=words.number(pulse.terminals)),
        tile(words("overview.rate"), words.number(round(pulse.standing.per_second, 1)),
             words("overview.rate_why", n=pulse.standing.last_minute)),
    )  # fmt: skip


def _attention(words: Words, pulse: Pulse, now: datetime) -> Markup:
    title, alarms = words("overview.attention"), pulse.frame.alarms
    every = link("/alarms", words("overview.attention_all", n=alarms)) if alarms else None
    events = [_alarm(words, each, now) for each in pulse.attention]
    events += [_trouble(words, trouble, now) for trouble in pulse.troubles]
    if not events:
        nothing = none(words("overview.attention_none"), words("overview.attention_none_more"))
        return panel(title, nothing, beside=every)
    return panel(title, timeline(events, apart=True), beside=every)


def _alarm(words: Words, alarm: Attention, now: datetime) -> Event:
    """Where and what, of how many terminals, since when; then who knows of it, or what to do."""
    place, name = words.either(*alarm.place), words.either(*alarm.name)
    text = words("overview.alarm_at", place=place, alarm=name) if place else name
    many = [" ", small(words("alarm.terminals", n=alarm.members))] if alarm.members > 1 else None
    title = join(tag("b", link(f"/alarms/{alarm.id}", text, class_="rl-quiet")), many)
    todo = words.either(*alarm.todo)
    if alarm.acknowledged_by is not None:
        todo = words("alarm.acknowledged_by", who=alarm.acknowledged_by)
    severity = tag("span", words(f"alarm.{alarm.severity}"), class_="b")
    explained = join(severity, words("overview.alarm_stop"), todo)
    return Event(SYMBOLS[alarm.severity], title, ago(words, alarm.since_at, now), explained)


def _trouble(words: Words, trouble: Trouble, now: datetime) -> Event:
    if trouble.kind == "differing":
        return _differing(words, trouble)
    many = "_many" if trouble.count > 1 and trouble.kind in {"away", "nothing_stored"} else ""
    mark = words.known(f"mark.{trouble.mark}", trouble.mark)
    text = words(f"trouble.{trouble.kind}{many}", terminal=trouble.terminal_id, mark=mark, n=trouble.count)
    path = "/quarantine" if trouble.kind == "quarantine" else f"/terminals/{trouble.terminal_id}"
    if many:
        path = "/terminals?presence=offline" if trouble.kind == "away" else "/terminals"
    state = {"away": "offline", "nothing_stored": "suspect", "quarantine": "warn"}.get(trouble.kind, "warn")
    when = ago(words, trouble.since, now) if trouble.since else None
    return Event(state, tag("b", link(path, text, class_="rl-quiet")), when, words(f"trouble.{trouble.kind}_more"))


def _differing(words: Words, trouble: Trouble) -> Event:
    """What differs is safe where it is; the terminals' pages say what it is."""
    named = [link(f"/terminals/{each}", each) for each in (trouble.terminal_id, *trouble.others)]
    more = words("trouble.differing_unnamed", n=trouble.unnamed) if trouble.unnamed else None
    listed = tag("span", *([each, " "] for each in named), more, class_="rl-row")
    title = tag("b", words("trouble.differing", n=trouble.count))
    return Event("bad", title, None, join(words("trouble.differing_more"), listed))


def _rooms(words: Words, pulse: Pulse) -> Markup:
    everything = link("/rooms", words("overview.rooms_all"))
    if not pulse.rooms_now:
        content = none(words("overview.rooms_none"), words("overview.rooms_none_more"))
        return panel(words("overview.rooms"), content, beside=everything)
    columns = (Column("", "rl-fit"), Column(""), Column("", "num nowrap"))
    rows = [_room(words, room) for room in pulse.rooms_now]
    return panel(words("overview.rooms"), table(columns, rows, words("overview.rooms")), beside=everything)


def _room(words: Words, room: RoomNow) -> Row:
    title = link(f"/activities/{room.occurrence_id}", words.either(room.title, room.title_en), class_="rl-quiet")
    what = join(tag("b", title), tag("br"), small(words.span(room.starts_at, room.ends_at)))
    here = join(tag("b", words.number(room.here)), " ", small(words("overview.here")))
    return Row([plate(room.number), what, here])
