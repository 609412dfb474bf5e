"""Console: the alarms that are not over, by severity, and those that cleared lately. From here to one, its rule, the windows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import alarm_page, rule_page, saying, service, window_page
from cloud.alarms.models import Alarm
from cloud.alarms.rules import Severity
from cloud.alarms.saying import Names
from cloud.alarms.service import KEPT_DAYS, AlarmState, Wanted
from cloud.console import lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, ago, button_link, link, none, panel, say, small, table
from cloud.console.words import Words
from cloud.paging import MAX_LIMIT, Paging
from cloud.scope import Scope

PATH = "/alarms"
LATELY: Final = 10
ORDER: Final = {severity.value: place for place, severity in enumerate(Severity)}


def register(shell: Shell) -> None:
    """`/alarms`, `/alarms/{id}`, `/alarm-rules`, `/maintenance-windows`."""
    alarm_page.register(shell)
    rule_page.register(shell)
    window_page.register(shell)

    @shell.page(PATH, "alarms")
    async def listing(
        view: View, state: str = "", severity: str = "", acknowledged: str = "", cursor: str = ""
    ) -> None:
        wanted = Filter(
            AlarmState.CLEARED if state == AlarmState.CLEARED else AlarmState.ACTIVE,
            Severity(severity) if severity in set(Severity) else None,
            acknowledged == "no",
            cursor,
        )
        top, filters, found = view.html(), view.html(), view.html(slot="list").props('aria-live="polite"')
        shown = [-1]

        async def draw() -> None:
            known = await view.read(lambda session, scope: _read(session, scope, wanted))
            top.set_content(str(_head(view, known.active if wanted.state is AlarmState.ACTIVE else None)))
            filters.set_content(str(_filters(view.words, wanted)))
            found.set_content(str(_listing(view, known, wanted)))

        async def news() -> None:
            happened = (await view.pulse()).frame.alarms_changed
            if happened != shown[0]:
                shown[0] = happened
                await draw()

        await draw()
        view.keep_live(news)


@dataclass(frozen=True)
class Filter:
    """What a list was asked for."""

    state: AlarmState
    severity: Severity | None
    only_open: bool
    cursor: str

    @property
    def query(self) -> dict[str, str]:
        """As an address says it, but for the page; empty is what is shown unasked."""
        state = "" if self.state is AlarmState.ACTIVE else self.state
        return {"state": state, "severity": self.severity or "", "acknowledged": "no" if self.only_open else ""}


@dataclass(frozen=True)
class Line:
    """An alarm with its rule's name, for a list."""

    alarm: Alarm
    name: tuple[str, str]


@dataclass(frozen=True)
class _Known:
    active: int
    lines: list[Line]
    next_cursor: str | None
    lately: list[Line]
    names: Names


def _read(session: Session, scope: Scope, wanted: Filter) -> _Known:
    """Active ones by severity, as many as a page may hold; cleared ones page by page."""
    asked = Wanted(wanted.state, False if wanted.only_open else None, wanted.severity)
    paging = (
        lists.paging(wanted.cursor) if wanted.state is AlarmState.CLEARED else Paging(MAX_LIMIT, wanted.cursor or None)
    )
    found = service.list_alarms(session, scope, paging, asked)
    rows = list(found.rows)
    lately: list[Alarm] = []
    if wanted.state is AlarmState.ACTIVE:
        rows.sort(key=lambda alarm: (alarm.acknowledged_at is not None, ORDER[alarm.severity]))
        lately = list(
            service.list_alarms(session, scope, Paging(LATELY), Wanted(AlarmState.CLEARED, None, wanted.severity)).rows
        )
    rules = service.rules_of(session, [*rows, *lately])

    def lines(alarms: list[Alarm]) -> list[Line]:
        return [Line(alarm, (rules[alarm.rule_id].name, rules[alarm.rule_id].name_en)) for alarm in alarms]

    names = saying.names_of(session, [*rows, *lately])
    return _Known(service.count_active(session, scope), lines(rows), found.next_cursor, lines(lately), names)


def _head(view: View, active: int | None) -> Markup:
    words = view.words
    told = button_link("/receivers", words("receiver.title")) if view.may(Role.OPERATOR) else None
    beside = join(
        button_link("/maintenance-windows", words("alarm.windows")),
        button_link("/alarm-rules", words("alarm.rules")),
        told,
    )
    count = None if active is None else words.number(active)
    return head(view, words("nav.alarms"), count=count, beside=beside)


