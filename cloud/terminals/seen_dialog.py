"""Console: an operator has looked at what a terminal is marked for, and says what was found; then the marks go."""

from collections.abc import Awaitable, Callable, Sequence

from cloud.accounts.service import Role
from cloud.console import dialogs
from cloud.console.view import View
from cloud.terminals import service
from cloud.terminals.service import SeenForm


def ask_seen(view: View, terminal_id: str, marks: Sequence[str], saved: Callable[[], Awaitable[None]]) -> None:
    """Ask what was found, and take away the marks that were shown; one set since then stays."""
    words = view.words
    fields = dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500, autofocus=True)

    async def save(values: dict[str, str]) -> None:
        form = dialogs.filled(SeenForm, marks=list(marks), **values)
        await view.write(
            Role.OPERATOR,
            lambda session, change, scope: service.see_marks(session, change, scope, terminal_id, form),
        )
        await saved()

    dialogs.ask(view, words("terminal.seen"), fields, words("terminal.seen"), save, intro=words("terminal.seen_more"))
