"""HTTP: alarms, what happened to them, and what people do about them."""

from typing import Annotated, Any

from fastapi import Path, Query

from cloud.alarms import service
from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Reach
from cloud.alarms.rules import Severity
from cloud.alarms.service import AcknowledgeForm, AlarmState, CommentForm, SnoozeForm, Wanted
from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.forms import InstantUs
from cloud.security import Operator, Viewer
from cloud.terminals.service import TerminalId

routes = router("/alarms", "alarms")

Id = Annotated[str, Path(pattern=r"^alm_[0-9a-f]{16}$")]


class AlarmView(View):
    """An alarm. Active while `cleared_at` is null, whoever acknowledged it; `members` terminals have not recovered."""

    id: str
    rule_id: str
    reach: Reach
    place_id: str
    severity: Severity
    since_at: InstantUs
    raised_at: InstantUs
    cleared_at: InstantUs | None
    cleared_why: str | None
    times: int
    members: int
    acknowledged_at: InstantUs | None
    acknowledged_by: str | None
    snoozed_until_at: InstantUs | None
    snoozed_by: str | None


class EventView(View):
    """Something that happened to an alarm."""

    id: int
    at: InstantUs
    kind: EventKind
    who: str | None
    detail: dict[str, Any]


class AlarmStoryView(AlarmView):
    """An alarm with its rule's name, what to do, and what happened to it, newest first."""

    name: str
    name_en: str
    todo: str
    todo_en: str
    events: list[EventView]


class AlarmMemberView(View):
    """A terminal of an alarm; `over_at` when it recovered. The cloud itself is the terminal without a name."""

    terminal_id: str
    since_at: InstantUs
    raised_at: InstantUs
    over_at: InstantUs | None
    value: float | None


@routes.get("")
def list_alarms(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    state: Annotated[AlarmState | None, Query(description="Only active, or only cleared ones.")] = None,
    acknowledged: Annotated[bool | None, Query(description="Only those that somebody acknowledged, or nobody.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    rule_id: Annotated[str | None, Query(pattern=r"^alr_[0-9a-f]{16}$", description="Only of this rule.")] = None,
    terminal_id: Annotated[TerminalId | None, Query(description="Only with this terminal among them.")] = None,
) -> PageOf[AlarmView]:
    """Alarms with a terminal in your scope, newest first."""
    wanted = Wanted(state, acknowledged, severity, rule_id, terminal_id)
    with cloud.reading() as session:
        return PageOf[AlarmView].of(service.list_alarms(session, by.scope, pages, wanted))


@routes.get("/{alarm_id}", responses=problems(404))
def get_alarm(cloud: TheCloud, by: Viewer, alarm_id: Id) -> AlarmStoryView:
    """One alarm, what to do about it, and what happened to it."""
    with cloud.reading() as session:
        alarm = service.get(session, by.scope, alarm_id)
        rule = service.rules_of(session, [alarm])[alarm.rule_id]
        story = [EventView.model_validate(event) for event in service.story(session, alarm_id)]
        return AlarmStoryView(
            **AlarmView.model_validate(alarm).model_dump(), name=rule.name, name_en=rule.name_en, todo=rule.todo,
            todo_en=rule.todo_en, events=story,
        )  # fmt: skip


@routes.get("/{alarm_id}/members", responses=problems(404))
def list_alarm_members(cloud: TheCloud, by: Viewer, pages: Pages, alarm_id: Id) -> PageOf[AlarmMemberView]:
    """Its terminals, those in your scope."""
    with cloud.reading() as session:
        return PageOf[AlarmMemberView].of(service.members(session, by.scope, alarm_id, pages))


@routes.post("/{alarm_id}/acknowledgement", responses=problems(404, 409))
def acknowledge_alarm(cloud: TheCloud, by: Operator, alarm_id: Id, form: AcknowledgeForm) -> AlarmView:
    """Say that you know of it; it stays active until it clears by itself."""
    with cloud.writing() as session:
        return AlarmView.model_validate(service.acknowledge(session, cloud.change(by), by.scope, alarm_id, form))


@routes.post("/{alarm_id}/comments", responses=problems(404, 409))
def comment_on_alarm(cloud: TheCloud, by: Operator, alarm_id: Id, form: CommentForm) -> AlarmView:
    """Write what was found or done."""
    with cloud.writing() as session:
        return AlarmView.model_validate(service.comment(session, cloud.change(by), by.scope, alarm_id, form))


@routes.post("/{alarm_id}/snooze", responses=problems(404, 409))
def snooze_alarm(cloud: TheCloud, by: Operator, alarm_id: Id, form: SnoozeForm) -> AlarmView:
    """Let nobody be reminded of it until then; with null it wakes at once."""
    with cloud.writing() as session:
        return AlarmView.model_validate(service.snooze(session, cloud.change(by), by.scope, alarm_id, form))
