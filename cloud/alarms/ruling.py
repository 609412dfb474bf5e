"""Rules for people and programs: made, looked at, tried, changed, taken away. What is wrong in one is said field by field.

Promises that no rule names a metric that does not exist, and that one which is about every terminal says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select, true, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from cloud.alarms.checking import USED, faults_of
from cloud.alarms.models import AlarmCondition, AlarmProgress, AlarmRule, AlarmTrail
from cloud.alarms.rules import Compare, RuleKind, Severity
from cloud.audit.service import Change, note, state
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from cloud.forms import NO_CONTROLS, Form, Name, OptionalName, Sentence
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomId
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import fleet
from cloud.terminals.service import Kind as TerminalKind

MOST_RULES: Final = 200
LONGEST_S: Final = 30 * 86_400

Seconds = Annotated[int, Field(ge=0, le=LONGEST_S)]
Level = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]


class RuleForm(Form):
    """What makes an alarm. Which fields a kind uses stands in docs/alarms.md; the others are left out."""

    name: Name
    name_en: OptionalName = ""
    kind: RuleKind
    severity: Severity = Severity.WARNING
    enabled: bool = True
    everywhere: Annotated[bool, Field(description="Must be true where the rule is about every terminal.")] = False
    organisation_id: OrganisationId | None = None
    room_id: RoomId | None = None
    terminal_kind: TerminalKind | None = None
    metric: Annotated[str, Field(max_length=60, examples=["disk_percent"])] | None = None
    compare: Compare | None = None
    level: Level | None = None
    clear_level: Annotated[Level | None, Field(description="Well again behind this; without it, behind `level`.")] = (
        None
    )
    for_s: Annotated[Seconds, Field(description="Seconds that it must last before it is raised.")] = 0
    clear_for_s: Annotated[Seconds, Field(description="Seconds that it must be well before it clears.")] = 0
    days: Annotated[float, Field(gt=0, le=365)] | None = None
    wanted: Annotated[str, Field(min_length=1, max_length=80, pattern=NO_CONTROLS)] | None = None
    mark: Annotated[str, Field(max_length=40)] | None = None
    todo: Annotated[Sentence | None, Field(description="What to do.")] = None
    todo_en: Sentence | None = None


@dataclass(frozen=True)
class Matching:
    """How many terminals in service a rule is about, of how many there are in the scope."""

    terminals: int
    of: int


def list_rules(session: Session, scope: Scope, paging: Paging) -> Found[AlarmRule]:
    """Those that concern the scope: its own, and those of everything around it. By id."""
    query = select(AlarmRule).where(AlarmRule.deleted_at.is_(None), _concerns(scope))
    return find(session, query, [AlarmRule.id], paging)


def all_rules(session: Session, scope: Scope) -> Sequence[AlarmRule]:
    """The same, all of them."""
    return list_rules(session, scope, Paging(MOST_RULES)).rows


def get(session: Session, scope: Scope, rule_id: str, *, to_edit: bool = False) -> AlarmRule:
    """NotFound where it does not concern the scope. Forbidden to edit one that reaches beyond it."""
    query = select(AlarmRule).where(AlarmRule.id == rule_id, AlarmRule.deleted_at.is_(None), _concerns(scope))
    rule = session.scalar(query.with_for_update() if to_edit else query)
    if rule is None:
        raise NotFound(f"There is no rule {rule_id}.", code="no_rule", id=rule_id)
    if to_edit and scope.path != "/" and not _is_inside(session, scope, rule):
        raise Forbidden("The rule reaches beyond your branch.", code="rule_beyond")
    return rule


def matching(session: Session, scope: Scope, form: RuleForm) -> Matching:
    """Of which terminals the rule would be. Invalid where the rule itself is not right, but for `everywhere`."""
    _check(session, scope, form)
    return _matching(session, scope, form)


def is_about_all(form: RuleForm, found: Matching) -> bool:
    """Whether the rule is about every terminal, and has to say so."""
    if form.kind is RuleKind.REVOCATION_LIST:
        return False
    is_unbounded = form.organisation_id is None and form.room_id is None and form.terminal_kind is None
    return is_unbounded or 1 < found.of == found.terminals


def create(session: Session, change: Change, scope: Scope, form: RuleForm) -> AlarmRule:
    """Invalid, Conflict beyond MOST_RULES."""
    _check_all(session, scope, form)
    count = select(func.count()).select_from(AlarmRule).where(AlarmRule.deleted_at.is_(None))
    if (session.scalar(count) or 0) >= MOST_RULES:
        raise Conflict(f"There are {MOST_RULES} rules already.", code="too_many_rules", n=MOST_RULES)
    rule = AlarmRule(id=new_id("alr"), version=1, created_at=change.at, **_values(form))
    session.add(rule)
    session.flush()
    note(session, change, "alarm_rule.create", rule.id, **form.model_dump(exclude_none=True, mode="json"))
    return rule


def edit(session: Session, change: Change, scope: Scope, rule_id: str, version: int, form: RuleForm) -> AlarmRule:
    """Replace what it is; alarms of it stay where its condition still holds. One that asks something else begins anew."""
    if _asks_else(session, rule_id, form):
        _begin_anew(session, rule_id)
    rule = get(session, scope, rule_id, to_edit=True)
    before = state(rule, _FIELDS)
    next_version(rule, version)
    _check_all(session, scope, form)
    for field, value in _values(form).items():
        setattr(rule, field, value)
    session.flush()
    note(session, change, "alarm_rule.edit", rule_id, before=before, **_values(form))
    return rule


def delete(session: Session, change: Change, scope: Scope, rule_id: str, version: int) -> None:
    """Its alarms clear; what is told of them keeps the rule's name."""
    _begin_anew(session, rule_id)
    rule = get(session, scope, rule_id, to_edit=True)
    next_version(rule, version)
    before = state(rule, _FIELDS)
    rule.deleted_at, rule.enabled = change.at, False
    rule.organisation_id = rule.room_id = None
    session.flush()
    note(session, change, "alarm_rule.delete", rule_id, before=before, name=rule.name)


