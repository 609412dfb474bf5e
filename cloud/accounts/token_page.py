"""Console: API tokens, one's own; an admin sees those of the branch. A token's secret is shown once; it can be revoked."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts import service
from cloud.accounts.models import ApiToken
from cloud.accounts.routes import TokenBody
from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.refusals import refuse
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, none, say, table
from cloud.paging import Found
from cloud.scope import EVERYWHERE, Scope

PATH = "/tokens"


def register(shell: Shell) -> None:
    """`/tokens`."""

    @shell.page(PATH, "tokens")
    async def listing(view: View, cursor: str = "") -> None:
        await _Tokens(view, cursor).show()


@dataclass(frozen=True)
class _Known:
    found: Found[ApiToken]
    names: dict[str, str]


class _Tokens:
    """The page, and its two dialogs."""

    def __init__(self, view: View, cursor: str) -> None:
        self.view = view
        self.cursor = cursor

    async def show(self) -> None:
        """Build it."""
        words = self.view.words
        add = button(words("tokens.add"), "add", kind="main")
        self.view.html(head(self.view, words("nav.tokens"), beside=add), on_act=self._act)
        self.view.html(tag("p", words("tokens.about"), class_="q rl-under"))
        self.list = self.view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        def known(session: Session, _scope: Scope) -> _Known:
            found = service.tokens(session, self.view.principal, lists.paging(self.cursor))
            return _Known(found, service.names(session, {token.account_id for token in found.rows}))

        self.known = await self.view.read(known)
        self.list.set_content(str(self._listing(self.known)))

    def _listing(self, known: _Known) -> Markup:
        words = self.view.words
        if not known.found.rows:
            return none(words("tokens.none"), words("tokens.none_more"))
        columns = (
            Column(words("field.name"), "b"),
            Column(words("field.account")),
            Column(words("field.role"), h=True),
            Column(words("members.state")),
            Column(words("accounts.since"), "lo"),
            Column(words("members.do"), "num rl-fit"),
        )
        rows = [self._cells(token, known.names.get(token.account_id, "–")) for token in known.found.rows]
        pager = lists.pager(words, PATH, self.cursor, known.found.next_cursor)
        return join(table(columns, rows, words("nav.tokens")), pager)

    def _cells(self, token: ApiToken, account: str) -> list[str | Markup | None]:
        words = self.view.words
        over = token.expires_at is not None and token.expires_at <= self.view.now
        if token.revoked_at is not None:
            state = say("cancelled", words("tokens.revoked"))
        elif over:
            state = say("expired", words("members.expired"))
        elif token.expires_at is not None:
            state = say("ok", words("members.until", day=words.short_day(token.expires_at)))
        else:
            state = say("ok", words("tokens.in_force"))
        revoke = button(words("tokens.revoke"), "revoke", token.id, kind="danger") if token.revoked_at is None else None
        role = words.known(f"role.{token.role}", token.role)
        return [token.name, account, role, state, words.short_day(token.created_at), revoke]

    def _act(self, act: str, on: str) -> None:
        token = next((each for each in self.known.found.rows if each.id == on), None)
        if act == "add":
            self._add()
        elif act == "revoke" and token is not None:
            self._revoke(token)

    def _add(self) -> None:
        words, by = self.view.words, self.view.principal
        roles = [(each, words(f"role.{each}")) for each in Role if by.role.includes(each)]
        tomorrow = self.view.now.astimezone(self.view.zone) + timedelta(days=1)
        fields = join(
            dialogs.field(words("field.name"), "name", required=True, maxlength=120, autofocus=True, autocomplete="off",
                          hint=words("tokens.name_hint")),
            dialogs.choice(words("field.role"), "role", roles, Role.VIEWER),
            dialogs.field(words("tokens.expires"), "expires", type="date", min=f"{tomorrow:%Y-%m-%d}",
                          hint=words("tokens.expires_hint")),
        )  # fmt: skip

        async def add(values: dict[str, str]) -> None:
            form = dialogs.filled(TokenBody, name=values.get("name", ""), role=values.get("role"),
                                  expires_at=self._end_of(values.get("expires", "")))  # fmt: skip

            def make(session: Session, change: Change, _scope: Scope) -> str:
                account = service.get_account(session, EVERYWHERE, by.account_id)
                return service.create_token(session, change, by.role, account, form.name, form.role, form.expires_at)[1]

            secret = await self.view.write(Role.VIEWER, make, confirmed=True)
            await self._draw()
            dialogs.tell(self.view, words("tokens.made", name=form.name), tag("p", words("tokens.once")),
                         tag("p", tag("code", secret, class_="mono rl-secret")))  # fmt: skip

        dialogs.ask(self.view, words("tokens.add"), fields, words("tokens.add"), add)

    def _end_of(self, day: str) -> datetime | None:
        """The end of that day here; None for no end."""
        if not day:
            return None
        try:
            end = datetime.combine(date.fromisoformat(day), time.max, self.view.zone)
        except ValueError as error:
            raise refuse(self.view.words, "tokens.bad_day") from error
        if end <= self.view.now:
            raise refuse(self.view.words, "tokens.bad_day")
        return end

    def _revoke(self, token: ApiToken) -> None:
        words = self.view.words

        async def revoke(_values: dict[str, str]) -> None:
            await self.view.write(
                Role.VIEWER,
                lambda session, change, _: service.revoke_token(session, change, self.view.principal, token.id),
            )
            await self._draw()

        dialogs.ask(self.view, words("tokens.revoke_title", name=token.name), None, words("tokens.revoke_it"), revoke,
                    intro=words("tokens.revoke_more"), danger=True)  # fmt: skip
