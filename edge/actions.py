"""What an agent can be told to do, by the names of the contract; none of them is a shell.

Each is a function from arguments to what it found; it raises CommandFailed with a sentence where it cannot be done here.
Wired by the agent.
"""

import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from edge.commands import Action, Arguments, CommandFailed, EndsTheProcess, Results

log = logging.getLogger(__name__)

HOOK_WITHIN_S: Final = 30.0
IDENTIFY_S: Final = 30.0
LOUDEST: Final = 100
LONGEST_IDENTIFY_S: Final = 300.0


class Named(Protocol):
    """A line of `edge.doctor`."""

    @property
    def what(self) -> str: ...
    @property
    def well(self) -> bool: ...
    @property
    def seen(self) -> str: ...


def identify(show: Callable[[float], object]) -> Action:
    """Show and sound which terminal this is, for so many seconds; ``show`` raises CommandFailed where nobody would see it."""

    def run(arguments: Arguments) -> Results:
        seconds = _number(arguments, "seconds", IDENTIFY_S, LONGEST_IDENTIFY_S)
        show(seconds)
        return {}

    return run


def sync_now(sync: Callable[[], Mapping[str, str]]) -> Action:
    """Ask the cloud at once how far it is, fetch what is missing, and say what waits."""
    return lambda _arguments: dict(sync())


def self_test(examine: Callable[[], Sequence[Named]]) -> Action:
    """Look at everything that can be looked at while the agent runs."""

    def run(_arguments: Arguments) -> Results:
        return {each.what: f"{'ok' if each.well else 'NOT WELL'}: {each.seen}" for each in examine()}

    return run


def maintenance(change: Callable[..., object], *, begins: bool) -> Action:
    """Out of service from now on, over restarts, until the other command comes; or in service again."""

    def run(_arguments: Arguments) -> Results:
        _keep(change, maintenance=begins)
        return {"maintenance": "on" if begins else "off"}

    return run


def set_volume(change: Callable[..., object]) -> Action:
    """How loud the page's sounds are from now on, 0 to 100; what was kept is what is told."""

    def run(arguments: Arguments) -> Results:
        volume = _whole(arguments, "volume", 0, LOUDEST)
        _keep(change, volume=volume)
        return {"volume": str(volume)}

    return run


def upload_logs(read: Callable[[int], bytes], send: Callable[[str, bytes], object], lines: int, most: int) -> Action:
    """Send in the newest lines of the agent's own log, redacted and bounded as ``read`` gives them."""

    def run(arguments: Arguments) -> Results:
        wanted = _whole(arguments, "lines", 1, most, lines)
        try:
            content = read(wanted)
        except OSError as error:
            raise CommandFailed("error", f"The log cannot be read: {error.strerror}.") from error
        send(_where_to(arguments), content)
        return {"lines": str(content.count(b"\n")), "bytes": str(len(content))}

    return run


def screenshot(take: Callable[[], bytes], send: Callable[[str, bytes], object]) -> Action:
    """Send in a picture of the terminal's own page, covered before it is taken."""

    def run(arguments: Arguments) -> Results:
        path = _where_to(arguments)
        content = take()
        send(path, content)
        return {"bytes": str(len(content))}

    return run


def restart_agent(end: Callable[[], object]) -> Action:
    """End this process in order; whoever started it starts it again, and the new one says that it is done."""

    def run(_arguments: Arguments) -> Results:
        end()
        raise EndsTheProcess

    return run


def reboot(hook: Sequence[str]) -> Action:
    """Run the hook that the settings name; the next boot says that it is done."""

    def run(_arguments: Arguments) -> Results:
        if not hook:
            raise CommandFailed("not_possible", "No reboot_hook is set on this terminal.")
        try:
            done = subprocess.run(list(hook), capture_output=True, timeout=HOOK_WITHIN_S, check=False)
        except OSError as error:
            raise CommandFailed("not_possible", f"The reboot hook cannot be run: {error.strerror}.") from error
        except subprocess.TimeoutExpired as error:
            raise CommandFailed("error", f"The reboot hook took longer than {HOOK_WITHIN_S:.0f} s.") from error
        if done.returncode:
            raise CommandFailed("error", f"The reboot hook ended with {done.returncode}.")
        raise EndsTheProcess  # nothing else is begun; the boot ends it

    return run


def _where_to(arguments: Arguments) -> str:
    path = arguments.get("upload")
    if not isinstance(path, str) or not path.startswith("/"):
        raise CommandFailed("bad_arguments", "upload must be the path at the cloud where it is to be sent.")
    return path


def _keep(change: Callable[..., object], **fields: Any) -> None:
    try:
        change(**fields)
    except OSError as error:
        raise CommandFailed("not_possible", f"It cannot be kept on this disk: {error.strerror}.") from error


def _whole(arguments: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value: Any = arguments.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and least <= value <= most and value == int(value)):
        raise CommandFailed("bad_arguments", f"{name} must be a whole number from {least} to {most}.")
    return int(value)


def _number(arguments: Mapping[str, Any], name: str, default: float, most: float) -> float:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise CommandFailed("bad_arguments", f"{name} must be a number above 0, at most {most:g}.")
    return float(value)
