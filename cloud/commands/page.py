"""Console: the commands of one terminal, on its page. What was asked for, by whom, and the terminal's own word of it."""

from collections.abc import Awaitable, Callable, Sequence

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.commands import asking, service
from cloud.commands.models import Command
from cloud.commands.service import CommandForm, Name
from cloud.commands.states import OPEN, State
from cloud.console.markup import join, tag
from cloud.console.view import View
from cloud.console.widgets import Column, button, none, panel, say, small, table
from cloud.console.words import Words
from cloud.paging import Paging
from cloud.scope import Scope

SHOWN = 8
DIGITS = 18
"""Of a number that a terminal found; a longer one is no count."""
KIB = 1024
BYTES = "bytes"
"""The result that counts what was sent in."""
SWITCHED = {"on": "switched_on", "off": "switched_off"}
"""What enter and leave maintenance result in."""
FOUND = {"ok": "ok", "NOT WELL": "bad"}
"""What each line of a self-test begins with, and the state that it is shown as."""
AT_ONCE = (Name.IDENTIFY, Name.SYNC_NOW)
"""Asked for by one press; the others are chosen in a dialog that says what they do."""

Commands = Sequence[Command]
Done = Callable[[], Awaitable[None]]


def newest(session: Session, scope: Scope, terminal_id: str) -> Commands:
    """Those that the panel shows."""
    return service.list_commands(session, scope, Paging(SHOWN), terminal_id=terminal_id).rows


def panel_of(view: View, commands: Commands) -> Markup:
    """The panel; its buttons act as `act_on` does."""
    words = view.words
    title, beside = words("command.commands"), small(words("command.own_word"))
    if view.may(Role.OPERATOR):
        pressed = [button(words(f"command.{each}"), "command", each) for each in AT_ONCE]
        beside = tag("span", beside, pressed, button(words("command.more"), "commands"), class_="rl-row")
    if not commands:
        return panel(title, none(words("command.none"), words("command.none_more")), beside=beside)
    columns = [
        Column(words("command.time")),
        Column(words("command.command")),
        Column(words("command.who"), h=True),
        Column(words("command.word"), "rl-whole"),
    ]
    rows = [_cells(view, each) for each in commands]
    return panel(title, table(columns, rows, title), beside=beside)


def _cells(view: View, command: Command) -> list[Markup | str]:
    words = view.words
    return [
        words.minute(command.asked_at),
        words.known(f"command.{command.name}", command.name),
        tag("span", command.asked_by, class_="nowrap"),
        word_of(view, command),
    ]


def word_of(view: View, command: Command) -> Markup:
    """Where it is, what its terminal found, and a button while it can be called back."""
    words = view.words
    cancel = None
    if command.state == State.QUEUED and view.may(Role.OPERATOR):
        cancel = button(words("command.cancel"), "cancel_command", command.id)
    said = say(command.state, _state(words, command))
    return tag("div", said, _found(words, command), cancel, class_="rl-row" if cancel else None)


def _state(words: Words, command: Command) -> str:
    """The state in words; how long it took, where the terminal said that it is done."""
    if command.state == State.EXPIRED and command.given_at is not None:
        return words("command.state_came_late")
    if command.state == State.FAILED and command.reason is not None:
        return words("command.state_failed_for", why=words.known(f"command.reason_{command.reason}", command.reason))
    return words(f"command.state_{command.state}")


def _found(words: Words, command: Command) -> Markup | None:
    """What the terminal found or said, a line each."""
    if State(command.state) in OPEN:
        return None
    lines = [
        tag(
            "li",
            words("fault.line", where=words.known(f"command.found_{name}", name), says=""),
            _result(words, name, text),
        )
        for name, text in command.results.items()
    ]
    if command.state == State.FAILED and command.detail:
        lines.append(tag("li", tag("span", command.detail, lang="en")))
    return tag("ul", lines, class_="t1 q") if lines else None


def _result(words: Words, name: str, text: str) -> Markup | str:
    """A number, and how a part of the self-test is, in the page's language; all else is the terminal's own English."""
    if text.isascii() and text.isdecimal() and len(text) <= DIGITS:
        number = int(text)
        return words("command.kib", n=words.number(-(-number // KIB))) if name == BYTES else words.number(number)
    if text in SWITCHED:
        return words(f"command.{SWITCHED[text]}")
    mark, _, seen = text.partition(": ")
    if mark not in FOUND:
        return tag("span", text, lang="en")
    return join([say(FOUND[mark], words(f"command.is_{FOUND[mark]}")), " · ", tag("span", seen, lang="en")])


async def act_on(view: View, terminal_id: str, act: str, on: str, done: Done) -> bool:
    """Do what a button of the panel asks for; whether it was one of them."""

    async def send(form: CommandForm) -> None:
        await _ask(view, terminal_id, form)
        await done()

    if act == "command":
        await send(CommandForm(name=Name(on), arguments={}))
    elif act == "commands":
        asking.choose(view, [terminal_id], send)
    elif act == "cancel_command":
        await view.write(Role.OPERATOR, lambda session, change, scope: service.cancel(session, change, scope, on))
        await done()
    else:
        return False
    return True


async def _ask(view: View, terminal_id: str, form: CommandForm) -> None:
    await view.write(
        Role.OPERATOR, lambda session, change, scope: service.ask(session, change, scope, terminal_id, form)
    )
