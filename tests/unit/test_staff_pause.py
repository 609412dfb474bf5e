"""Wrong staff PINs are counted on the disk: switching the kiosk off and on gives no new tries."""

import sqlite3
from contextlib import closing
from pathlib import Path

from edge.clock import SteppedClock
from edge.errors import OutboxReadOnly
from edge.kiosk.staff import FIRST_PAUSE_S, TRIES, PinAnswer, StaffGate
from edge.kiosk.views import Touch
from edge.outbox import Outbox
from tests.kiosk import PIN, TALK, Stage, hash_pin, twin

DESIRED = twin(TALK, pin_hash=hash_pin())


def type_pins(stage: Stage, *pins: str) -> str:
    """Type them one after the other; the words on the screen after the last."""
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)
    for pin in pins:
        stage.touch(Touch.PIN, pin)
    return str(stage.view["lines"]["en"]) if "lines" in stage.view else ""


def test_a_restart_gives_no_new_tries(tmp_path: Path) -> None:
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage, *["0000"] * (TRIES - 1))
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage, "0000")
        assert stage.touch(Touch.PIN, PIN)["screen"] == "pin"  # it pauses, and does not even look at the right one


def test_a_pause_begins_anew_with_the_agent_and_ends(tmp_path: Path) -> None:
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage, *["0000"] * TRIES)
        stage.wait(FIRST_PAUSE_S / 2)
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage)
        stage.wait(FIRST_PAUSE_S - 1)
        assert stage.touch(Touch.PIN, PIN)["screen"] == "pin"
        stage.wait(2)
        assert stage.touch(Touch.PIN, PIN)["screen"] == "number"


def test_the_right_pin_clears_the_count_for_good(tmp_path: Path) -> None:
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage, *["0000"] * (TRIES - 1), PIN)
    with Stage(tmp_path, DESIRED) as stage:
        type_pins(stage, "0000")
        assert stage.touch(Touch.PIN, PIN)["screen"] == "number"


def test_a_try_is_counted_before_the_pin_is_looked_at() -> None:
    kept: list[int] = []
    gate = StaffGate(kept.append)
    assert gate.try_pin(PIN, hash_pin(), 0.0) is PinAnswer.RIGHT
    assert kept == [1, 0]


def test_an_outbox_of_before_gets_the_table_for_the_count(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    Outbox.open(file, terminal="kiosk-1", clock=SteppedClock()).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE staff")
    outbox = Outbox.open(file, terminal="kiosk-1", clock=SteppedClock())
    outbox.save_pin_failures(3)
    assert outbox.pin_failures() == 3
    assert outbox.status().state == "ok"
    outbox.close()


def test_a_damaged_file_keeps_the_count_where_it_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    outbox = Outbox.open(file, terminal="kiosk-1", clock=SteppedClock())
    outbox.save_pin_failures(4)
    outbox.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE stream SET last = 7")  # speaks of records that are not there
        connection.commit()
    outbox = Outbox.open(file, terminal="kiosk-1", clock=SteppedClock())
    assert list(tmp_path.glob("*.damaged-*"))
    assert outbox.pin_failures() == 4
    outbox.close()


def test_without_a_disk_the_count_in_memory_has_to_do(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1", clock=SteppedClock())

    def fail(*_: object, **__: object) -> None:
        raise OutboxReadOnly("The disk is read-only.")

    outbox._store.run = outbox._store.read = fail  # type: ignore[method-assign, assignment]
    gate = StaffGate(outbox.save_pin_failures)
    gate.resume(outbox.pin_failures(), 0.0)
    assert [gate.try_pin("0000", hash_pin(), 0.0) for _ in range(TRIES)][-1] is PinAnswer.PAUSED