_FIELDS: Final = tuple(name for name in RuleForm.model_fields if name != "everywhere")


def _asks_else(session: Session, rule_id: str, form: RuleForm) -> bool:
    """Whether what is known of its conditions is about something else than the form asks."""
    asked = select(AlarmRule.kind, AlarmRule.metric, AlarmRule.compare, AlarmRule.mark).where(AlarmRule.id == rule_id)
    now = session.execute(asked).one_or_none()
    return now is not None and tuple(now) != (form.kind, form.metric, form.compare, form.mark)


def _begin_anew(session: Session, rule_id: str) -> None:
    """Forget its conditions and trails. The evaluator's turn that is under way is refused, and the next one reads all again.

    Before the rule's row is locked: the evaluator, too, has its own row first.
    """
    session.execute(update(AlarmProgress).values(turn=AlarmProgress.turn + 1))
    session.execute(sql_delete(AlarmCondition).where(AlarmCondition.rule_id == rule_id))
    session.execute(sql_delete(AlarmTrail).where(AlarmTrail.rule_id == rule_id))


def _values(form: RuleForm) -> dict[str, Any]:
    """As they lie in the table: without a clear level, the level itself."""
    values = form.model_dump(exclude={"everywhere"}, mode="json")
    values["name_en"] = values["name_en"] or values["name"]
    values["todo"] = values["todo"] or ""
    values["todo_en"] = values["todo_en"] or values["todo"]
    if values["clear_level"] is None and "clear_level" in USED[form.kind]:
        values["clear_level"] = values["level"]
    return values


def _check_all(session: Session, scope: Scope, form: RuleForm) -> None:
    _check(session, scope, form)
    found = _matching(session, EVERYWHERE, form)
    if is_about_all(form, found) and not form.everywhere:
        n = found.terminals
        fault = Fault(
            "body.everywhere", f"must be true: the rule is about every terminal, {n} now", "everywhere", {"n": n}
        )
        raise Invalid("The rule is about every terminal and does not say so.", [fault], code="rule_everywhere", n=n)


def _check(session: Session, scope: Scope, form: RuleForm) -> None:
    faults = list(faults_of(form))
    if faults:
        raise Invalid("The rule is not right.", faults, code="rule_wrong")
    if form.organisation_id is not None:
        organisations.check_known(session, scope, [form.organisation_id], "body.organisation_id")
    if form.room_id is not None:
        rooms.get(session, scope, form.room_id)
    if scope.path != "/" and form.organisation_id is None and form.room_id is None:
        fault = Fault("body.organisation_id", "must be in your branch", "out_of_scope")
        raise Invalid("A rule for everything reaches beyond your branch.", [fault], code="rule_wrong")


def _matching(session: Session, scope: Scope, form: RuleForm) -> Matching:
    inside = scope
    if form.organisation_id is not None:
        inside = Scope(organisations.get(session, EVERYWHERE, form.organisation_id).path)
    of = fleet.count(session, scope)
    if form.kind is RuleKind.REVOCATION_LIST:
        return Matching(0, of)
    return Matching(fleet.count(session, inside, form.room_id, form.terminal_kind), of)


def _concerns(scope: Scope) -> ColumnElement[bool]:
    if scope.path == "/":
        return true()
    around = organisations.ancestors(scope.path)
    return or_(
        AlarmRule.organisation_id.is_(None) & AlarmRule.room_id.is_(None),
        AlarmRule.organisation_id.in_(around),
        organisations.within(scope, AlarmRule.organisation_id),
        rooms.within(scope, AlarmRule.room_id),
    )


def _is_inside(session: Session, scope: Scope, rule: AlarmRule) -> bool:
    query = select(AlarmRule.id).where(
        AlarmRule.id == rule.id,
        or_(organisations.within(scope, AlarmRule.organisation_id), rooms.within(scope, AlarmRule.room_id)),
    )
    return session.scalar(query) is not None
