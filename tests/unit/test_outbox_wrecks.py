"""Damaged files beside the outbox: saved at whichever moment the agent was killed, for their owner only, and not for ever."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.clock import SteppedClock
from edge.outbox import Limits, Outbox
from edge.wrecks import MOST_UNSAVED, Wrecks
from firmware_specs.messages import CheckIn, Method, Outcome, Started
from firmware_specs.wire import decode_batch, decode_record

DAY_S = 86_400


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def made(file: Path, clock: SteppedClock, tmp_path: Path) -> Iterator[list[str]]:
    """Ids of check-ins that lie in the log of a damaged file, as a killed agent leaves it."""
    outbox = open_outbox(tmp_path / "live.db", clock)
    records = [CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT) for _ in range(30)]
    for record in records:
        outbox.append([record])
    with closing(sqlite3.connect(tmp_path / "live.db")) as connection, connection:
        connection.execute("DELETE FROM records WHERE place = 1")
    for suffix in ("", "-wal"):
        shutil.copyfile(tmp_path / f"live.db{suffix}", f"{file}{suffix}")
    yield [record.id for record in records]
    outbox.close()


def open_outbox(file: Path, clock: SteppedClock) -> Outbox:
    return Outbox.open(file, terminal="kiosk-1", clock=clock, limits=Limits(ballast_bytes=0))


def check_ins(outbox: Outbox) -> list[str]:
    batch = outbox.next_batch(200, 65_536)
    assert batch is not None
    records = [decode_record(line) for line in decode_batch(batch.payload).lines]
    assert isinstance(records[0], Started)
    assert records[0].reason == "damaged"
    return [record.id for record in records if isinstance(record, CheckIn)]


def aside(file: Path) -> list[str]:
    return sorted(found.name for found in file.parent.glob("*.damaged-*"))


def test_file_moved_aside_by_an_agent_that_was_killed_is_saved_at_the_next_start(
    made: list[str], file: Path, clock: SteppedClock
) -> None:
    Wrecks(file, 1).move_aside(clock.now_us())
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    outbox.close()


def test_log_left_behind_by_a_kill_between_the_renames_goes_to_its_file(
    made: list[str], file: Path, clock: SteppedClock
) -> None:
    file.rename(f"{file}.damaged-20261123T080000000000")
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    outbox.close()


def test_empty_new_file_does_not_cost_the_log_that_was_left_behind(
    made: list[str], file: Path, clock: SteppedClock
) -> None:
    file.rename(f"{file}.damaged-20261123T080000000000")
    file.touch()
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    outbox.close()


def test_new_file_that_is_damaged_before_anything_was_saved_in_it_costs_nothing(
    made: list[str], file: Path, clock: SteppedClock
) -> None:
    wrecks = Wrecks(file, 1)
    for _ in range(MOST_UNSAVED + 4):
        wrecks.move_aside(clock.now_us())
        file.write_bytes(b"no database")
    assert len(wrecks.unsaved()) == MOST_UNSAVED
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    assert wrecks.unsaved() == []
    outbox.close()


def test_saved_file_is_not_saved_twice(made: list[str], file: Path, clock: SteppedClock) -> None:
    open_outbox(file, clock).close()
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    assert [name.removeprefix("outbox.db.damaged-") for name in aside(file)] == ["20261123T080000000000.saved"]
    outbox.close()


def test_mark_that_was_not_made_in_time_is_made_at_the_next_start(
    made: list[str], file: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(Wrecks, "mark_saved", lambda _: None)
        open_outbox(file, clock).close()
    assert Wrecks(file, 1).unsaved()
    outbox = open_outbox(file, clock)
    assert check_ins(outbox) == made
    assert Wrecks(file, 1).unsaved() == []
    outbox.close()


def test_full_disk_while_it_is_saved_gives_nothing_up(
    made: list[str], file: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(_: sqlite3.Connection) -> None:
        raise full

    Wrecks(file, 1).move_aside(clock.now_us())
    with monkeypatch.context() as disk:
        disk.setattr("edge.salvage.rows.load", refuse)
        outbox = open_outbox(file, clock)
        assert outbox.status().state == "full"
        assert Wrecks(file, 1).unsaved()
    outbox.probe()
    assert check_ins(outbox) == made
    outbox.close()


def test_log_that_could_not_be_moved_at_first_is_moved_before_a_new_file_is_made(
    made: list[str], file: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Wrecks) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file.rename(f"{file}.damaged-20261123T080000000000")
    with monkeypatch.context() as disk:
        disk.setattr(Wrecks, "adopt_log", refuse)
        outbox = open_outbox(file, clock)
        assert outbox.status().state == "damaged"
    outbox.probe()
    assert check_ins(outbox) == made
    outbox.close()


def test_saved_copy_goes_after_two_weeks(made: list[str], file: Path, clock: SteppedClock) -> None:
    open_outbox(file, clock).close()
    clock.step(13 * DAY_S)
    open_outbox(file, clock).close()
    assert aside(file)
    clock.step(2 * DAY_S)
    open_outbox(file, clock).close()
    assert aside(file) == []


def test_saved_copies_are_together_no_larger_than_an_outbox_may_be(file: Path, clock: SteppedClock) -> None:
    for index in range(5):
        Path(f"{file}.damaged-20261123T08000{index}000000.saved").write_bytes(b"x" * 400)
    Wrecks(file, 1000).forget_old(clock.now_us())
    newest = [f"{file.name}.damaged-20261123T08000{index}000000.saved" for index in (3, 4)]
    assert aside(file) == newest


def test_unsaved_file_is_never_removed(made: list[str], file: Path, clock: SteppedClock) -> None:
    wrecks = Wrecks(file, 1)
    wrecks.move_aside(clock.now_us())
    wrecks.forget_old(clock.now_us() + 400 * DAY_S * 1_000_000)
    assert len(wrecks.unsaved()) == 1


def test_every_file_is_for_its_owner_only(made: list[str], file: Path, clock: SteppedClock) -> None:
    file.chmod(0o600)
    Path(f"{file}-wal").chmod(0o600)
    outbox = open_outbox(file, clock)
    assert [found.name for found in file.parent.glob("outbox.db*") if found.stat().st_mode & 0o077] == []
    outbox.close()


@pytest.mark.parametrize(
    "rot",
    [
        "INSERT INTO accepted VALUES ('act_1/20261123T093000Z', 'card', x'00')",
        "INSERT INTO twin VALUES (1, 'text')",
        "INSERT INTO staff VALUES (1, x'00')",
        "INSERT INTO commands VALUES ('id', 'identify', '{}', 'done', 1, 'boot', 'process', x'00', 1)",
        "UPDATE records SET line = 7 WHERE type = 'started'",
        "UPDATE records SET line = 'text' WHERE type = 'started'",
        "UPDATE records SET at = 1.5 WHERE type = 'started'",
        "UPDATE stream SET epoch = x'00'",
        "UPDATE stream SET base = x'00'",
        "UPDATE stream SET last_stored_at = x'00'",
        "UPDATE stream SET last = 1e3",
    ],
)
def test_value_of_a_kind_that_its_column_never_had_is_one_that_cannot_be_read(
    file: Path, clock: SteppedClock, rot: str
) -> None:
    outbox = open_outbox(file, clock)
    came = CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT)
    outbox.append([came])
    outbox.close()
    write_rotten(file, rot)
    outbox = open_outbox(file, clock)
    batch = outbox.next_batch(200, 65_536)
    assert batch is not None
    records = [decode_record(line) for line in decode_batch(batch.payload).lines]
    assert came.id in {record.id for record in records}
    assert outbox.status().state == "ok"
    outbox.close()


def write_rotten(file: Path, rot: str) -> None:
    """As if bytes had turned over: for a moment the tables are not strict."""
    schema = "SELECT sql, name FROM sqlite_schema WHERE sql LIKE '%STRICT%'"
    with closing(sqlite3.connect(file)) as connection, connection:
        strict = connection.execute(schema).fetchall()
        lax = [(sql.replace("STRICT, ", "").replace("STRICT", ""), name) for sql, name in strict]
    for tables, then in ((lax, "SELECT 1"), (strict, rot)):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(then)
            connection.execute("PRAGMA writable_schema = ON")
            connection.executemany("UPDATE sqlite_schema SET sql = ? WHERE name = ?", tables)
