"""A kiosk that carries out every command again a moment later, as one would that did not keep what it has done."""

import sys

from edge.commands import Commands
from edge.kept_commands import KeptCommand
from tests.faults.kiosk import main

carry_out = Commands._carry_out


def carry_out_twice(commands: Commands, kept: KeptCommand) -> None:
    carry_out(commands, kept)
    carry_out(commands, kept)


if __name__ == "__main__":
    setattr(Commands, "_carry_out", carry_out_twice)  # noqa: B010 - mypy rightly refuses the plain assignment
    sys.exit(main())
