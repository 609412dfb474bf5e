"""Console: which terminals a command is for, then which command; for many at once.

Promises that the number of terminals is said before anything is sent, and that it is the number that gets it. Used by the page of
commands.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.commands import asking, bulks
from cloud.commands.bulks import BulkForm
from cloud.commands.service import MOST_AT_ONCE, CommandForm
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import branch_scope, organisation_options, organisations_of
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.scope import Scope
from cloud.terminals import fleet
from cloud.terminals import service as terminals
from cloud.terminals.service import Kind

Done = Callable[[str], Awaitable[None]]
"""Hears the bulk's id."""


async def choose(view: View, done: Done) -> None:
    """Ask for organisation, kind and state; then for the command."""
    words = view.words
    branches = await view.read(organisations_of)
    anywhere, anything, anyhow = (("", words(f"command.any_{each}")) for each in ("organisation", "kind", "state"))
    fields = join(
        dialogs.choice(words("nav.organisations"), "organisation", [anywhere, *organisation_options(view, branches)]),
        dialogs.choice(words("terminals.kind"), "kind", [anything, *((k.value, words(f"kind.{k}")) for k in Kind)]),
        dialogs.choice(
            words("terminals.state"),
            "presence",
            [anyhow, *((p, words.known(f"presence.{p}", p)) for p in fleet.STATES)],
        ),
    )
    chosen: list[str] = []

    async def pick(values: dict[str, str]) -> None:
        found = await view.read(lambda session, scope: _ids(session, scope, values))
        if not found:
            raise refuse(words, "command.nobody")
        if len(found) > MOST_AT_ONCE:
            raise refuse(words, "command.too_many", n=MOST_AT_ONCE)
        chosen[:] = found

    async def then() -> None:
        async def send(form: CommandForm) -> None:
            asked = BulkForm(name=form.name, arguments=form.arguments, lasts_s=form.lasts_s, terminals=chosen)
            bulk = await view.write(
                Role.OPERATOR, lambda session, change, scope: bulks.ask(session, change, scope, asked).id
            )
            await done(bulk)

        asking.choose(view, chosen, send)

    dialogs.ask(view, words("command.which"), fields, words("command.next"), pick, then=then)


def _ids(session: Session, scope: Scope, values: dict[str, str]) -> list[str]:
    """One more than may be, so that it is noticed."""
    kind, presence = values.get("kind"), values.get("presence")
    return terminals.ids_for_commands(
        session,
        branch_scope(session, scope, values.get("organisation", "")),
        MOST_AT_ONCE + 1,
        kind=Kind(kind) if kind in set(Kind) else None,
        presence=presence if presence in fleet.STATES else None,
    )