def _filters(words: Words, wanted: Filter) -> Markup:
    """AlarmState, severity, and whether somebody knows of it; each keeps the others."""

    def to(text: str | Markup, current: bool, **changed: str) -> Markup:
        return tag("a", text, href=lists.address(PATH, **(wanted.query | changed)), class_="rl-btn",
                   aria_current="true" if current else None)  # fmt: skip

    states = [
        to(words(f"alarm.{each}"), wanted.state is each, state="" if each is AlarmState.ACTIVE else each)
        for each in AlarmState
    ]
    any_one = to(words("alarm.any"), wanted.severity is None, severity="")
    severities = [to(saying.severity(words, each), wanted.severity is each, severity=each) for each in Severity]
    only = to(words("alarm.only_open"), wanted.only_open, acknowledged="" if wanted.only_open else "no")
    groups = [tag("div", each, class_="rl-row") for each in (states, [any_one, *severities], [only])]
    return tag("div", groups, class_="rl-row rl-tools")


def _listing(view: View, known: _Known, wanted: Filter) -> Markup:
    words = view.words
    filtered = wanted.severity is not None or wanted.only_open
    if wanted.state is AlarmState.CLEARED:
        if not known.lines:
            return _none(words, filtered, words("alarm.none_cleared"), words("alarm.none_cleared_more", n=KEPT_DAYS))
        pager = lists.pager(words, PATH, wanted.cursor, known.next_cursor, **wanted.query)
        return join(table_of(view, known.lines, known.names, words("alarm.cleared")), pager)
    if known.lines:
        active = table_of(view, known.lines, known.names, words("alarm.active"))
        if known.next_cursor is not None:
            active = join(active, small(words("alarm.shown_first", n=len(known.lines))))
    else:
        active = _none(words, filtered, words("alarm.none"), words("alarm.none_more"))
    return join(active, _lately(view, known))


def _none(words: Words, filtered: bool, title: str, explained: str) -> Markup:
    """No alarm: because none is of that kind, or because there is none."""
    if filtered:
        return none(words("alarm.none_such"), words("alarm.none_such_more"))
    return none(title, explained)


def _lately(view: View, known: _Known) -> Markup | None:
    if not known.lately:
        return None
    every = link(lists.address(PATH, state=AlarmState.CLEARED), view.words("page.all"))
    title = view.words("alarm.lately")
    shown = table_of(view, known.lately, known.names, title)
    return tag("div", panel(title, shown, beside=every), style="padding-top:40px")


def table_of(view: View, lines: list[Line], names: Names, caption: str) -> Markup:
    """Severity, what, where, since when, and how it stands."""
    words = view.words
    columns = (
        Column(words("alarm.severity"), "rl-fit"),
        Column(words("alarm.what"), "b"),
        Column(words("alarm.where")),
        Column(words("alarm.since"), "nowrap", h=True),
        Column(words("alarm.state"), "rl-whole"),
    )
    rows = [
        [saying.severity(words, line.alarm.severity), link(f"{PATH}/{line.alarm.id}", words.either(*line.name)),
         saying.place(words, line.alarm, names), ago(words, line.alarm.since_at, view.now), standing(view, line.alarm)]
        for line in lines
    ]  # fmt: skip
    return table(columns, rows, caption) if rows else none(words("alarm.none"), words("alarm.none_more"))


def standing(view: View, alarm: Alarm) -> Markup:
    """Active or cleared; apart from it, whether somebody knows of it, and whether it sleeps."""
    words = view.words
    if alarm.cleared_at is None:
        said = [say("warn" if alarm.acknowledged_by is None else "running", words("alarm.state_active"))]
    else:
        lasted = words("alarm.lasted", age=words.duration(max(alarm.cleared_at - alarm.since_at, timedelta())))
        said = [say("ok", words("alarm.state_cleared")), small(lasted)]
    if alarm.acknowledged_by is not None:
        said.append(say("accepted", words("alarm.acknowledged_by", who=alarm.acknowledged_by)))
    elif alarm.cleared_at is None:
        said.append(say("queued", words("alarm.not_acknowledged")))
    if alarm.cleared_at is None and alarm.snoozed_until_at is not None and alarm.snoozed_until_at > view.now:
        said.append(say("asleep", words("alarm.snoozed_until", time=words.minute(alarm.snoozed_until_at))))
    if alarm.times > 1:
        said.append(small(words("alarm.times", n=alarm.times - 1)))
    return tag("span", said, class_="rl-row")
