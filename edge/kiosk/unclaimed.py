"""The screen of a machine that is no terminal yet: that it is not set up, and the command that sets it up, exactly.

Promises to decide nothing, to listen for nothing, and to end as soon as the machine was claimed. Called by the command line.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from pydantic import ValidationError

from edge import identity
from edge.clock import Clock
from edge.errors import IdentityError, Unclaimed
from edge.kiosk import words
from edge.kiosk.screen import Screen
from edge.kiosk.snapshot import Surroundings, take
from edge.kiosk.views import not_set_up
from edge.outbox import Status
from edge.settings import KioskSettings, Settings

LOOK_EVERY_S: Final = 1.0


def wait_until_claimed(
    nobody: Unclaimed, again: Callable[[], Settings], command: str, stop: threading.Event
) -> Settings | None:
    """Show ``command`` until ``again`` gives settings with a whole identity; None at ``stop``.

    Raises SettingsError where the page's port is taken, or the settings file was spoilt meanwhile.
    """
    kiosk = _kiosk_of(nobody.kiosk)
    screen = None if kiosk is None else Screen(kiosk.page_port, lambda _: None)
    if screen is not None:
        screen.start()
    try:
        while not stop.is_set():
            if screen is not None and kiosk is not None:
                screen.show(snapshot(command, Clock(), kiosk))
            if (settings := _claimed(again)) is not None:
                return settings
            stop.wait(LOOK_EVERY_S)
        return None
    finally:
        if screen is not None:
            screen.stop()


def snapshot(command: str, clock: Clock, kiosk: KioskSettings) -> dict[str, Any]:
    """The whole screen; see edge/kiosk/snapshot.py."""
    around = Surroundings(
        now_us=clock.now_us(),
        quality=clock.quality(),
        desired=None,
        storage=Status(0, None, 0, None, "ok", ""),
        connected=False,
        camera=False,
        terminal=words.NO_ROOM.en,  # where the terminal's id stands later
        language=kiosk.language or "zh",
        has_camera=False,
    )
    shown = take(not_set_up(command), around)
    shown["view"] |= {"number": 1, "back_ms": None, "deadline_ms": None}
    waits = words.WAITS_FOR_CLAIM
    return shown | {"line": {"s": "warn", "loud": False, "words": {"zh": waits.zh, "en": waits.en}}}


def _claimed(again: Callable[[], Settings]) -> Settings | None:
    """The settings once there are any, and an identity beside them, if there is one, that is whole."""
    with suppress(Unclaimed, IdentityError):
        settings = again()
        identity.load(settings.identity_dir)
        return settings
    return None


def _kiosk_of(given: Mapping[str, Any] | None) -> KioskSettings | None:
    """What is set of the screen; its defaults where that is wrong: what is wrong is said once the terminal is somebody."""
    if given is None:
        return None
    try:
        return KioskSettings.model_validate(dict(given))
    except ValidationError:
        return KioskSettings()
