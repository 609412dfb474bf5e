"""A kiosk that hears no command: a harness that looks only at what was carried out would find nothing wrong with it."""

import sys

from edge.commands import Commands
from tests.faults.kiosk import main


def hear_nothing(_commands: Commands, _payload: bytes, _expires_in_s: int | None) -> None:
    """It never came."""


if __name__ == "__main__":
    setattr(Commands, "receive", hear_nothing)  # noqa: B010 - mypy rightly refuses the plain assignment
    sys.exit(main())
