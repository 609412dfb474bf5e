"""Console: one terminal. What it says of itself and when, how far its records have come, and what it was told to be."""

from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import panel as alarms
from cloud.audit.service import Change
from cloud.certificates import page as certificates
from cloud.commands import page as commands
from cloud.commands import upload_panel
from cloud.console import dialogs, facts
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import (
    ago,
    button,
    link,
    mono,
    none,
    note,
    pairs,
    panel,
    plate,
    say,
)
from cloud.console.words import Words
from cloud.overview import positions
from cloud.overview.positions import StreamStanding
from cloud.readings import page as readings
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import (
    broker_users,
    enabling,
    evidence,
    history,
    replace_dialog,
    service,
    terminal_form,
    twin_table,
)
from cloud.terminals.models import Terminal
from cloud.terminals.password_dialog import show_password
from cloud.terminals.pin_dialog import ask_pin
from cloud.terminals.presence import CONNECTED
from cloud.terminals.seen_dialog import ask_seen
from cloud.terminals.versions import version_of
from cloud.timeline import page as timeline

PATH = "/terminals"
EVERY_S = 2.0


def register(shell: Shell) -> None:
    """`/terminals/{id}`."""

    @shell.page(PATH + "/{terminal_id}", "terminals")
    async def terminal(view: View, terminal_id: str) -> None:
        await _Page(view, terminal_id).show()


@dataclass(frozen=True)
class _Known:
    terminal: Terminal
    room: str
    room_name: tuple[str, str]
    streams: list[StreamStanding]
    told: twin_table.Told
    commands: commands.Commands
    certificate: certificates.Newest
    link: history.Link
    alarms: alarms.OfTerminal
    uploads: upload_panel.Uploads


def _known(session: Session, scope: Scope, terminal_id: str, view: View) -> _Known:
    now = view.now
    terminal = service.get(session, scope, terminal_id)
    room = rooms.get(session, scope, terminal.room_id) if terminal.room_id else None
    return _Known(
        terminal,
        room.number if room else "",
        (room.name, room.name_en) if room else ("", ""),
        positions.streams_of(session, terminal_id),
        twin_table.told(session, terminal),
        commands.newest(session, scope, terminal_id),
        certificates.newest(session, scope, terminal_id),
        history.link(session, terminal_id, now),
        alarms.of_terminal(session, scope, terminal_id, (room.id, room.organisation_id) if room else None, now),
        upload_panel.newest(session, scope, terminal_id, view),
    )


