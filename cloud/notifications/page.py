"""Console: receivers of notifications, the dead letters first, and what was told lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms.standing import Standing, standings
from cloud.console import dialogs
from cloud.console.markup import Content, join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, mono, none, note, panel, small, table
from cloud.notifications import receiver_form, receivers, service, telling, trying
from cloud.notifications.carrying import carrier_of
from cloud.notifications.deciding import State
from cloud.notifications.failures import Undelivered, in_words
from cloud.notifications.models import Notification, Receiver
from cloud.notifications.receivers import Kind
from cloud.organisations import service as organisations
from cloud.paging import Paging
from cloud.scope import Scope

PATH = "/receivers"
EVERY_S = 3.0
DEAD_SHOWN = 20
LATELY = 20


def register(shell: Shell) -> None:
    """`/receivers`."""

    @shell.page(PATH, "alarms")
    async def listing(view: View) -> None:
        view.writable(Role.OPERATOR)
        await _Receivers(view).show()


@dataclass(frozen=True)
class _Known:
    receivers: Sequence[Receiver]
    organisations: Mapping[str, tuple[str, str]]
    dead: Sequence[Notification]
    dead_count: int
    lately: Sequence[Notification]
    names: Mapping[str, str]
    alarms: Mapping[str, Standing]


def _read(session: Session, scope: Scope) -> _Known:
    found = receivers.all_receivers(session, scope)
    dead = service.list_notifications(session, scope, Paging(DEAD_SHOWN), State.DEAD).rows
    lately = service.list_notifications(session, scope, Paging(LATELY)).rows
    return _Known(
        found,
        organisations.names(session, {each.organisation_id for each in found if each.organisation_id}),
        dead,
        service.count_dead(session, scope),
        lately,
        service.names(session, {each.receiver_id for each in (*dead, *lately)}),
        standings(session, {each.alarm_id for each in (*dead, *lately)}),
    )


class _Receivers:
    """The page."""

    def __init__(self, view: View) -> None:
        self.view = view

    async def show(self) -> None:
        """Build it, and keep it live."""
        view, words = self.view, self.view.words
        add = button(words("receiver.add"), "add", kind="main")
        above = link("/alarms", words("nav.alarms"))
        view.html(head(view, words("receiver.title"), above=above, beside=add), on_act=self._act)
        view.html(tag("p", words("receiver.about"), class_="q rl-under"))
        self.said = view.html(slot="said").props('role="status"')
        self.dead = view.html(slot="dead", on_act=self._act)
        self.list = view.html(slot="list", on_act=self._act)
        self.lately = view.html(slot="lately")
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._draw))

    async def _draw(self) -> None:
        self.known = await self.view.read(_read, Role.OPERATOR)
        self.dead.set_content(str(_dead(self.view, self.known)))
        self.list.set_content(str(_table(self.view, self.known)))
        self.lately.set_content(str(_lately(self.view, self.known)))

    async def _act(self, act: str, on: str) -> None:
        receiver = next((each for each in self.known.receivers if each.id == on), None)
        if act == "add":
            await receiver_form.ask(self.view, None, self._saved)
        elif act == "resend":
            await self._resend(int(on))
        elif receiver is None:
            await self._draw()
        elif act == "test":
            await self._test(receiver)
        elif act == "edit":
            await receiver_form.ask(self.view, receiver, self._saved)
        elif act == "switch":
            form = receiver_form.form_of(receiver).model_copy(update={"enabled": not receiver.enabled})
            await receiver_form.keep(self.view, receiver, form, self._saved)
        elif act == "secret":
            self._renew(receiver)
        elif act == "delete":
            self._delete(receiver)

    async def _saved(self, secret: str | None) -> None:
        await self._draw()
        if secret is not None:
            words = self.view.words
            with self.view.client.content:
                dialogs.tell(self.view, words("receiver.secret"), tag("p", words("receiver.secret_once"), class_="q"),
                             tag("p", mono(secret), data_slot="secret"))  # fmt: skip

    async def _resend(self, number: int) -> None:
        await self.view.write(Role.OPERATOR, lambda s, change, scope: service.resend(s, change, scope, number))
        await self._draw()

    async def _test(self, receiver: Receiver) -> None:
        """The outcome stands above the list."""
        view, words = self.view, self.view.words
        letter = await view.write(Role.OPERATOR, lambda s, change, scope: trying.begin(s, change, scope, receiver.id))
        self.said.set_content(str(note("running", words("receiver.testing", name=receiver.name))))

        def attempt() -> Undelivered | None:
            return trying.attempt(carrier_of(view.cloud.settings), letter)

        failed = await view.in_thread(attempt)
        await view.write(Role.OPERATOR, lambda s, change, _scope: trying.end(s, receiver.id, failed, change.at))
        if failed is None:
            shown = note("ok", words("receiver.tested", name=receiver.name), words("receiver.tested_more"))
        else:
            shown = note("bad", words("receiver.test_failed", name=receiver.name), in_words(words, failed.plain()))
        self.said.set_content(str(shown))
        await self._draw()

    def _renew(self, receiver: Receiver) -> None:
        words = self.view.words

        async def renew(_values: dict[str, str]) -> None:
            box = carrier_of(self.view.cloud.settings).box
            await self._saved(await self.view.write(
                Role.OPERATOR, lambda s, change, scope: receivers.renew_secret(s, change, scope, receiver.id, box)
            ))  # fmt: skip

        dialogs.ask(self.view, words("receiver.renew_title", name=receiver.name), None, words("receiver.renew"), renew,
                    intro=words("receiver.renew_more"))  # fmt: skip

    def _delete(self, receiver: Receiver) -> None:
        words = self.view.words
        field = dialogs.field(words("members.type_name", name=receiver.name), "typed", required=True, autocomplete="off",
                              autofocus=True)  # fmt: skip

        async def delete(values: dict[str, str]) -> None:
            dialogs.same(self.view, values.get("typed", ""), receiver.name)
            await self.view.write(
                Role.OPERATOR,
                lambda s, change, scope: receivers.delete(s, change, scope, receiver.id, receiver.version),
            )
            await self._draw()

        dialogs.ask(self.view, words("receiver.delete_title", name=receiver.name), field,
                    words("receiver.delete_it"), delete, danger=True, intro=words("receiver.delete_more"))  # fmt: skip


def _dead(view: View, known: _Known) -> Markup:
    """What was given up, with why, and a way to send it again."""
    words = view.words
    if not known.dead:
        return Markup("")
    columns = (*_columns(view), Column(words("members.do"), "num rl-fit"))
    rows = [[*_told(view, known, each), button(words("told.resend"), "resend", str(each.id))] for each in known.dead]
    title = words("told.dead_letters", n=known.dead_count)
    shown = panel(title, tag("p", words("told.dead_more"), class_="q"), table(columns, rows, title))
    return tag("div", shown, style="padding-bottom:40px")


def _lately(view: View, known: _Known) -> Markup:
    words = view.words
    if not known.lately:
        return Markup("")
    title = words("told.lately")
    shown = table(_columns(view), [_told(view, known, each) for each in known.lately], title)
    return tag("div", panel(title, shown), style="padding-top:40px")


def _columns(view: View) -> tuple[Column, ...]:
    words = view.words
    return (
        Column(words("told.time"), "nowrap", h=True),
        Column(words("told.receiver"), "b"),
        Column(words("told.what")),
        Column(words("told.state"), "rl-whole"),
    )


def _told(view: View, known: _Known, one: Notification) -> list[Content]:
    words = view.words
    what, alarm = words(f"letter_what.{one.what}"), known.alarms.get(one.alarm_id)
    if alarm is not None:
        what = words("fault.line", where=what, says=words.either(alarm.name, alarm.name_en))
    return [
        words.clock(one.at),
        known.names.get(one.receiver_id, "–"),
        link(f"/alarms/{one.alarm_id}", what),
        telling.state(view, one),
    ]


def _table(view: View, known: _Known) -> Markup:
    words = view.words
    if not known.receivers:
        return none(words("receiver.none"), words("receiver.none_more"))
    columns = (
        Column(words("receiver.name"), "b"),
        Column(words("receiver.address"), "rl-whole"),
        Column(words("receiver.told"), "lo"),
        Column(words("receiver.state"), "rl-whole"),
        Column(words("members.do"), "rl-whole"),
    )
    shown = table(columns, [_cells(view, each, known) for each in known.receivers], words("receiver.title"))
    return panel(words("receiver.all"), shown)


def _cells(view: View, receiver: Receiver, known: _Known) -> list[Content]:
    words = view.words
    whole = words("receiver.whole")
    place = words.either(*known.organisations.get(receiver.organisation_id or "", (whole, whole)))
    rules = words("receiver.rules_n", n=len(receiver.rule_ids)) if receiver.rule_ids else words("receiver.rules_all")
    of = words("receiver.of", severity=words(f"alarm.{receiver.severity}"), rules=rules, place=place)
    address = join(small(telling.kind(words, receiver)), tag("br"), mono(receiver.address))
    return [receiver.name, address, join(of, tag("br"), small(telling.when(words, receiver))),
            telling.standing(view, receiver), _actions(view, receiver)]  # fmt: skip


def _actions(view: View, receiver: Receiver) -> Markup:
    words = view.words
    secret = button(words("receiver.renew"), "secret", receiver.id) if receiver.kind == Kind.WEBHOOK else None
    switch = button(
        words("alarm_rule.switch_off" if receiver.enabled else "alarm_rule.switch_on"), "switch", receiver.id
    )
    return tag(
        "span", button(words("receiver.test"), "test", receiver.id), button(words("page.edit"), "edit", receiver.id),
        switch, secret, button(words("receiver.delete"), "delete", receiver.id, kind="danger"), class_="rl-row",
    )  # fmt: skip
