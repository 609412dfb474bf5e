"""Console: the form of a rule, which shows what its kind needs, and then how many terminals it would be about."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import metric_words, ruling
from cloud.alarms.checking import MARKS, USED
from cloud.alarms.measures import metrics
from cloud.alarms.models import AlarmRule
from cloud.alarms.rules import Compare, RuleKind, Severity
from cloud.alarms.ruling import Matching, RuleForm
from cloud.audit.service import Change
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import organisation_options, organisations_of, room_options, rooms_of
from cloud.console.view import View
from cloud.console.words import Words
from cloud.organisations.tree import Branch
from cloud.scope import Scope
from cloud.terminals.service import Kind as TerminalKind

MEASURED = (RuleKind.THRESHOLD, RuleKind.RATE, RuleKind.TREND)
Saved = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class _Places:
    organisations: list[Branch]
    rooms: list[tuple[str, str, str, str]]


def form_of(rule: AlarmRule) -> RuleForm:
    """A rule as it was filled in. That it is about every terminal was agreed to when it was saved."""
    values = {name: getattr(rule, name) for name in RuleForm.model_fields if name != "everywhere"}
    return RuleForm.model_validate(
        {**values, "everywhere": True, "todo": rule.todo or None, "todo_en": rule.todo_en or None}
    )


async def ask(view: View, rule: AlarmRule | None, saved: Saved) -> None:
    """Open the form, empty or of a rule; then say what it is about, and save it."""
    words = view.words
    room = rule.room_id if rule is not None else None
    places = await view.read(
        lambda session, scope: _Places(organisations_of(session, scope), rooms_of(session, scope, room))
    )
    shown = form_of(rule) if rule is not None else RuleForm.model_construct(
        name="", name_en="", kind=RuleKind.THRESHOLD, severity=Severity.WARNING, for_s=300, clear_for_s=0)  # fmt: skip

    async def look(values: dict[str, str]) -> None:
        form = _filled(values, enabled=rule is None or rule.enabled)
        found = await view.read(lambda session, scope: ruling.matching(session, scope, form), Role.OPERATOR)
        _confirm(view, rule, form, found, saved)

    title = words("alarm_rule.add") if rule is None else words("alarm_rule.edit")
    dialogs.ask(view, title, _fields(view, shown, places), words("alarm_rule.next"), look)


def _confirm(view: View, rule: AlarmRule | None, form: RuleForm, found: Matching, saved: Saved) -> None:
    """How many terminals; where it is all of them, that has to be ticked."""
    words = view.words
    is_all = ruling.is_about_all(form, found)
    more = "matches_list" if form.kind is RuleKind.REVOCATION_LIST else "matches_all" if is_all else "matches_some"
    if not found.terminals and form.kind is not RuleKind.REVOCATION_LIST:
        more = "matches_none"
    tick = (
        dialogs.ticks(words("alarm_rule.scope"), [("everywhere", words("alarm_rule.everywhere"), False)])
        if is_all
        else None
    )

    async def save(values: dict[str, str]) -> None:
        sure = form.model_copy(update={"everywhere": values.get("everywhere") == "yes"})

        def write(session: Session, change: Change, scope: Scope) -> AlarmRule:
            if rule is None:
                return ruling.create(session, change, scope, sure)
            return ruling.edit(session, change, scope, rule.id, rule.version, sure)

        await view.write(Role.OPERATOR, write)
        await saved()

    title = words("alarm_rule.matches_title", terminals=found.terminals, of=found.of)
    dialogs.ask(view, title, tick, words("alarm_rule.save"), save, intro=words(f"alarm_rule.{more}"))


def _fields(view: View, shown: RuleForm, places: _Places) -> Markup:
    words = view.words
    kinds = [(each.value, words(f"alarm_rule.kind_{each}")) for each in RuleKind]
    severities = [(each.value, words("alarm_rule.two", a=words(f"alarm.{each}"), b=words(f"alarm.{each}_means")))
                  for each in Severity]  # fmt: skip
    return join(
        dialogs.field(words("alarm_rule.name"), "name", shown.name, required=True, maxlength=120, autofocus=True),
        dialogs.field(words("alarm_rule.name_en"), "name_en", shown.name_en, maxlength=120),
        dialogs.choice(words("alarm.severity"), "severity", severities, shown.severity),
        dialogs.choice(words("alarm_rule.kind"), "kind", kinds, shown.kind),
        _measured(words, shown),
        _others(words, shown),
        dialogs.field(words("alarm_rule.for_minutes"), "for_minutes", f"{shown.for_s / 60:g}", type="number", min=0,
                      max=43_200, step="any"),
        dialogs.field(words("alarm_rule.clear_minutes"), "clear_minutes", f"{shown.clear_for_s / 60:g}", type="number",
                      min=0, max=43_200, step="any"),
        _scope(view, shown, places),
        dialogs.field(words("alarm_rule.todo"), "todo", shown.todo or "", maxlength=500),
        dialogs.field(words("alarm_rule.todo_en"), "todo_en", shown.todo_en or "", maxlength=500),
    )  # fmt: skip


def _measured(words: Words, shown: RuleForm) -> Markup:
    """Metric and levels, for the kinds that measure."""
    known = [(name, metric_words.option(words, name)) for name in metrics()]
    compares = [(each.value, words(f"alarm_rule.{each}")) for each in Compare]

    def number(name: str, value: float | None) -> Markup:
        hint = words("alarm_rule.clear_level_hint") if name == "clear_level" else None
        return dialogs.field(words(f"alarm_rule.{name}"), name, "" if value is None else f"{value:g}", type="number",
                             step="any", hint=hint)  # fmt: skip

    return dialogs.shown_when(
        "kind", MEASURED, shown.kind,
        dialogs.choice(words("alarm_rule.metric"), "metric", known, shown.metric or "disk_percent"),
        dialogs.choice(words("alarm_rule.compare"), "compare", compares, shown.compare or Compare.ABOVE),
        number("level", shown.level),
        dialogs.shown_when("kind", (RuleKind.THRESHOLD, RuleKind.RATE), shown.kind, number("clear_level", shown.clear_level)),
    )  # fmt: skip


def _others(words: Words, shown: RuleForm) -> Markup:
    marks = [(each, words.known(f"mark.{each}", each)) for each in MARKS]
    days = dialogs.field(
        words("alarm_rule.days"), "days", f"{shown.days or 7:g}", type="number", min=0.1, max=365, step="any"
    )
    wanted = dialogs.field(words("alarm_rule.wanted"), "wanted", shown.wanted or "", maxlength=80,
                           hint=words("alarm_rule.wanted_hint"))  # fmt: skip
    return join(
        dialogs.shown_when("kind", (RuleKind.TREND, RuleKind.REVOCATION_LIST), shown.kind, days),
        dialogs.shown_when("kind", (RuleKind.VERSION,), shown.kind, wanted),
        dialogs.shown_when(
            "kind",
            (RuleKind.MARK,),
            shown.kind,
            dialogs.choice(words("alarm_rule.mark"), "mark", marks, shown.mark or ""),
        ),
    )


def _scope(view: View, shown: RuleForm, places: _Places) -> Markup:
    words = view.words

    def choice(name: str, any_one: str, options: Sequence[tuple[str, str]], value: str | None) -> Markup:
        return dialogs.choice(words(f"alarm_rule.{name}"), name, [("", words(any_one)), *options], value or "")

    kinds = [(each.value, words(f"kind.{each}")) for each in TerminalKind]
    organisations = dialogs.choice(
        words("alarm_rule.organisation"), "organisation_id",
        [("", words("alarm_rule.any_organisation")), *organisation_options(view, places.organisations)],
        shown.organisation_id or "",
    )  # fmt: skip
    rooms = dialogs.choice(
        words("alarm_rule.room"), "room_id",
        [("", words("alarm_rule.any_room")), *room_options(words, places.rooms)], shown.room_id or "",
    )  # fmt: skip
    terminal_kind = choice("terminal_kind", "alarm_rule.any_kind", kinds, shown.terminal_kind)
    scoped = [kind for kind in RuleKind if kind is not RuleKind.REVOCATION_LIST]
    return dialogs.shown_when("kind", scoped, shown.kind, organisations, rooms, terminal_kind)


def _filled(values: dict[str, str], *, enabled: bool) -> RuleForm:
    """What was filled in, without the fields that its kind does not use: they were hidden. Invalid when it is not right."""
    kind = values.get("kind", "")
    used = USED[RuleKind(kind)] if kind in set(RuleKind) else frozenset()
    given = {name: values[name].strip() for name in used if values.get(name, "").strip()}
    scope = {} if kind == RuleKind.REVOCATION_LIST else {
        name: values[name] for name in ("organisation_id", "room_id", "terminal_kind") if values.get(name)}  # fmt: skip
    texts = {name: values[name].strip() for name in ("todo", "todo_en") if values.get(name, "").strip()}
    return dialogs.filled(
        RuleForm, name=values.get("name", ""), name_en=values.get("name_en", ""), kind=kind, enabled=enabled,
        severity=values.get("severity", ""), for_s=_seconds(values.get("for_minutes", "")),
        clear_for_s=_seconds(values.get("clear_minutes", "")), **given, **scope, **texts,
    )  # fmt: skip


def _seconds(minutes: str) -> object:
    """What is no number is left to the form to refuse."""
    try:
        return round(float(minutes or 0) * 60)
    except (ValueError, OverflowError):
        return minutes
