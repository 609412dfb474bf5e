"""Console: one member with cards and attendance."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import service as activities
from cloud.attendance import service as attendance
from cloud.audit.service import Change
from cloud.checkins import service as checkins
from cloud.console import dialogs, facts, lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, none, panel, plate, say, small, table
from cloud.credentials import service as credentials
from cloud.credentials.service import IssueForm, RevokeForm
from cloud.members import service
from cloud.members.member_form import member_fields, member_form
from cloud.members.service import MemberForm
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from firmware_specs.credentials import card_number

PATH = "/members"


def register(shell: Shell) -> None:
    """`/members/{id}`."""

    @shell.page(PATH + "/{member_id}", "members")
    async def member(view: View, member_id: str) -> None:
        await _Detail(view, member_id).show()


@dataclass(frozen=True)
class _Card:
    id: str
    number: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    reason: str


@dataclass(frozen=True)
class _Attended:
    at: datetime
    room: str
    occurrence_id: str
    title: tuple[str, str]
    method: str
    uncertainty_us: int


@dataclass(frozen=True)
class _Known:
    name: str
    external_id: str
    organisation_id: str
    organisation: tuple[str, str]
    version: int
    erased_at: datetime | None
    cards: list[_Card]
    attended: Found[_Attended]
    seen: list[checkins.Seen]


def _known(session: Session, scope: Scope, member_id: str) -> _Known:
    member = service.get(session, scope, member_id)
    named = organisations.names(session, [member.organisation_id])
    cards = credentials.list_credentials(session, scope, Paging(20), member_id=member_id).rows
    return _Known(
        member.display_name,
        member.external_id or "",
        member.organisation_id,
        named.get(member.organisation_id, ("", "")),
        member.version,
        member.erased_at,
        [
            _Card(c.id, card_number(c.id), c.created_at, c.expires_at, c.revoked_at, c.revoke_reason or "")
            for c in cards
        ],
        _attended(session, scope, member_id),
        checkins.of_member(session, scope, member_id, 10),
    )


def _attended(session: Session, scope: Scope, member_id: str) -> Found[_Attended]:
    found = attendance.list_attendance(session, scope, Paging(50), member_id=member_id)
    plates = rooms.plates(session, {row.room_id for row in found.rows if row.room_id})
    titles = activities.titles(session, {row.occurrence_id.partition("/")[0] for row in found.rows})
    rows = [
        _Attended(row.effective_at, plates.get(row.room_id or "", ""), row.occurrence_id,
                  titles.get(row.occurrence_id.partition("/")[0], ("", "")), row.method, row.uncertainty_us)
        for row in found.rows
    ]  # fmt: skip
    return Found(rows, found.next_cursor)


class _Detail:
    """One member's page."""

    def __init__(self, view: View, member_id: str) -> None:
        self.view = view
        self.member_id = member_id
        self._newest: int | None = None

    async def show(self) -> None:
        """Build it, and keep its attendance live."""
        view = self.view
        self.top = view.html(on_act=self._act)
        with ui.element("div").classes("rl-grid"):
            self.history = view.html(slot="attendance").style("--c:7")
            with ui.element("div").classes("rl-stack").style("--c:5"):
                self.cards = view.html(slot="cards", on_act=self._act)
                self.facts = view.html(slot="facts")
        await self._draw()
        view.keep_live(self._news)

    async def _news(self) -> None:
        """Read again only when one of the newest check-ins is this member's."""
        pulse = await self.view.pulse()
        mine = next((seen.id for seen in pulse.check_ins if seen.member_id == self.member_id), None)
        if mine is not None and mine != self._newest:
            self._newest = mine
            await self._draw()

    async def _draw(self) -> None:
        known = await self.view.read(lambda session, scope: _known(session, scope, self.member_id))
        self.known = known
        words = self.view.words
        above = join(link(PATH, words("nav.members")), " / ", words.either(*known.organisation))
        name = known.name or words("members.erased")
        self.top.set_content(str(join(head(self.view, name, above=above, beside=self._actions()), self._under())))
        self.history.set_content(str(self._history(known)))
        self.cards.set_content(str(self._cards(known)))
        self.facts.set_content(str(self._facts(known)))

    def _actions(self) -> Markup | None:
        words = self.view.words
        if self.known.erased_at is not None or not self.view.may(Role.ORGANISER):
            return None
        erase = button(words("members.erase"), "erase", kind="danger") if self.view.may(Role.ADMIN) else None
        return join(button(words("page.edit"), "edit"), erase, button(words("members.issue"), "issue", kind="main"))

    def _under(self) -> Markup:
        words = self.view.words
        number = words("members.number", number=self.known.external_id) if self.known.external_id else ""
        shown = len(self.known.attended.rows)
        count = tag("span", words("members.attended", n=shown), class_="b") if shown else None
        return tag("p", count, small(number), class_="rl-row rl-under")

    def _history(self, known: _Known) -> Markup:
        words = self.view.words
        title = words("members.history")
        if not known.attended.rows:
            return panel(title, none(words("members.history_none"), words("members.history_none_more")))
        columns = (
            Column(words("members.when"), "rl-fit"),
            Column(words("members.room"), "rl-fit"),
            Column(words("members.activity")),
            Column(words("members.how"), "lo"),
        )
        rows = [
            [words.minute(row.at), plate(row.room) if row.room else "–",
             link(f"/activities/{row.occurrence_id}", words.either(*row.title) or row.occurrence_id, class_="rl-quiet b"),
             words.known(f"method.{row.method}", row.method)]
            for row in known.attended.rows
        ]  # fmt: skip
        return panel(title, table(columns, rows, title))

    def _cards(self, known: _Known) -> Markup:
        words = self.view.words
        title = words("members.cards")
        if not known.cards:
            return panel(title, none(words("members.cards_none"), words("members.cards_none_more")))
        columns = (Column(words("members.card")), Column(words("members.state")), Column(words("members.do"), "num"))
        rows = [[self._number(card), self._state(card), self._card_actions(card)] for card in known.cards]
        return panel(title, table(columns, rows, title))

    def _number(self, card: _Card) -> Markup:
        until = self.view.words("members.until", day=self.view.words.short_day(card.expires_at))
        return join(tag("span", card.number, class_="b nowrap"), tag("br"), small(until))

    def _state(self, card: _Card) -> Markup:
        words = self.view.words
        if card.revoked_at is not None:
            return join(say("cancelled", words("members.revoked")), tag("br"), small(card.reason))
        if card.expires_at <= self.view.now:
            return say("expired", words("members.expired"))
        return say("ok", words("members.in_force"))

    def _card_actions(self, card: _Card) -> Markup | None:
        if card.revoked_at is not None or not self.view.may(Role.ORGANISER):
            return None
        words = self.view.words
        address = lists.address("/api/v1/credentials/cards", credential_id=card.id)
        printed = tag("a", words("members.print"), href=address, target="_blank", rel="noopener", class_="rl-btn")
        revoke = button(words("members.revoke"), "revoke", card.id, kind="danger")
        return tag("span", printed, revoke, class_="rl-row rl-end")

    def _facts(self, known: _Known) -> Markup:
        words = self.view.words
        title = words("members.facts")
        if not known.seen:
            return panel(title, none(words("overview.board_none"), words("members.facts_none")))
        columns = (
            Column(words("members.when"), "rl-fit"),
            Column(words("members.terminal")),
            Column(words("occurrence.outcome"), "num"),
        )
        rows = [
            [words.clock(seen.at), link(f"/terminals/{seen.terminal_id}", seen.terminal_id, class_="rl-quiet"),
             facts.outcome(words, seen)]
            for seen in known.seen
        ]  # fmt: skip
        return panel(title, table(columns, rows, title))

    async def _act(self, act: str, on: str) -> None:
        if act == "issue":
            await self._issue()
        elif act == "edit":
            await self._edit()
        elif act == "revoke":
            self._revoke(on)
        elif act == "erase":
            self._erase()

    async def _edit(self) -> None:
        known = self.known
        values = MemberForm.model_construct(
            organisation_id=known.organisation_id, display_name=known.name, external_id=known.external_id or None
        )

        async def edit(values: dict[str, str]) -> None:
            form = member_form(values)
            await self.view.write(
                Role.ORGANISER,
                lambda session, change, scope: service.edit(
                    session, change, scope, self.member_id, known.version, form
                ),
            )
            await self._draw()

        words = self.view.words
        fields = await member_fields(self.view, values)
        dialogs.ask(self.view, words("members.edit"), fields, words("page.save"), edit)

    async def _issue(self) -> None:
        form = IssueForm(member_id=self.member_id)
        issuer = credentials.issuer_of(self.view.cloud.settings)
        await self.view.write(
            Role.ORGANISER, lambda session, change, scope: credentials.issue(session, change, scope, issuer, form)
        )
        await self._draw()

    def _revoke(self, card_id: str) -> None:
        words = self.view.words
        fields = join(
            dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500,
                          hint=words("members.reason_hint"), autofocus=True),
        )  # fmt: skip

        async def revoke(values: dict[str, str]) -> None:
            form = dialogs.filled(RevokeForm, **values)
            await self.view.write(
                Role.ORGANISER,
                lambda session, change, scope: credentials.revoke(session, change, scope, card_id, form.reason),
            )
            await self._draw()

        title = words("members.revoke_title", number=card_number(card_id))
        dialogs.ask(self.view, title, fields, words("members.revoke_it"), revoke, danger=True,
                    intro=words("members.revoke_more"))  # fmt: skip

    def _erase(self) -> None:
        words, known = self.view.words, self.known
        fields = dialogs.field(
            words("members.type_name", name=known.name), "typed", required=True, autocomplete="off", autofocus=True
        )

        async def erase(values: dict[str, str]) -> None:
            dialogs.same(self.view, values.get("typed", ""), known.name)

            def forget(session: Session, change: Change, scope: Scope) -> None:
                service.forget(session, change, scope, self.member_id, known.version)
                credentials.revoke_all(session, change, self.member_id, "erased")

            await self.view.write(Role.ADMIN, forget)
            await self._draw()

        dialogs.ask(self.view, words("members.erase_title"), fields, words("members.erase_it"), erase, danger=True,
                    intro=words("members.erase_more"))  # fmt: skip
