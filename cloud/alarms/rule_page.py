"""Console: the rules of alarms. Before one is saved it is said how many terminals it is about."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import rule_form, ruling, saying
from cloud.alarms.models import AlarmRule
from cloud.alarms.saying import Names
from cloud.console import dialogs
from cloud.console.markup import Content, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, none, say, small, table
from cloud.scope import Scope

PATH = "/alarm-rules"


def register(shell: Shell) -> None:
    """`/alarm-rules`."""

    @shell.page(PATH, "alarms")
    async def listing(view: View) -> None:
        await _Rules(view).show()


@dataclass(frozen=True)
class _Known:
    rules: list[AlarmRule]
    names: Names


def _read(session: Session, scope: Scope) -> _Known:
    rules = list(ruling.all_rules(session, scope))
    return _Known(rules, saying.names(session, (r.room_id for r in rules), (r.organisation_id for r in rules)))


class _Rules:
    """The page."""

    def __init__(self, view: View) -> None:
        self.view = view

    async def show(self) -> None:
        """Build it."""
        view, words = self.view, self.view.words
        add = button(words("alarm_rule.add"), "add", kind="main") if view.may(Role.OPERATOR) else None
        above = link("/alarms", words("nav.alarms"))
        view.html(head(view, words("alarm_rule.title"), above=above, beside=add), on_act=self._act)
        self.list = view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        self.known = await self.view.read(_read)
        self.list.set_content(str(_table(self.view, self.known)))

    async def _act(self, act: str, on: str) -> None:
        rule = next((each for each in self.known.rules if each.id == on), None)
        if act == "add":
            await rule_form.ask(self.view, None, self._draw)
        elif rule is None:
            await self._draw()
        elif act == "edit":
            await rule_form.ask(self.view, rule, self._draw)
        elif act == "switch":
            await self._switch(rule)
        elif act == "delete":
            self._delete(rule)

    async def _switch(self, rule: AlarmRule) -> None:
        form = rule_form.form_of(rule).model_copy(update={"enabled": not rule.enabled})
        await self.view.write(
            Role.OPERATOR, lambda s, change, scope: ruling.edit(s, change, scope, rule.id, rule.version, form)
        )
        await self._draw()

    def _delete(self, rule: AlarmRule) -> None:
        words = self.view.words
        name = saying.name(words, rule)
        field = dialogs.field(words("members.type_name", name=name), "typed", required=True, autocomplete="off",
                              autofocus=True)  # fmt: skip

        async def delete(values: dict[str, str]) -> None:
            dialogs.same(self.view, values.get("typed", ""), name)
            await self.view.write(
                Role.OPERATOR, lambda s, change, scope: ruling.delete(s, change, scope, rule.id, rule.version)
            )
            await self._draw()

        dialogs.ask(self.view, words("alarm_rule.delete_title", name=name), field, words("alarm_rule.delete_it"), delete,
                    danger=True, intro=words("alarm_rule.delete_more"))  # fmt: skip


def _table(view: View, known: _Known) -> Markup:
    words = view.words
    if not known.rules:
        return none(words("alarm_rule.none"), words("alarm_rule.none_more"))
    columns = [
        Column(words("alarm.severity"), "rl-fit"),
        Column(words("alarm_rule.name"), "b"),
        Column(words("alarm_rule.condition"), "rl-whole"),
        Column(words("alarm_rule.scope"), "lo"),
        Column(words("alarm_rule.state"), "rl-fit"),
    ]
    if view.may(Role.OPERATOR):
        columns.append(Column(words("members.do"), "num rl-fit"))
    rows = [_cells(view, rule, known.names)[: len(columns)] for rule in known.rules]
    return table(columns, rows, words("alarm_rule.title"))


def _cells(view: View, rule: AlarmRule, names: Names) -> list[Content]:
    words = view.words
    state = say("ok", words("alarm_rule.on")) if rule.enabled else say("cancelled", words("alarm_rule.off"))
    switch = button(words(f"alarm_rule.switch_{'off' if rule.enabled else 'on'}"), "switch", rule.id)
    actions = tag("span", switch, button(words("page.edit"), "edit", rule.id),
                  button(words("alarm_rule.delete"), "delete", rule.id, kind="danger"), class_="rl-row rl-end")  # fmt: skip
    return [saying.severity(words, rule.severity), saying.name(words, rule), small(saying.condition(words, rule)),
            saying.scope(words, rule, names), state, actions]  # fmt: skip
