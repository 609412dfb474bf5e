"""What the embedded store promises beyond the contract: its file, other processes, kills, a full disk."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from cloud.timeseries.duckdb_schema import DuckDBLimits
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.port import Resolution, StoreLocked, StoreUnusable, StreamCount, TimeseriesUnavailable
from tests.timeseries_stores import DAY, HEALTH, HOUR, NOON, OTHER_STREAM, STREAM, cpu, point

# A process that writes batches of 500 points for ever and says how many are committed.
WRITER = """
import sys
from datetime import timedelta
from pathlib import Path
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from tests.timeseries_stores import NOON, point

store = DuckDBTimeseries(Path(sys.argv[1]))
for first in range(1, 1_000_000, 500):
    store.write([point(n, NOON + timedelta(seconds=n % 7200)) for n in range(first, first + 500)])
    print(first + 499, flush=True)
    if first % 2_500 == 1:
        store.roll_up()
"""

# A process whose files may not grow, for a while.
FULL_DISK = """
import resource, sys
from pathlib import Path
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.port import TimeseriesUnavailable
from tests.timeseries_stores import STREAM, point

store = DuckDBTimeseries(Path(sys.argv[1]))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, unlimited[1]))
written = 0
try:
    while written < 1_000_000:
        store.write([point(n, stream=f"{n % 50}-{written}") for n in range(written + 1, written + 1001)])
        written += 1000
