"""The outbox's file: opened again, held by another, cloned, damaged at the start and while it runs, of another version."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.clock import SteppedClock
from edge.errors import OutboxFull, OutboxInUse, OutboxUnavailable
from edge.inspection import OutboxReport, read_outbox
from edge.outbox import Accepted, Outbox
from firmware_specs.messages import CheckIn, Method, Outcome, Record, Started
from firmware_specs.wire import Batch, decode_batch, decode_record

OCCURRENCE = "act_1/20261123T093000Z"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(file: Path, clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(file, terminal="kiosk-1", clock=clock)
    yield outbox
    outbox.close()


def check_in(outbox: Outbox, clock: SteppedClock, count: int = 1) -> list[str]:
    records = [CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT) for _ in range(count)]
    outbox.append(records, accepted=[Accepted(OCCURRENCE, record.id, record.at) for record in records])
    return [record.id for record in records]


def batch_of(outbox: Outbox) -> Batch:
    outgoing = outbox.next_batch(200, 65_536)
    assert outgoing is not None
    return decode_batch(outgoing.payload)


def records_of(outbox: Outbox) -> list[Record]:
    return [decode_record(line) for line in batch_of(outbox).lines]


def started(outbox: Outbox) -> Started:
    first = records_of(outbox)[0]
    assert isinstance(first, Started)
    return first


def overwrite(file: Path, first_page: int, pages: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096 * first_page)
        opened.write(b"\xa5" * 4096 * pages)


def page_of_records(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        root: int = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records'").fetchone()[0]
    return root - 1


def test_opened_again_it_goes_on_where_it_was(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    made = check_in(outbox, clock, 3)
    before = batch_of(outbox)
    outbox.close()
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    after = batch_of(again)
    assert after.header.stream == before.header.stream
    assert after.lines[: len(before.lines)] == before.lines
    assert after.header.count == len(made) + 2
    assert again.is_accepted(OCCURRENCE, made[:1])
    again.close()


def test_file_is_for_its_owner_only(outbox: Outbox, file: Path) -> None:
    assert {path.stat().st_mode & 0o077 for path in file.parent.iterdir()} == {0}


def test_second_agent_is_refused(outbox: Outbox, file: Path) -> None:
    with pytest.raises(OutboxInUse, match="Another agent"):
        Outbox.open(file, terminal="kiosk-1")
    outbox.close()
    Outbox.open(file, terminal="kiosk-1").close()


def test_file_of_another_terminal_goes_on_in_a_stream_of_ones_own(
    outbox: Outbox, file: Path, clock: SteppedClock
) -> None:
    made = check_in(outbox, clock, 3)
    stream = outbox.status().stream
    outbox.stored(stream, batch_of(outbox).last, 1)
    check_in(outbox, clock)
    outbox.close()
    clone = Outbox.open(file, terminal="kiosk-2", clock=clock)
    header = batch_of(clone).header
    assert started(clone).reason == "cloned"
    assert header.parent is not None
    assert (header.parent.stream, header.parent.through) == (stream, 4)
    assert [record.id for record in records_of(clone)[1:4]] == made
    clone.close()


def test_missing_folder_is_a_state_and_not_an_end(tmp_path: Path, clock: SteppedClock) -> None:
    outbox = Outbox.open(tmp_path / "not" / "there" / "outbox.db", terminal="kiosk-1", clock=clock)
    assert outbox.status().state == "damaged"
    with pytest.raises(OutboxUnavailable):
        check_in(outbox, clock)
    (tmp_path / "not" / "there").mkdir(parents=True)
    outbox.probe()
    assert outbox.status().state == "ok"
    check_in(outbox, clock)
    assert started(outbox).reason == "start"
    outbox.close()


def test_newer_file_is_left_alone(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    outbox.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    newer = Outbox.open(file, terminal="kiosk-1", clock=clock)
    with pytest.raises(OutboxUnavailable, match="version 99"):
        check_in(newer, clock)
    newer.close()
    assert not list(file.parent.glob("*.damaged-*"))


@pytest.mark.parametrize("content", [b"no database at all" * 400, b"SQLite format 3\0" + b"\xa5" * 9000])
def test_file_that_is_no_database_is_moved_aside(content: bytes, file: Path, clock: SteppedClock) -> None:
    file.write_bytes(content)
    outbox = Outbox.open(file, terminal="kiosk-1", clock=clock)
    assert started(outbox).reason == "damaged_parent_unknown"
    assert outbox.status().state == "ok"
    (aside,) = file.parent.glob("*.damaged-*")
    assert aside.read_bytes() == content
    outbox.close()


def test_other_programs_database_is_moved_aside(file: Path, clock: SteppedClock) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (a)")
    outbox = Outbox.open(file, terminal="kiosk-1", clock=clock)
    assert started(outbox).reason == "damaged_parent_unknown"
    outbox.close()


def test_lost_rows_are_found_out_at_the_start_and_declared(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    made = check_in(outbox, clock, 6)
    stream = outbox.status().stream
    outbox.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM records WHERE place IN (3, 5)")
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    gap = started(again).gap
    assert gap is not None
    assert (gap.stream, gap.first, gap.last, gap.reason) == (stream, 3, 5, "damaged")
    assert [record.id for record in records_of(again)[2:]] == [made[0], made[2], *made[4:]]
    again.close()


def test_damaged_pages_give_what_they_still_hold_and_the_rest_is_declared(
    outbox: Outbox, file: Path, clock: SteppedClock
) -> None:
    made = check_in(outbox, clock, 150)
    outbox.save_twin(b"twin")
    stream = outbox.status().stream
    outbox.close()
    overwrite(file, 12, 2)
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    batch, first = batch_of(again), started(again)
    kept = [record.id for record in records_of(again) if isinstance(record, CheckIn)]
    assert batch.header.parent is not None
    assert batch.header.parent.stream == stream
    assert first.gap is not None
    lost = [number for number, record_id in enumerate(made, 2) if record_id not in kept]
    assert lost
    assert kept
    assert (first.gap.first, first.gap.last) == (lost[0], lost[-1])
    assert again.load_twin() == b"twin"
    assert again.is_accepted(OCCURRENCE, made[:1])
    again.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        "UPDATE stream SET stream = 'no uuid', last = 9",
        "UPDATE stream SET through = 900",
        "UPDATE stream SET parent = '{}', last = 9",
        "UPDATE stream SET last = 9, through = 9, fixed = 9",
        "DELETE FROM stream",
    ],
)
def test_stream_that_makes_no_sense_costs_no_record(
    nonsense: str, outbox: Outbox, file: Path, clock: SteppedClock
) -> None:
    made = check_in(outbox, clock, 3)
    outbox.save_twin(b"twin")
    outbox.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(nonsense)
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    made += check_in(again, clock)
    first, parent = started(again), batch_of(again).header.parent
    assert (first.reason, first.gap) == ("damaged" if parent else "damaged_parent_unknown", None)
    assert [record.id for record in records_of(again) if isinstance(record, CheckIn)] == made
    assert all(again.is_accepted(OCCURRENCE, [record_id]) for record_id in made)
    assert again.load_twin() == b"twin"
    again.close()


def test_record_that_is_not_what_its_row_says_is_missing(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    made = check_in(outbox, clock, 4)
    outbox.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE records SET type = 'health' WHERE place = 2")
        connection.execute("UPDATE records SET line = x'7b' WHERE place = 3")
        connection.execute("DELETE FROM records WHERE place = 5")
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    gap = started(again).gap
    assert gap is not None
    assert (gap.first, gap.last) == (2, 5)
    assert [record.id for record in records_of(again)[2:]] == [made[2]]
    again.close()


def test_what_the_cloud_has_is_not_declared_lost(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    check_in(outbox, clock, 5)
    outbox.stored(outbox.status().stream, batch_of(outbox).last, 1)
    outbox.close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM records WHERE place = 3")
    again = Outbox.open(file, terminal="kiosk-1", clock=clock)
    assert started(again).gap is None
    again.close()


def test_file_that_is_damaged_while_it_runs_is_replaced_within_the_append(
    outbox: Outbox, file: Path, clock: SteppedClock
) -> None:
    check_in(outbox, clock, 300)
    before = outbox.status().stream
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(file, page_of_records(file), 1)
    outbox._store.database.disconnect()
    made = check_in(outbox, clock)
    assert outbox.status().stream != before
    assert outbox.status().state == "ok"
    assert records_of(outbox)[-1].id == made[0]


def test_damage_that_comes_back_each_time_is_no_endless_loop_and_fills_no_disk(file: Path, clock: SteppedClock) -> None:
    for _ in range(12):
        file.write_bytes(b"no database")
        Outbox.open(file, terminal="kiosk-1", clock=clock).close()
        clock.step(1)
    assert len(list(file.parent.glob("*.damaged-*"))) == 8


def test_disk_without_room_is_full_and_then_is_not(outbox: Outbox, clock: SteppedClock) -> None:
    outbox._store.run(lambda t: t.sql.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(OutboxFull):
        check_in(outbox, clock, 300)
    assert outbox.status().state == "full"
    outbox._store.run(lambda t: t.sql.execute("PRAGMA max_page_count = 1000"))
    outbox.probe()
    assert outbox.status().state == "ok"


def test_file_can_be_looked_at_beside_a_running_agent(outbox: Outbox, file: Path, clock: SteppedClock) -> None:
    check_in(outbox, clock, 3)
    outbox.stored(outbox.status().stream, 2, 7, rejected=[2])
    clock.step(600)
    report = read_outbox(file)
    assert isinstance(report, OutboxReport)
    assert (report.depth, report.through, report.epoch, report.quarantined) == (2, 2, 7, 1)
    said = "\n".join(report.lines(clock.now_us()))
    assert "the oldest 10 min old" in said
    assert "stored through  2 of 4" in said


def test_file_that_cannot_be_looked_at_is_a_sentence(file: Path) -> None:
    assert "no outbox" in str(read_outbox(file))
    file.write_bytes(b"x" * 5000)
    assert "cannot be read" in str(read_outbox(file))
