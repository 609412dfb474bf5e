"""HTTP: the rules that raise alarms, the metrics that they may name, and maintenance windows."""

from typing import Annotated, Literal

from fastapi import Path, Query, Response

from cloud.alarms import measures, ruling, windows
from cloud.alarms.rules import Compare, RuleKind, Severity
from cloud.alarms.ruling import RuleForm
from cloud.alarms.windows import WindowForm
from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs
from cloud.security import Operator, Viewer

routes = router("", "alarms")

RuleId = Annotated[str, Path(pattern=r"^alr_[0-9a-f]{16}$")]
WindowId = Annotated[str, Path(pattern=r"^mwn_[0-9a-f]{16}$")]


class RuleView(View):
    """A rule. What its kind does not use is null."""

    id: str
    name: str
    name_en: str
    kind: RuleKind
    severity: Severity
    enabled: bool
    organisation_id: str | None
    room_id: str | None
    terminal_kind: str | None
    metric: str | None
    compare: Compare | None
    level: float | None
    clear_level: float | None
    for_s: int
    clear_for_s: int
    days: float | None
    wanted: str | None
    mark: str | None
    todo: str
    todo_en: str
    version: int
    created_at: InstantUs


class MatchingView(View):
    """How many terminals in service a rule is about, of all that you see."""

    terminals: int
    of: int


class MetricView(View):
    """A metric that terminals measure; `unit` is a UCUM symbol."""

    name: str
    unit: str
    kind: Literal["gauge", "counter"]
    zh: str
    en: str
    low: float
    high: float


class WindowView(View):
    """A maintenance window; without organisation, room and terminal it is over everything."""

    id: str
    organisation_id: str | None
    room_id: str | None
    terminal_id: str | None
    starts_at: InstantUs
    ends_at: InstantUs
    reason: str
    made_by: str
    made_at: InstantUs


@routes.get("/alarm-metrics")
def list_alarm_metrics(by: Viewer) -> list[MetricView]:  # noqa: ARG001 - asks for the role
    """The metrics that rules may name."""
    return [MetricView(name=name, **metric.model_dump()) for name, metric in measures.metrics().items()]


@routes.get("/alarm-rules")
def list_alarm_rules(cloud: TheCloud, by: Viewer, pages: Pages) -> PageOf[RuleView]:
    """The rules that concern your scope."""
    with cloud.reading() as session:
        return PageOf[RuleView].of(ruling.list_rules(session, by.scope, pages))


@routes.post("/alarm-rules", status_code=201, responses={**problems(404, 409), 201: with_etag()})
def create_alarm_rule(cloud: TheCloud, by: Operator, form: RuleForm, response: Response) -> RuleView:
    """A new rule; it counts from the next sample or look on. One about every terminal must say so: `everywhere`."""
    with cloud.writing() as session:
        rule = ruling.create(session, cloud.change(by), by.scope, form)
        set_etag(response, rule.version)
        return RuleView.model_validate(rule)


@routes.post("/alarm-rules/preview", responses=problems(404))
def preview_alarm_rule(cloud: TheCloud, by: Operator, form: RuleForm) -> MatchingView:
    """How many terminals such a rule would be about; nothing is kept."""
    with cloud.reading() as session:
        return MatchingView.model_validate(ruling.matching(session, by.scope, form))


@routes.get("/alarm-rules/{rule_id}", responses={**problems(404), 200: with_etag()})
def get_alarm_rule(cloud: TheCloud, by: Viewer, rule_id: RuleId, response: Response) -> RuleView:
    """One rule."""
    with cloud.reading() as session:
        rule = ruling.get(session, by.scope, rule_id)
        set_etag(response, rule.version)
        return RuleView.model_validate(rule)


@routes.put("/alarm-rules/{rule_id}", responses={**problems(404, 412, 428), 200: with_etag()})
def edit_alarm_rule(
    cloud: TheCloud, by: Operator, rule_id: RuleId, version: IfMatch, form: RuleForm, response: Response
) -> RuleView:
    """Replace what it is."""
    with cloud.writing() as session:
        rule = ruling.edit(session, cloud.change(by), by.scope, rule_id, version, form)
        set_etag(response, rule.version)
        return RuleView.model_validate(rule)


@routes.delete("/alarm-rules/{rule_id}", status_code=204, responses=problems(404, 412, 428))
def delete_alarm_rule(cloud: TheCloud, by: Operator, rule_id: RuleId, version: IfMatch) -> None:
    """Take it away; its alarms clear."""
    with cloud.writing() as session:
        ruling.delete(session, cloud.change(by), by.scope, rule_id, version)


@routes.get("/maintenance-windows")
def list_maintenance_windows(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    over: Annotated[bool, Query(description="Those that are over, instead of those that are on or to come.")] = False,
) -> PageOf[WindowView]:
    """The windows that concern your scope, the latest end first."""
    with cloud.reading() as session:
        return PageOf[WindowView].of(windows.list_windows(session, by.scope, pages, cloud.clock(), over=over))


@routes.post("/maintenance-windows", status_code=201, responses=problems(404, 409))
def create_maintenance_window(cloud: TheCloud, by: Operator, form: WindowForm) -> WindowView:
    """Raise nothing new about a place for a while; what was raised before goes on."""
    with cloud.writing() as session:
        return WindowView.model_validate(windows.create(session, cloud.change(by), by.scope, form))


@routes.delete("/maintenance-windows/{window_id}", status_code=204, responses=problems(404, 409))
def end_maintenance_window(cloud: TheCloud, by: Operator, window_id: WindowId) -> None:
    """End it now; what is wrong then is raised."""
    with cloud.writing() as session:
        windows.end(session, cloud.change(by), by.scope, window_id)