except TimeseriesUnavailable as error:
    print(f"unavailable after {error.retry_after_s} s", flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
store.write([point(n, stream=f"{n % 50}-{written}") for n in range(written + 1, written + 1001)])
counted = sum(count.points for count in store.count_by_stream().values())
print(counted == written + 1000, flush=True)
store.close()
"""


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that ends with the block."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "series.duckdb"


def test_file_of_an_older_program_takes_what_is_measured_since(tmp_path: Path) -> None:
    file = tmp_path / "series.duckdb"
    with closing(DuckDBTimeseries(file)) as store:
        store.write([point(1, NOON)])
    with closing(duckdb.connect(str(file))) as old:
        old.execute("ALTER TABLE health DROP COLUMN under_voltage")
    with closing(DuckDBTimeseries(file)) as store:
        store.write([point(2, NOON + HOUR, {"under_voltage": 1.0})])
        buckets = store.series(HEALTH, "under_voltage", NOON, NOON + DAY, HOUR)
        assert [(bucket.start_at, bucket.last) for bucket in buckets] == [(NOON + HOUR, 1.0)]
        assert store.count_by_stream()[STREAM].points == 2


def test_everything_is_there_when_the_file_is_opened_again(path: Path) -> None:
    with closing(DuckDBTimeseries(path)) as store:
        store.write([point(1), point(2, NOON - DAY), point(7, stream=OTHER_STREAM)])
        store.expire(NOON - HOUR)
    with closing(DuckDBTimeseries(path)) as store:
        assert store.count_by_stream() == {STREAM: StreamCount(1, 1), OTHER_STREAM: StreamCount(1, 7)}
        assert cpu(store, NOON - DAY) == [2.0, 8.0]
        assert store.write([point(1), point(3, NOON - DAY)]).accepted == 1
        assert store.count_by_stream()[STREAM] == StreamCount(1, 1)


def test_what_was_not_rolled_up_before_the_end_is_rolled_up_after_it(path: Path) -> None:
    with closing(DuckDBTimeseries(path)) as store:
        store.write([point(1), point(2, NOON + HOUR)])
    with closing(DuckDBTimeseries(path)) as store:
        assert store.roll_up() == 2
        assert cpu(store, resolution=Resolution.HOURLY) == [1.0, 2.0]


def test_a_file_that_another_process_has_open_is_said_to_be_so(path: Path) -> None:
    with running(WRITER, str(path)) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StoreLocked, match="open in another process"):
            DuckDBTimeseries(path)


def test_a_killed_writer_leaves_all_that_it_committed_and_whole_batches_only(path: Path) -> None:
    committed = 0
    for round_number in range(3):
        path.unlink(missing_ok=True)
        with running(WRITER, str(path)) as writer:
            assert writer.stdout is not None
            for _ in range(6 + round_number * 4):
                committed = int(writer.stdout.readline())
            writer.kill()
            committed = max([committed, *map(int, writer.stdout.read().split())])
        with closing(DuckDBTimeseries(path)) as store:
            (count,) = store.count_by_stream().values()
            assert count.points == count.highest >= committed
            assert count.points % 500 == 0
            store.roll_up()
            (hourly, raw) = (
                store.series(HEALTH, "cpu_percent", NOON, NOON + DAY, HOUR, resolution=resolution)
                for resolution in (Resolution.HOURLY, Resolution.RAW)
            )
            assert hourly == raw


def test_a_full_disk_is_reported_and_overcome_when_there_is_room_again(path: Path) -> None:
    with running(FULL_DISK, str(path)) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split("\n")[:2] == ["unavailable after 5.0 s", "True"]


def test_days_are_made_anew_when_the_zone_is_another(path: Path) -> None:
    midnight = NOON.replace(hour=0)
    with closing(DuckDBTimeseries(path)) as store:
        store.write([point(1, midnight), point(2, midnight + 20 * HOUR)])
        store.roll_up()
        assert len(store.series(HEALTH, "cpu_percent", midnight, NOON, DAY, resolution=Resolution.DAILY)) == 1
    with closing(DuckDBTimeseries(path, zone=ZoneInfo("Asia/Shanghai"))) as store:
        days = store.series(HEALTH, "cpu_percent", midnight, midnight + DAY, DAY, resolution=Resolution.DAILY)
        assert [day.start_at for day in days] == [midnight - 8 * HOUR, midnight + 16 * HOUR]


def test_a_file_of_a_newer_program_is_left_alone(path: Path) -> None:
    DuckDBTimeseries(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(StoreUnusable, match="schema 99"):
        DuckDBTimeseries(path)


def test_a_file_that_is_no_database_is_said_to_be_none(path: Path) -> None:
    path.write_bytes(b"a page of something else" * 1000)
    with pytest.raises(StoreUnusable, match="not a DuckDB file"):
        DuckDBTimeseries(path)


def test_a_folder_that_is_not_there_makes_it_unavailable(tmp_path: Path) -> None:
    with pytest.raises(TimeseriesUnavailable):
        DuckDBTimeseries(tmp_path / "missing" / "series.duckdb")


def test_a_closed_store_does_not_open_its_file_again(path: Path) -> None:
    store = DuckDBTimeseries(path)
    store.close()
    store.close()
    with pytest.raises(TimeseriesUnavailable, match="closed"):
        store.write([point(1)])
    with pytest.raises(TimeseriesUnavailable, match="closed"):
        store.count_by_stream()


def test_questions_are_answered_while_points_are_written(path: Path) -> None:
    with closing(DuckDBTimeseries(path, limits=DuckDBLimits(memory_limit_mb=256))) as store:
        is_done = threading.Event()
        seen: list[int] = []

        def ask() -> None:
            while not is_done.is_set():
                seen.append(sum(count.points for count in store.count_by_stream().values()))

        reader = threading.Thread(target=ask)
        reader.start()
        for first in range(1, 10_001, 500):
            store.write([point(n, NOON + timedelta(seconds=n)) for n in range(first, first + 500)])
        is_done.set()
        reader.join()
    assert seen == sorted(seen)
    assert all(count % 500 == 0 for count in seen)


def test_limits_are_set_on_purpose(path: Path) -> None:
    limits = DuckDBLimits(threads=1, memory_limit_mb=200, checkpoint_mb=32)
    with closing(DuckDBTimeseries(path, limits=limits)) as store:
        settings = "SELECT current_setting('threads'), current_setting('memory_limit')"
        assert store._ask(settings, []) == [(1, "190.7 MiB")]  # 200 million bytes


def test_a_backlog_of_hours_is_rolled_up_in_slices(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.timeseries.duckdb_rollups.HOURS_PER_SLICE", 7)
    with closing(DuckDBTimeseries(path)) as store:
        store.write([point(n, NOON + n * HOUR) for n in range(40)[1:]])
        assert store.roll_up() == 39
        days = store.series(HEALTH, "cpu_percent", NOON, NOON + 3 * DAY, DAY, resolution=Resolution.DAILY)
        assert [day.count for day in days] == [11, 24, 4]
