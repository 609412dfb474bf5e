"""HTTP: commands to one terminal or to many, and what became of them."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Query
from sqlalchemy.orm import Session

from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.commands import bulks, service
from cloud.commands.bulks import BulkForm
from cloud.commands.models import Bulk
from cloud.commands.service import CommandForm
from cloud.commands.states import State
from cloud.forms import InstantUs
from cloud.paging import Paging
from cloud.scope import Scope
from cloud.security import Operator, Viewer
from cloud.terminals.service import TerminalId
from firmware_specs.messages import CommandWord

routes = router("", "commands")

TerminalPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]
Uuid = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Id = Annotated[str, Path(pattern=Uuid)]
BulkId = Annotated[str, Path(pattern=Uuid)]


class CommandView(View):
    """A command. All states past `sent` are the terminal's own word; `said_at` is when it said the last one."""

    id: str
    terminal_id: str
    name: str
    arguments: dict[str, int]
    bulk: str | None
    asked_by: str
    asked_at: InstantUs
    deadline_at: InstantUs
    state: State
    given_at: InstantUs | None
    said_at: InstantUs | None
    settled_at: InstantUs | None
    reason: str | None
    detail: str | None
    results: dict[str, str]


class WordView(View):
    """One word of the terminal: when it said it, and when that came in."""

    state: CommandWord
    reason: str | None
    detail: str | None
    effective_at: InstantUs
    received_at: InstantUs


class CommandStoryView(CommandView):
    """A command with all that its terminal said of it."""

    words: list[WordView]


class BulkView(View):
    """Commands that were asked for together: how many are in each state."""

    bulk: str
    name: str
    arguments: dict[str, int]
    asked_by: str
    asked_at: InstantUs
    states: dict[State, int]


@routes.post("/terminals/{terminal_id}/commands", status_code=201, responses=problems(404, 409))
def ask_for_command(cloud: TheCloud, by: Operator, terminal_id: TerminalPath, form: CommandForm) -> CommandView:
    """Tell a terminal to do something once; it is given as soon as the terminal is there, until the deadline."""
    with cloud.writing() as session:
        return CommandView.model_validate(service.ask(session, cloud.change(by), by.scope, terminal_id, form))


@routes.post("/command-bulks", status_code=201, responses=problems(404, 409))
def ask_for_commands(cloud: TheCloud, by: Operator, form: BulkForm) -> BulkView:
    """The same for many terminals: for all that are named, or for none."""
    with cloud.writing() as session:
        return _view(session, by.scope, [bulks.ask(session, cloud.change(by), by.scope, form)])[0]


@routes.get("/command-bulks")
def list_bulks(cloud: TheCloud, by: Viewer, pages: Pages) -> PageOf[BulkView]:
    """Those with a terminal in your scope, newest first, at most 20 a page."""
    with cloud.reading() as session:
        found = bulks.newest(session, by.scope, Paging(min(pages.limit, bulks.NEWEST), pages.cursor))
        return PageOf[BulkView](items=_view(session, by.scope, found.rows), next_cursor=found.next_cursor)


@routes.get("/command-bulks/{bulk}", responses=problems(404))
def get_bulk(cloud: TheCloud, by: Viewer, bulk: BulkId) -> BulkView:
    """How far it is; its commands are listed by `GET /commands?bulk=…`."""
    with cloud.reading() as session:
        return _view(session, by.scope, [bulks.get(session, by.scope, bulk)])[0]


@routes.post("/command-bulks/{bulk}/cancel", responses=problems(404, 409))
def cancel_bulk(cloud: TheCloud, by: Operator, bulk: BulkId) -> BulkView:
    """Call back those that were not given to their terminals yet."""
    with cloud.writing() as session:
        bulks.cancel(session, cloud.change(by), by.scope, bulk)
        return _view(session, by.scope, [bulks.get(session, by.scope, bulk)])[0]


@routes.get("/commands")
def list_commands(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    terminal_id: Annotated[TerminalId | None, Query(description="Only this terminal's.")] = None,
    bulk: Annotated[str | None, Query(pattern=Uuid, description="Only those asked for together.")] = None,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
) -> PageOf[CommandView]:
    """Commands in your scope, newest first."""
    with cloud.reading() as session:
        found = service.list_commands(session, by.scope, pages, terminal_id=terminal_id, bulk=bulk, state=state)
        return PageOf[CommandView].of(found)


@routes.get("/commands/{command_id}", responses=problems(404))
def get_command(cloud: TheCloud, by: Viewer, command_id: Id) -> CommandStoryView:
    """One command, with every word of its terminal."""
    with cloud.reading() as session:
        command = CommandView.model_validate(service.get(session, by.scope, command_id))
        said = [WordView.model_validate(word) for word in service.words(session, by.scope, command_id)]
        return CommandStoryView(**command.model_dump(), words=said)


@routes.post("/commands/{command_id}/cancel", responses=problems(404, 409))
def cancel_command(cloud: TheCloud, by: Operator, command_id: Id) -> CommandView:
    """Call it back, as long as it was not given to the terminal."""
    with cloud.writing() as session:
        return CommandView.model_validate(service.cancel(session, cloud.change(by), by.scope, command_id))


def _view(session: Session, scope: Scope, found: Sequence[Bulk]) -> list[BulkView]:
    states = bulks.progress(session, scope, [each.id for each in found]) if found else {}
    return [
        BulkView(
            bulk=each.id, name=each.name, arguments=each.arguments, asked_by=each.asked_by, asked_at=each.asked_at,
            states=states[each.id],
        )
        for each in found
    ]  # fmt: skip
