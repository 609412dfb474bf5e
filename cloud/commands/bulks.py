"""Commands that were asked for together: listed with how far each is, asked for and called back as one.

Promises that what is counted is the terminals' own word, as with single commands. Used by routes and the console.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Self

from pydantic import Field, model_validator
from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.commands import service
from cloud.commands.models import Bulk, Command
from cloud.commands.service import MOST_AT_ONCE, CommandForm
from cloud.commands.states import OPEN, State
from cloud.errors import Conflict, NotFound, Unfit
from cloud.paging import Found, Paging, find
from cloud.scope import Scope
from cloud.terminals import listing
from cloud.terminals import service as terminals
from cloud.terminals.service import TerminalId
from cloud.terminals.wanted import Wanted, query_of

NEWEST: Final = 20
"""Counted for one page: each costs as many index entries as it has terminals."""

States = Mapping[State, int]


class BulkForm(CommandForm):
    """The same, for many terminals: those that are named, or all in service that are `matching` when it is asked for."""

    terminals: Annotated[list[TerminalId] | None, Field(min_length=1, max_length=MOST_AT_ONCE)] = None
    matching: Wanted | None = None
    at_most: Annotated[
        int, Field(ge=1, le=MOST_AT_ONCE, description="Refused where more match: what was shown before it is sent.")
    ] = MOST_AT_ONCE

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.terminals is None) == (self.matching is None):
            raise Unfit("say either terminals or matching", "bulk_whom")
        return self


def ask(session: Session, change: Change, scope: Scope, form: BulkForm) -> Bulk:
    """The same for each terminal that is meant, or for none where one cannot have it. Conflict where none or too many match."""
    meant = sorted(set(form.terminals)) if form.terminals is not None else _matching(session, change, scope, form)
    asked = Bulk(
        id=str(uuid.uuid4()), name=form.name.value, arguments=form.arguments, asked_by=change.who, asked_at=change.at
    )
    session.add(asked)
    session.flush()
    service.ask_all(session, change, scope, meant, form, asked.id)
    said = query_of(form.matching) if form.matching is not None else None
    note(session, change, "command.bulk", asked.id, command=form.name.value, terminals=len(meant), matching=said)
    return asked


def _matching(session: Session, change: Change, scope: Scope, form: BulkForm) -> list[str]:
    assert form.matching is not None  # noqa: S101  - the form says one of both
    found = listing.ids_in_service(session, scope, form.matching, change.at, form.at_most + 1)
    if not found:
        raise Conflict("No terminal in service matches.", code="none_match")
    if len(found) > form.at_most:
        raise Conflict(
            f"More than {form.at_most} terminals match now; look at them again.", code="more_match", n=form.at_most
        )
    return found


def newest(session: Session, scope: Scope, paging: Paging) -> Found[Bulk]:
    """Those with a terminal in the scope, newest first."""
    inside = exists().where(Command.bulk == Bulk.id, terminals.within(scope, Command.terminal_id))
    query = select(Bulk) if scope.path == "/" else select(Bulk).where(inside)
    return find(session, query, [Bulk.asked_at, Bulk.id], paging, newest_first=True)


def get(session: Session, scope: Scope, bulk_id: str) -> Bulk:
    """NotFound where the scope holds none of its terminals, too."""
    progress(session, scope, [bulk_id])
    found = session.get(Bulk, bulk_id)
    if found is None:
        raise _no_bulk(bulk_id)
    return found


def progress(session: Session, scope: Scope, bulk_ids: Sequence[str]) -> dict[str, dict[State, int]]:
    """How many commands of each bulk are in each state. NotFound for one of which the scope holds none."""
    query = select(Command.bulk, Command.state, func.count()).where(
        Command.bulk.in_(bulk_ids), terminals.within(scope, Command.terminal_id)
    )
    counted: dict[str, dict[State, int]] = {}
    for bulk, state, count in session.execute(query.group_by(Command.bulk, Command.state)):
        counted.setdefault(str(bulk), {})[State(state)] = count
    for each in bulk_ids:
        if each not in counted:
            raise _no_bulk(each)
    return counted


def ended(states: States) -> int:
    """How many have come to an end; `unknown` counts: its time is over, and a later word may still replace it."""
    return sum(count for state, count in states.items() if state not in OPEN)


def cancel(session: Session, change: Change, scope: Scope, bulk_id: str) -> int:
    """Call back what no terminal was given yet; how many that were. Conflict where there is none."""
    get(session, scope, bulk_id)
    waiting = (
        Command.bulk == bulk_id, Command.state == State.QUEUED, Command.given_at.is_(None),
        terminals.within(scope, Command.terminal_id),
    )  # fmt: skip
    # Locked by id, as ingest does it: or two could wait for each other.
    session.execute(select(Command.id).where(*waiting).order_by(Command.id).with_for_update()).all()
    called_back = session.execute(
        update(Command)
        .where(*waiting)
        .values(state=State.CANCELLED.value, settled_at=change.at)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]  # a cursor's result has it
    if not called_back:
        raise Conflict("Each of them was given to its terminal, or has ended.", code="bulk_given")
    note(session, change, "command.cancel_bulk", bulk_id, commands=called_back)
    return int(called_back)


def _no_bulk(bulk_id: str) -> NotFound:
    return NotFound(f"There is no bulk of commands {bulk_id}.", code="no_bulk", id=bulk_id)
