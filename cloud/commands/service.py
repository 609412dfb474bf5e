"""Commands for people and programs: asked for, listed, cancelled while they were not given. Giving is ingest's part.

Promises that a command has an end whatever its terminal does, and that nobody asks for what the scope does not hold.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.commands.models import Command, CommandWordSaid
from cloud.commands.states import OPEN, Event, State, after
from cloud.errors import Conflict, NotFound, Unfit
from cloud.forms import Form
from cloud.paging import Before, Found, Paging, find, get_one, newest
from cloud.scope import Scope
from cloud.terminals import service as terminals

SHORTEST_S: Final = 10
LONGEST_S: Final = 7 * 86_400
MOST_AT_ONCE: Final = 10_000


class Name(StrEnum):
    """What a terminal can be told to do (firmware_specs/README.md, Commands). No shell is among it."""

    IDENTIFY = "identify"
    SYNC_NOW = "sync_now"
    SELF_TEST = "self_test"
    ENTER_MAINTENANCE = "enter_maintenance"
    LEAVE_MAINTENANCE = "leave_maintenance"
    SET_VOLUME = "set_volume"
    SCREENSHOT = "screenshot"
    UPLOAD_LOGS = "upload_logs"
    RESTART_AGENT = "restart_agent"
    REBOOT = "reboot"


ARGUMENTS: Final[Mapping[Name, Mapping[str, tuple[int, int]]]] = {
    Name.IDENTIFY: {"seconds": (1, 300)},
    Name.SET_VOLUME: {"volume": (0, 100)},
    Name.UPLOAD_LOGS: {"lines": (1, 2_000)},
}
"""By command: its arguments, each with its least and its most."""
_NEEDED: Final[Mapping[Name, str]] = {Name.SET_VOLUME: "volume"}
"""The argument without which it means nothing; all others may be left out."""


class CommandForm(Form):
    """What to do, and until when it is worth doing."""

    name: Name
    arguments: Annotated[dict[str, int], Field(default_factory=dict, max_length=10, examples=[{"seconds": 30}])]
    lasts_s: Annotated[int, Field(ge=SHORTEST_S, le=LONGEST_S, description="Seconds until its deadline.")] = 600

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        known, needed = ARGUMENTS.get(self.name, {}), _NEEDED.get(self.name)
        if needed is not None and needed not in self.arguments:
            raise Unfit(f"{self.name} needs {needed}", "argument_missing", command=self.name, name=needed)
        for name, value in self.arguments.items():
            if name not in known:
                raise Unfit(
                    f"{self.name} has no argument {name[:40]}", "no_argument", command=self.name, name=name[:40]
                )
            least, most = known[name]
            if not least <= value <= most:
                raise Unfit(f"{name} must be {least} to {most}", "argument_range", name=name, least=least, most=most)
        return self


def ask(session: Session, change: Change, scope: Scope, terminal_id: str, form: CommandForm) -> Command:
    """One command for one terminal. Conflict for a disabled one, which could never hear it."""
    return ask_all(session, change, scope, [terminal_id], form, None)[0]


def ask_all(
    session: Session, change: Change, scope: Scope, terminal_ids: Sequence[str], form: CommandForm, bulk: str | None
) -> list[Command]:
    """One for each of these, or none where one cannot have it: NotFound, Conflict."""
    standing = terminals.standings(session, scope, terminal_ids)
    for each in terminal_ids:
        if each not in standing:
            raise NotFound(f"There is no terminal {each}.", code="no_terminal", id=each)
        if not standing[each]:
            raise Conflict(
                f"The terminal {each} is disabled; it hears no command.", code="terminal_hears_nothing", id=each
            )
    asked = [_new(change, each, form, bulk) for each in terminal_ids]
    session.add_all(asked)
    session.flush()
    for command in asked:
        note(session, change, f"command.{form.name}", command.terminal_id, command=command.id, arguments=form.arguments)
    return asked


def _new(change: Change, terminal_id: str, form: CommandForm, bulk: str | None) -> Command:
    return Command(
        id=str(uuid.uuid4()),
        terminal_id=terminal_id,
        name=form.name.value,
        arguments=form.arguments,
        bulk=bulk,
        asked_by=change.who,
        asked_at=change.at,
        deadline_at=change.at + timedelta(seconds=form.lasts_s),
        state=State.QUEUED.value,
        results={},
    )


def get(session: Session, scope: Scope, command_id: str, *, to_edit: bool = False) -> Command:
    """NotFound outside the scope, too."""
    query = select(Command).where(Command.id == command_id, terminals.within(scope, Command.terminal_id))
    return get_one(session, query, "command", command_id, to_edit=to_edit)


def list_commands(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    terminal_id: str | None = None,
    bulk: str | None = None,
    state: State | None = None,
    single: bool = False,
) -> Found[Command]:
    """Newest first; `single`: only those that were asked for alone."""
    query = select(Command).where(terminals.within(scope, Command.terminal_id))
    if single:
        query = query.where(Command.bulk.is_(None))
    wanted: dict[Any, str | None] = {Command.terminal_id: terminal_id, Command.bulk: bulk, Command.state: state}
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    return find(session, query, [Command.asked_at, Command.id], paging, newest_first=True)


def asked(session: Session, terminal_id: str, before: Before | None, limit: int) -> Sequence[Command]:
    """By when they were asked for, newest first, for the timeline of a terminal whose scope the caller has checked."""
    query = select(Command).where(Command.terminal_id == terminal_id)
    return newest(session, query, Command.asked_at, Command.id, before, limit)


def ended(session: Session, terminal_id: str, before: Before | None, limit: int) -> Sequence[Command]:
    """The same, by when they ended; those that have."""
    query = select(Command).where(Command.terminal_id == terminal_id, Command.settled_at.is_not(None))
    return newest(session, query, Command.settled_at, Command.id, before, limit)


def words(session: Session, scope: Scope, command_id: str) -> Sequence[CommandWordSaid]:
    """What its terminal has said of it, in order; few, for there are five words. A clone of the terminal's disk may repeat
    them under another name, which is nobody's word about it."""
    command = get(session, scope, command_id)
    query = select(CommandWordSaid).where(
        CommandWordSaid.command_id == command_id, CommandWordSaid.terminal_id == command.terminal_id
    )
    return session.scalars(query.order_by(CommandWordSaid.received_at, CommandWordSaid.number).limit(100)).all()


def cancel(session: Session, change: Change, scope: Scope, command_id: str) -> Command:
    """Only what was not given. Conflict: it is on its way, or at its end."""
    command = get(session, scope, command_id, to_edit=True)
    now = after(State(command.state), Event.CANCEL, given=command.given_at is not None)
    if State(command.state) not in OPEN:
        raise Conflict(f"It has ended already: {command.state}.", code="command_ended", state=command.state)
    if now is not State.CANCELLED:
        raise Conflict("It was given to the terminal already and cannot be called back.", code="command_given")
    command.state, command.settled_at = now.value, change.at
    session.flush()
    note(session, change, "command.cancel", command.terminal_id, command=command_id)
    return command
