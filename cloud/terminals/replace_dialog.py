"""Console: put another terminal in the place of a broken one; and what a terminal's page says of it afterwards."""

from collections.abc import Awaitable, Callable

from markupsafe import Markup

from cloud.accounts.service import Role
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.view import View
from cloud.console.widgets import link, note
from cloud.terminals import broker_users, replacing
from cloud.terminals.models import Terminal
from cloud.terminals.password_dialog import show_password
from cloud.terminals.replacing import ReplaceForm


def ask_replacement(view: View, terminal: Terminal, done: Callable[[], Awaitable[None]]) -> None:
    """Ask by which terminal and why; a new one's password is shown once."""
    words = view.words
    fields = join(
        dialogs.field(words("replace.by"), "by", required=True, pattern="[a-z0-9][a-z0-9\\-]{1,38}[a-z0-9]", autofocus=True,
                      autocomplete="off", hint=words("replace.by_hint")),
        dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500),
        dialogs.ticks(words("replace.old"), [("disable", words("replace.disable"), False)], hint=words("replace.disable_hint")),
    )  # fmt: skip

    async def replace(values: dict[str, str]) -> None:
        form = dialogs.filled(
            ReplaceForm, by=values.get("by", ""), reason=values.get("reason", ""), disable=bool(values.get("disable"))
        )
        made = await view.write(
            Role.ADMIN,
            lambda session, change, scope: replacing.replace(
                session, change, scope, terminal.id, terminal.version, form
            ),
            confirmed=form.disable,
        )
        told = await view.in_thread(lambda: broker_users.publish(view.cloud))
        await done()
        if made.password is not None:
            show_password(view, made.new.id, made.password, told)

    dialogs.ask(view, words("replace.title", terminal=terminal.id), fields, words("replace.submit"), replace,
                intro=words("replace.more"))  # fmt: skip


def said(view: View, terminal: Terminal) -> Markup | None:
    """By which it was replaced, and which it replaced; each leads to the other's page and history."""
    words = view.words
    notes = []
    if terminal.replaced_by is not None and terminal.replaced_at is not None:
        when = words.minute(terminal.replaced_at)
        leads = tag("span", words("replace.replaced", time=when), " ", _to(terminal.replaced_by))
        notes.append(note("info", words("replace.out_of_service"), leads))
    if terminal.replaces is not None:
        notes.append(tag("p", words("replace.replaces"), " ", _to(terminal.replaces), class_="q rl-under"))
    return join(notes) if notes else None


def _to(terminal_id: str) -> Markup:
    return link(f"/terminals/{terminal_id}", terminal_id, class_="b")
