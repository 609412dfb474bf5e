"""Console: the audit. Who changed what, newest first."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit import naming, service
from cloud.audit.models import AuditEntry
from cloud.audit.naming import Names
from cloud.console import lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, breakable, button_link, link, small, table
from cloud.console.words import Words
from cloud.paging import Found
from cloud.scope import Scope

PATH = "/audit"


@dataclass(frozen=True)
class _Known:
    found: Found[AuditEntry]
    names: Names


def register(shell: Shell) -> None:
    """`/audit`, for admins of the whole tree, as in the API."""

    @shell.page(PATH, "audit")
    async def listing(view: View, who: str = "", subject: str = "", cursor: str = "") -> None:
        view.writable(Role.ADMIN, whole=True)
        words = view.words

        def read(session: Session, _scope: Scope) -> _Known:
            found = service.entries(session, lists.paging(cursor), who=who or None, subject=subject or None)
            return _Known(found, naming.names(session, found.rows))

        known = await view.read(read, Role.ADMIN)
        every = button_link(PATH, words("audit.all")) if who or subject else None
        view.html(head(view, words("nav.audit"), beside=every))
        if who or subject:
            only = who or known.names.of(words, subject.partition("/")[0])
            view.html(tag("p", words("audit.only", name=only), class_="rl-under"))
        view.html(_listing(view, known, who, subject, cursor), slot="list")


def _listing(view: View, known: _Known, who: str, subject: str, cursor: str) -> Markup:
    words = view.words
    if not known.found.rows:
        return lists.nothing(words, bool(who or subject), words("audit.none"), words("audit.none_more"))
    columns = (
        Column(words("audit.when"), "rl-fit"),
        Column(words("audit.who"), "nowrap"),
        Column(words("audit.from"), h=True),
        Column(words("audit.action"), "nowrap"),
        Column(words("audit.subject"), "b"),
        Column(words("audit.detail"), "rl-whole"),
    )
    rows = [
        [words.clock(row.at), link(lists.address(PATH, who=row.who), naming.who(words, row), class_="rl-quiet"),
         small(breakable(naming.place(words, row.address))),
         words.known(f"action.{row.action}", words("audit.other")), _subject(view, row, known.names),
         _detail(words, row, known.names)]
        for row in known.found.rows
    ]  # fmt: skip
    pager = lists.pager(words, PATH, cursor, known.found.next_cursor, who=who, subject=subject)
    return join(table(columns, rows, words("nav.audit")), pager)


def _detail(words: Words, entry: AuditEntry, names: Names) -> Markup | None:
    says = naming.detail(words, entry, names)
    return small(says) if says else None


def _subject(view: View, entry: AuditEntry, names: Names) -> Markup:
    """The thing by its name; its id is the title, and leads to all that happened to it."""
    name = naming.subject(view.words, entry, names)
    to = lists.address(PATH, subject=entry.subject)
    return tag("a", name, href=to, class_="rl-quiet", title=entry.subject)