class _Page:
    """One terminal's page."""

    def __init__(self, view: View, terminal_id: str) -> None:
        self.view = view
        self.id = terminal_id

    async def show(self) -> None:
        """Build it, and keep it live."""
        view = self.view
        self.top = view.html(on_act=self._act)
        with ui.element("div").classes("rl-grid"):
            with ui.element("div").classes("rl-stack").style("--c:8"):
                self.evidence = view.html(slot="evidence")
                self.twin = view.html(slot="twin")
                self.commands = view.html(slot="commands", on_act=self._act)
                health = readings.HealthPanel(view, self.id)
                await health.show()
            with ui.element("div").classes("rl-stack").style("--c:4"):
                self.alarms = view.html(slot="alarms")
                self.marks = view.html(slot="marks", on_act=self._act)
                self.now = view.html(slot="now")
                self.measured = view.html(slot="measured")
                self.certificate = view.html(slot="certificate", on_act=self._act)
                self.timeline = view.html(slot="timeline")
                self.uploads = view.html(slot="uploads", on_act=self._act)
        await self._read()
        await self._tell()
        await self._measure()
        view.keep_live(view.at_most_every(readings.NEWEST_EVERY_S, self._measure))
        view.keep_live(view.at_most_every(EVERY_S, self._read))
        view.keep_live(view.at_most_every(timeline.EVERY_S, self._tell))

    async def _read(self) -> None:
        self.known = await self.view.read(lambda session, scope: _known(session, scope, self.id, self.view))
        words, known = self.view.words, self.known
        self.top.set_content(str(self._head(words, known)))
        shown = evidence.panel_of(words, known.streams, known.terminal.presence, self.view.now)
        self.evidence.set_content(str(shown))
        self.twin.set_content(str(twin_table.table_of(words, known.told, known.terminal)))
        self.commands.set_content(str(commands.panel_of(self.view, known.commands)))
        self.alarms.set_content(str(alarms.panel_of(self.view, known.alarms)))
        self.now.set_content(str(_now(words, known)))
        self.certificate.set_content(str(certificates.panel_of(self.view, known.certificate)))
        self.marks.set_content(str(_marks(self.view, known.terminal)))
        self.uploads.set_content(str(upload_panel.panel_of(self.view, self.id, known.uploads)))

    async def _tell(self) -> None:
        self.timeline.set_content(str(timeline.panel_of(self.view, self.id, await timeline.read(self.view, self.id))))

    async def _measure(self) -> None:
        self.measured.set_content(str(await readings.measured(self.view, self.id)))

    def _head(self, words: Words, known: _Known) -> Markup:
        terminal = known.terminal
        key, kind = ("disable", "danger") if terminal.enabled else ("enable", None)
        pin = button(words("terminal.pin"), "pin") if terminal.kind == "kiosk" else None
        other = button(words("replace.it"), "replace") if terminal.replaced_by is None else None
        actions = join(
            join(button(words("page.edit"), "edit"), pin) if self.view.may(Role.OPERATOR) else None,
            join(other, button(words("terminal.password"), "password"), button(words(f"terminal.{key}"), key, kind=kind))
            if self.view.may(Role.ADMIN) else None,
        )  # fmt: skip
        above = join(link(PATH, words("nav.terminals")), f" / {words.either(*known.room_name)}" if known.room else None)
        top = head(self.view, terminal.id, above=above, before=plate(known.room) if known.room else None,
                   beside=actions)  # fmt: skip
        heard = words("terminal.never_heard")
        said: Markup | str = heard
        if terminal.last_heard_at is not None:
            whose = words("terminal.own_word" if terminal.presence in CONNECTED else "terminal.last_word")
            said = tag("span", ago(words, terminal.last_heard_at, self.view.now), " · ", whose)
        disabled = say("cancelled", words("terminals.disabled")) if not terminal.enabled else None
        kind = tag("span", f"· {words(f'kind.{terminal.kind}')}", class_="q")
        flaps = say("cut", words("timeline.now_flapping", n=known.link.changes)) if known.link.flapping else None
        under = tag(
            "p", facts.presence(words, terminal.presence), flaps, disabled, said, kind, class_="rl-row rl-under"
        )
        return join(top, under, replace_dialog.said(self.view, terminal))

    async def _act(self, act: str, on: str) -> None:
        if await commands.act_on(self.view, self.id, act, on, self._read):
            return
        if await certificates.act_on(self.view, self.id, act, self._read):
            return
        if act == "edit":
            await terminal_form.edit(self.view, self.id, self._read)
        elif act == "pin":
            ask_pin(self.view, self.view.words("terminal.pin_title", terminal=self.id),
                    {self.id: self.known.terminal.version}, self._read)  # fmt: skip
        elif act == "replace":
            replace_dialog.ask_replacement(self.view, self.known.terminal, self._read)
        elif act == "seen":
            ask_seen(self.view, self.id, self.known.terminal.marks, self._read)
        elif act == "password":
            self._ask_new_password()
        elif act == "enable":
            await self._stand(True)
        elif act == "disable":
            self._disable()

    def _ask_new_password(self) -> None:
        """Its old one ends at once, and the terminal is away until somebody has written the new one into it."""
        words = self.view.words
        dialogs.ask(self.view, words("terminal.password_new", terminal=self.id), "", words("terminal.password_it"),
                    lambda _values: self._new_password(), intro=words("terminal.password_more"), danger=True)  # fmt: skip

    async def _new_password(self) -> None:
        made = await self.view.write(
            Role.ADMIN,
            lambda session, change, scope: service.new_password(
                session, change, scope, self.id, self.known.terminal.version
            ),
            confirmed=True,
        )
        told = await self.view.in_thread(lambda: broker_users.publish(self.view.cloud))
        await self._read()
        show_password(self.view, self.id, made.password, told)

    def _disable(self) -> None:
        words = self.view.words
        fields = dialogs.field(words("members.type_name", name=self.id), "typed", required=True, autocomplete="off",
                               autofocus=True)  # fmt: skip

        async def disable(values: dict[str, str]) -> None:
            dialogs.same(self.view, values.get("typed", ""), self.id)
            await self._stand(False)

        dialogs.ask(self.view, words("terminal.disable_title", terminal=self.id), fields, words("terminal.disable_it"),
                    disable, intro=words("terminal.disable_more"), danger=True)  # fmt: skip

    async def _stand(self, enabled: bool) -> None:
        version = self.known.terminal.version

        def stand(session: Session, change: Change, scope: Scope) -> None:
            enabling.enable(session, change, scope, self.id, version, enabled=enabled)

        await self.view.write(Role.ADMIN, stand, confirmed=not enabled)
        await self.view.in_thread(lambda: broker_users.publish(self.view.cloud))
        await self._read()


def _now(words: Words, known: _Known) -> Markup:
    terminal, birth = known.terminal, known.terminal.birth or {}
    rows: list[tuple[str, str | Markup]] = [
        (words("terminals.kind"), words(f"kind.{terminal.kind}")),
        (words("terminal.profile"), words.known(f"kind.{terminal.profile}", terminal.profile)),
        (
            words("field.pin"),
            words("terminal.pin_set" if terminal.settings.get("staff_pin_hash") else "terminal.pin_none"),
        ),
        (words("terminals.version"), version_of(terminal.birth) or "–"),
        (words("terminals.room"), plate(known.room) if known.room else words("terminals.no_room")),
    ]
    if terminal.presence_at is not None:
        rows.append((words("terminal.presence_since"), words.minute(terminal.presence_at)))
    if terminal.connection is not None:
        rows.append((words("terminal.connection"), words.number(terminal.connection)))
    versions = birth.get("versions") or {}
    if versions.get("system"):
        rows.append((words("readings.system"), str(versions["system"])))
    if versions.get("kernel"):
        rows.append((words("readings.kernel"), str(versions["kernel"])))
    if birth.get("boot"):
        rows.append((words("terminal.boot"), mono(str(birth["boot"])[:8])))
    rows.append((words("terminal.registered"), words.short_day(terminal.created_at)))
    return panel(words("terminal.now"), pairs(rows))


def _marks(view: View, terminal: Terminal) -> Markup:
    words = view.words
    title = words("terminal.marks")
    if not terminal.marks:
        return panel(title, none(words("terminal.no_marks"), words("terminal.no_marks_more")))
    seen = button(words("terminal.seen"), "seen") if view.may(Role.OPERATOR) else None
    notes = []
    for number, mark in enumerate(terminal.marks, 1):
        said = words.known(f"mark.{mark}", mark)
        done = seen if number == len(terminal.marks) else None
        notes.append(note("warn", said[:1].upper() + said[1:], words("trouble.kept_more"), done))
    since = words.minute(terminal.marked_at) if terminal.marked_at else None
    return panel(title, tag("div", notes), beside=since)
