"""Console: one alarm. What it is and where, what to do, what happened to it, which terminals it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import page, saying, service
from cloud.alarms.events import EventKind
from cloud.alarms.models import Alarm, AlarmEvent, AlarmMember, AlarmRule
from cloud.alarms.saying import Names
from cloud.alarms.service import AcknowledgeForm, CommentForm, SnoozeForm
from cloud.audit.service import Change
from cloud.clock import from_us
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, Event, ago, button, link, note, pairs, panel, say, small, table, timeline
from cloud.notifications import panel as telling
from cloud.notifications import service as notifications
from cloud.notifications.service import ToldOf
from cloud.paging import MAX_LIMIT, Paging
from cloud.scope import Scope

PATH = "/alarms"
EVERY_S = 3.0
SNOOZES: Mapping[str, int] = {"hour": 3600, "hours": 4 * 3600, "day": 86_400, "week": 7 * 86_400}
STATES: Mapping[str, str] = {
    EventKind.RAISED: "warn", EventKind.REOPENED: "warn", EventKind.GREW: "warn", EventKind.GROUPED: "linked",
    EventKind.CLEARED: "ok", EventKind.ACKNOWLEDGED: "accepted", EventKind.COMMENTED: "info", EventKind.SNOOZED: "asleep",
    EventKind.WOKEN: "info", EventKind.ESCALATED: "warn",
}  # fmt: skip


def register(shell: Shell) -> None:
    """`/alarms/{id}`."""

    @shell.page(PATH + "/{alarm_id}", "alarms")
    async def one(view: View, alarm_id: str) -> None:
        await _Page(view, alarm_id).show()


@dataclass(frozen=True)
class _Known:
    alarm: Alarm
    rule: AlarmRule
    names: Names
    members: Sequence[AlarmMember]
    more: bool
    values: Mapping[str, float | None]
    story: Sequence[AlarmEvent]
    told: Sequence[ToldOf]


def _read(session: Session, scope: Scope, alarm_id: str) -> _Known:
    alarm = service.get(session, scope, alarm_id)
    found = service.members(session, scope, alarm_id, Paging(MAX_LIMIT))
    return _Known(
        alarm,
        service.rules_of(session, [alarm])[alarm.rule_id],
        saying.names_of(session, [alarm]),
        found.rows,
        found.next_cursor is not None,
        service.values_now(session, alarm.rule_id, [each.terminal_id for each in found.rows]),
        service.story(session, alarm_id),
        notifications.of_alarm(session, scope, alarm_id),
    )


class _Page:
    """One alarm's page."""

    def __init__(self, view: View, alarm_id: str) -> None:
        self.view = view
        self.id = alarm_id

    async def show(self) -> None:
        """Build it, and keep it live."""
        view = self.view
        self.top = view.html(on_act=self._act)
        with ui.element("div").classes("rl-grid"):
            with ui.element("div").classes("rl-stack").style("--c:8"):
                self.todo = view.html(slot="todo")
                self.story = view.html(slot="story")
                self.told = view.html(slot="told")
                self.members = view.html(slot="members")
            with ui.element("div").classes("rl-stack").style("--c:4"):
                self.about = view.html(slot="about")
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._draw))

    async def _draw(self) -> None:
        known = await self.view.read(lambda session, scope: _read(session, scope, self.id))
        self.known = known
        self.top.set_content(str(_head(self.view, known)))
        self.todo.set_content(str(_todo(self.view, known)))
        self.story.set_content(str(_story(self.view, known)))
        self.told.set_content(str(telling.panel_of(self.view, known.told)))
        self.members.set_content(str(_members(self.view, known)))
        self.about.set_content(str(_about(self.view, known)))

    def _act(self, act: str, _on: str) -> None:
        words = self.view.words
        if act == "acknowledge":
            field = _comment_field(words("alarm.comment_optional"), required=False)
            dialogs.ask(self.view, words("alarm.acknowledge_title"), field, words("alarm.acknowledge"), self._acknowledge,
                        intro=words("alarm.acknowledge_more"))  # fmt: skip
        elif act == "comment":
            field = _comment_field(words("alarm.comment_label"), required=True)
            dialogs.ask(self.view, words("alarm.comment_title"), field, words("alarm.comment"), self._comment)
        elif act == "snooze":
            options = [
                (each, words(f"alarm.{each}", n=4) if each == "hours" else words(f"alarm.{each}")) for each in SNOOZES
            ]
            fields = dialogs.choice(words("alarm.snooze_for"), "lasts", options, "hour")
            dialogs.ask(self.view, words("alarm.snooze_title"), fields, words("alarm.snooze_it"), self._snooze,
                        intro=words("alarm.snooze_more"))  # fmt: skip

    async def _acknowledge(self, values: dict[str, str]) -> None:
        form = dialogs.filled(AcknowledgeForm, comment=values.get("comment", "").strip() or None)
        await self.view.write(
            Role.OPERATOR, lambda s, change, scope: service.acknowledge(s, change, scope, self.id, form)
        )
        await self._draw()

    async def _comment(self, values: dict[str, str]) -> None:
        form = dialogs.filled(CommentForm, comment=values.get("comment", ""))
        await self.view.write(Role.OPERATOR, lambda s, change, scope: service.comment(s, change, scope, self.id, form))
        await self._draw()

    async def _snooze(self, values: dict[str, str]) -> None:
        lasts = timedelta(seconds=SNOOZES.get(values.get("lasts", ""), 3600))

        def write(session: Session, change: Change, scope: Scope) -> Alarm:
            form = SnoozeForm(until_at=change.at + lasts)
            return service.snooze(session, change, scope, self.id, form)

        await self.view.write(Role.OPERATOR, write)
        await self._draw()


