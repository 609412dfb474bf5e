"""Console: the dialog in which a command is chosen, for one terminal or for many: which, with what, and until when.

Promises that what interrupts check-in (DISRUPTIVE) is sent only after a second question that says what will happen and to how
many. Used by the terminal's page, the list of terminals and the page of commands.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from cloud.commands.service import ARGUMENTS, CommandForm, Name
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.view import View

DISRUPTIVE: Final = frozenset({Name.RESTART_AGENT, Name.REBOOT, Name.ENTER_MAINTENANCE})
"""Nobody is checked in for a while, or until somebody ends it."""
LASTS: Final = (("600", "command.ten_minutes"), ("86400", "command.a_day"), ("604800", "command.a_week"))
_FIRST: Final = {"seconds": 30, "volume": 100, "lines": 500}
"""What stands in an argument's field at first."""

Send = Callable[[CommandForm], Awaitable[None]]


def choose(view: View, terminals: Sequence[str], send: Send) -> None:
    """Every command with what it does, one to choose, its arguments, and until when it is worth doing."""
    words = view.words
    names = [(each.value, words(f"command.{each}")) for each in Name]
    lasting = [(seconds, words(said)) for seconds, said in LASTS]
    meanings = [tag("li", tag("b", words(f"command.{each}")), " ", words(f"command.{each}_more")) for each in Name]
    fields = join(
        dialogs.choice(words("command.command"), "name", names, Name.SELF_TEST),
        *(dialogs.shown_when("name", [each], Name.SELF_TEST, *_arguments(view, each)) for each in ARGUMENTS),
        dialogs.choice(words("command.lasts"), "lasts_s", lasting, "600"),
        tag("ul", meanings, class_="t1"),
    )
    chosen: list[CommandForm] = []

    async def take(values: dict[str, str]) -> None:
        chosen[:] = [_filled(values)]
        if chosen[0].name not in DISRUPTIVE:
            await send(chosen[0])

    async def then() -> None:
        if chosen[0].name in DISRUPTIVE:
            confirm(view, terminals, chosen[0], send)

    title = title_of(view, terminals)
    dialogs.ask(view, title, fields, words("command.send"), take, intro=words("command.intro"), then=then)


def confirm(view: View, terminals: Sequence[str], form: CommandForm, send: Send) -> None:
    """The second question."""
    words = view.words

    async def go(_values: dict[str, str]) -> None:
        await send(form)

    says = words(f"command.{form.name}_more")
    intro = join(words("command.sure", command=words(f"command.{form.name}")), " ", says[:1].upper() + says[1:])
    send_it = words("command.send_to", n=len(terminals)) if len(terminals) > 1 else words("command.send")
    dialogs.ask(view, title_of(view, terminals), None, send_it, go, intro=intro, danger=True)


def title_of(view: View, terminals: Sequence[str]) -> str:
    """For whom a command is."""
    if len(terminals) == 1:
        return view.words("command.title", terminal=terminals[0])
    return view.words("command.title_many", n=len(terminals))


def _arguments(view: View, name: Name) -> list[str]:
    return [
        dialogs.field(
            view.words(f"command.argument_{argument}", least=least, most=most), f"{name}.{argument}",
            str(_FIRST[argument]), type="number", min=least, max=most, step=1, inputmode="numeric",
        )
        for argument, (least, most) in ARGUMENTS[name].items()
    ]  # fmt: skip


def _filled(values: dict[str, str]) -> CommandForm:
    """A field that was left empty is an argument left out; those of other commands are in the form too, unseen."""
    prefix = f"{values.get('name')}."
    given = {name.removeprefix(prefix): text for name, text in values.items() if name.startswith(prefix) and text}
    return dialogs.filled(CommandForm, name=values.get("name"), arguments=given, lasts_s=values.get("lasts_s"))
