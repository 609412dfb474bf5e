"""Console: who is signed in where. One's own sessions; an admin sees those of the branch. Each can be ended."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts import service, sessions
from cloud.accounts.models import SignIn
from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, ago, breakable, button, say, table
from cloud.paging import Found
from cloud.scope import Scope

PATH = "/sessions"


def register(shell: Shell) -> None:
    """`/sessions`."""

    @shell.page(PATH, "sessions")
    async def listing(view: View, cursor: str = "") -> None:
        await _Sessions(view, cursor).show()


@dataclass(frozen=True)
class _Known:
    found: Found[SignIn]
    names: dict[str, str]


class _Sessions:
    """The page, and its dialog."""

    def __init__(self, view: View, cursor: str) -> None:
        self.view = view
        self.cursor = cursor

    async def show(self) -> None:
        """Build it."""
        words, settings = self.view.words, self.view.cloud.settings
        self.view.html(head(self.view, words("nav.sessions")))
        about = words("sessions.about", hours=settings.session_hours, minutes=settings.session_idle_minutes)
        self.view.html(tag("p", about, class_="q rl-under"))
        self.list = self.view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        def known(session: Session, _scope: Scope) -> _Known:
            found = sessions.sessions(session, self.view.principal, self.view.now, lists.paging(self.cursor))
            return _Known(found, service.names(session, {each.account_id for each in found.rows}))

        self.known = await self.view.read(known)
        self.list.set_content(str(self._listing(self.known)))

    def _listing(self, known: _Known) -> Markup:
        words = self.view.words
        columns = (
            Column(words("field.account"), "b"),
            Column(words("sessions.browser")),
            Column(words("audit.from")),
            Column(words("sessions.begun"), "nowrap", h=True),
            Column(words("sessions.used"), "nowrap", h=True),
            Column(words("members.do"), "num rl-fit"),
        )
        rows = [self._cells(each) for each in known.found.rows]
        pager = lists.pager(words, PATH, self.cursor, known.found.next_cursor)
        return join(table(columns, rows, words("nav.sessions")), pager)

    def _cells(self, each: SignIn) -> list[str | Markup]:
        words = self.view.words
        end = button(words("sessions.end"), "end", each.id, kind="danger")
        return [
            self._name(each),
            tag("span", each.browser, lang="en") if each.browser else words("sessions.program"),
            breakable(each.address or "–"),
            words.minute(each.created_at),
            ago(words, each.used_at, self.view.now),
            say("ok", words("sessions.this")) if self._is_this(each) else end,
        ]

    def _is_this(self, each: SignIn) -> bool:
        return each.id == self.view.principal.session_id

    def _name(self, each: SignIn) -> str:
        return self.known.names.get(each.account_id, "–")

    def _act(self, _act: str, on: str) -> None:
        found = next((each for each in self.known.found.rows if each.id == on), None)
        if found is not None:
            self._end(found)

    def _end(self, each: SignIn) -> None:
        words = self.view.words

        async def end(_values: dict[str, str]) -> None:
            await self.view.write(
                Role.VIEWER, lambda session, change, _: sessions.revoke(session, change, self.view.principal, each.id)
            )
            await self._draw()

        dialogs.ask(self.view, words("sessions.end_title", name=self._name(each)), None, words("sessions.end_it"), end,
                    intro=words("sessions.end_more"), danger=True)  # fmt: skip
