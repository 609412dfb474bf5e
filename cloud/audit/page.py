"""Console: the audit. Who changed what, newest first."""

import json

from markupsafe import Markup

from cloud.audit import service
from cloud.audit.models import AuditEntry
from cloud.console import lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button_link, link, mono, small, table
from cloud.paging import Found

PATH = "/audit"
MAX_DETAIL = 160


def register(shell: Shell) -> None:
    """`/audit`."""

    @shell.page(PATH, "audit")
    async def listing(view: View, who: str = "", subject: str = "", cursor: str = "") -> None:
        words = view.words
        found = await view.read(
            lambda session, _: service.entries(session, lists.paging(cursor), who=who or None, subject=subject or None)
        )
        only = who or subject
        every = button_link(PATH, words("audit.all")) if only else None
        view.html(head(view, words("nav.audit"), beside=every))
        if only:
            view.html(tag("p", words("audit.only", name=only), class_="rl-under"))
        view.html(_listing(view, found, who, subject, cursor), slot="list")


def _listing(view: View, found: Found[AuditEntry], who: str, subject: str, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, bool(who or subject), words("audit.none"), words("audit.none_more"))
    columns = (
        Column(words("audit.when"), "rl-fit"),
        Column(words("audit.who"), "nowrap"),
        Column(words("audit.action"), "nowrap"),
        Column(words("audit.subject")),
        Column(words("audit.detail"), "lo"),
    )
    rows = [
        [words.clock(row.at), link(lists.address(PATH, who=row.who), row.who, class_="rl-quiet"),
         words.known(f"action.{row.action}", row.action),
         link(lists.address(PATH, subject=row.subject), mono(row.subject), class_="rl-quiet"), _detail(row)]
        for row in found.rows
    ]  # fmt: skip
    pager = lists.pager(words, PATH, cursor, found.next_cursor, who=who, subject=subject)
    return join(table(columns, rows, words("nav.audit")), pager)


def _detail(entry: AuditEntry) -> Markup:
    said = ", ".join(f"{name}: {_value(value)}" for name, value in entry.detail.items() if value not in (None, "", []))
    return small(said if len(said) <= MAX_DETAIL else f"{said[:MAX_DETAIL]}…")


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