def _comment_field(label: str, *, required: bool) -> Markup:
    area = tag("textarea", name="comment", class_="rl-field", rows=3, maxlength=500, required=required, autofocus=True)
    return tag("label", label, area)


def _head(view: View, known: _Known) -> Markup:
    words, alarm = view.words, known.alarm
    actions = None
    if view.may(Role.OPERATOR):
        know = button(words("alarm.acknowledge"), "acknowledge", kind="main") if alarm.acknowledged_at is None else None
        sleep = button(words("alarm.snooze"), "snooze") if alarm.cleared_at is None else None
        actions = join(button(words("alarm.comment"), "comment"), sleep, know)
    top = head(view, saying.name(words, known.rule), above=link(PATH, words("nav.alarms")), beside=actions)
    under = tag("p", saying.severity(words, alarm.severity), saying.place(words, alarm, known.names),
                page.standing(view, alarm), class_="rl-row rl-under")  # fmt: skip
    return join(top, under)


def _todo(view: View, known: _Known) -> Markup:
    words = view.words
    said = saying.todo(words, known.rule)
    together = note("linked", words("alarm.together")) if service.is_group(known.alarm) else None
    return join(note("info", words("alarm.todo"), said) if said else None, together)


def _story(view: View, known: _Known) -> Markup:
    events = [
        Event(STATES[each.kind], _happened(view, each, known), view.words.clock(each.at), each.detail.get("comment"))
        for each in known.story
    ]
    return panel(view.words("alarm.story"), timeline(events))


def _happened(view: View, event: AlarmEvent, known: _Known) -> Markup:
    """What, by whom, and how much."""
    words, said = view.words, event.detail
    values: dict[str, Any] = {"n": said.get("members", 1)}
    if event.kind == EventKind.CLEARED:
        values = {"why": words.known(f"alarm.why_{said.get('why')}", "")}
    elif event.kind == EventKind.SNOOZED:
        values = {"time": words.minute(from_us(said["until"]))}
    elif event.kind == EventKind.ESCALATED:
        values = {"n": said.get("receivers", 1), "minutes": said.get("minutes", 0)}
    elif event.kind not in {EventKind.RAISED, EventKind.GREW}:
        values = {}
    title: list[Markup | str] = [tag("b", words(f"alarm_event.{event.kind}", **values))]
    value = saying.value_of(words, known.rule, said.get("value"))
    if value:
        title.append(f" · {value}")
    if event.who:
        title.append(tag("span", f" · {event.who}", class_="q"))
    if event.kind == EventKind.GROUPED and said.get("into"):
        title += [" · ", link(f"{PATH}/{said['into']}", words("quarantine.look"))]
    return join(*title)


def _members(view: View, known: _Known) -> Markup:
    words = view.words
    if not service.is_group(known.alarm):
        return Markup("")
    columns = (
        Column(words("alarm.member"), "b"),
        Column(words("alarm.since"), "nowrap", h=True),
        Column(words("alarm.state")),
    )
    rows = [
        [link(f"/terminals/{each.terminal_id}", each.terminal_id, class_="nowrap"), words.clock(each.since_at),
         _recovered(view, each.over_at)]
        for each in sorted(known.members, key=lambda each: (each.over_at is not None, each.terminal_id))
    ]  # fmt: skip
    title = words("alarm.members")
    first = small(words("alarm.more_members", n=len(rows))) if known.more else None
    return panel(
        title, table(columns, rows, title), first, beside=small(words("alarm.terminals", n=known.alarm.members))
    )


def _recovered(view: View, over_at: datetime | None) -> Markup:
    words = view.words
    if over_at is None:
        return say("running", words("alarm.member_open"))
    return say("ok", words("alarm.member_over", ago=words.ago(over_at, view.now)))


def _about(view: View, known: _Known) -> Markup:
    words, alarm, rule = view.words, known.alarm, known.rule
    rows: list[tuple[str, str | Markup]] = [
        (words("alarm.severity"), join(saying.severity(words, alarm.severity), " ",
                                       small(words(f"alarm.{alarm.severity}_means")))),
        (words("alarm.rule"), saying.condition(words, rule)),
        (words("alarm.since"), words.clock(alarm.since_at)),
        (words("alarm.raised"), words.clock(alarm.raised_at)),
    ]  # fmt: skip
    value = saying.value_of(words, rule, next((each for each in known.values.values() if each is not None), None))
    if value and not service.is_group(alarm) and alarm.cleared_at is None:
        rows.append((words("alarm.value"), value))
    if alarm.cleared_at is not None:
        rows.append((words("alarm.state_cleared"), join(
            words.clock(alarm.cleared_at), " ", small(words.known(f"alarm.why_{alarm.cleared_why}", "")))))  # fmt: skip
    if alarm.acknowledged_at is not None:
        by = words("alarm.acknowledged_by", who=alarm.acknowledged_by or "")
        rows.append((by, ago(words, alarm.acknowledged_at, view.now)))
    gone = small(words("alarm.no_rule")) if rule.deleted_at is not None else None
    return panel(words("alarm.about"), pairs(rows), gone)
