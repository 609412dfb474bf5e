"""Commands that a terminal has kept: a row that rotted on the disk stops neither the agent nor the next command."""

import contextlib
import sqlite3
import uuid
from pathlib import Path

import pytest

from edge.clock import SteppedClock
from edge.commands import Arguments, Commands, Results
from edge.outbox import Outbox
from firmware_specs.command_messages import Command
from firmware_specs.wire import encode
from tests.process import wait_until


def command(clock: SteppedClock) -> bytes:
    now_us = clock.now_us()
    return encode(
        Command(id=str(uuid.uuid4()), name="note", arguments={}, issued_at=now_us, deadline_at=now_us + 600_000_000)
    )


@pytest.mark.parametrize("state", ["accepted", "running"])
def test_row_whose_id_has_rotted_is_left_alone_and_the_next_command_is_carried_out(tmp_path: Path, state: str) -> None:
    file, clock, done = tmp_path / "outbox.db", SteppedClock(), list[Arguments]()
    with contextlib.closing(Outbox.open(file, terminal="kiosk-1", clock=clock)) as outbox:
        Commands(outbox, clock, {}).receive(command(clock), 600)
    with contextlib.closing(sqlite3.connect(file)) as sql, sql:
        sql.execute("UPDATE commands SET id = 'q' || substr(id, 2), state = ?", (state,))

    def note(arguments: Arguments) -> Results:
        done.append(arguments)
        return {}

    with contextlib.closing(Outbox.open(file, terminal="kiosk-1", clock=clock)) as outbox:
        commands = Commands(outbox, clock, {"note": note})
        commands.start()
        commands.receive(command(clock), 600)
        assert wait_until(lambda: len(done) == 1)
        commands.stop()
