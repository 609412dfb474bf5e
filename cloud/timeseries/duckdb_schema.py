"""The tables of the embedded store, and how its file is opened.

One table of raw points per measurement, typed columns for the fields that are known, JSON for the others; two of
rollups each; words as ids. No index: repeats are told by a stream's highest number, and time order prunes scans.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from cloud.timeseries.port import Measurement, StoreLocked, StoreUnusable, TimeseriesUnavailable
from cloud.timeseries.validity import NUMERIC_FIELDS

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class DuckDBLimits:
    """What the store may use. DuckDB's own defaults are all cores and 80 % of the memory, for itself alone."""

    threads: int = 2
    memory_limit_mb: int = 256  # the whole service shall stay below 400
    checkpoint_mb: int = 64  # of write-ahead log; larger: rarer and longer stalls, a slower start after a crash


def connect(path: Path, limits: DuckDBLimits) -> duckdb.DuckDBPyConnection:
    """Open the file, making it where there is none. Raises StoreLocked, StoreUnusable, TimeseriesUnavailable."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": limits.threads,
        "memory_limit": f"{limits.memory_limit_mb}MB",
        "checkpoint_threshold": f"{limits.checkpoint_mb}MB",
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,  # nothing is fetched from another host
        "autoload_known_extensions": False,
    }
    try:
        connection = duckdb.connect(str(path), config=config)
    except duckdb.IOException as error:
        raise _explain(path, error) from error
    except duckdb.Error as error:
        raise StoreUnusable(f"{path} cannot be opened as a time-series store: {error}") from error
    try:
        make_tables(connection)
    except duckdb.Error as error:
        connection.close()
        raise TimeseriesUnavailable(f"{path}: tables cannot be made: {error}") from error
    except StoreUnusable:
        connection.close()
        raise
    return connection


def _explain(path: Path, error: duckdb.IOException) -> Exception:
    text = str(error)
    if "lock" in text.lower():
        return StoreLocked(
            f"{path} is open in another process, and one process at a time owns a DuckDB file: "
            f"stop that process, or ask the running service instead ({text.splitlines()[0]})"
        )
    if "not a valid DuckDB" in text or "version number" in text:
        return StoreUnusable(f"{path} is not a DuckDB file this program can read: {text.splitlines()[0]}")
    return TimeseriesUnavailable(f"{path} cannot be opened: {text.splitlines()[0]}")


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing. Raises StoreUnusable when a newer program made the tables."""
    connection.execute("CREATE TABLE IF NOT EXISTS meta (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)")
    found = read_meta(connection, "schema")
    if found not in (None, SCHEMA_VERSION):
        raise StoreUnusable(f"the store has schema {found}; this program knows {SCHEMA_VERSION}: update it")
    connection.begin()
    write_meta(connection, "schema", SCHEMA_VERSION)
    connection.execute("CREATE TABLE IF NOT EXISTS words (id INTEGER PRIMARY KEY, word VARCHAR NOT NULL)")
    connection.execute("CREATE TABLE IF NOT EXISTS due (measurement VARCHAR, terminal INTEGER, hour_us BIGINT)")
    for measurement in Measurement:
        connection.execute(_raw_table(measurement))
        for name in NUMERIC_FIELDS[measurement]:  # a file of an older program has no column of what is measured since
            connection.execute(f'ALTER TABLE {measurement} ADD COLUMN IF NOT EXISTS "{name}" DOUBLE')
        for rollup in ("hourly", "daily"):
            connection.execute(_rollup_table(f"{measurement}_{rollup}"))
    connection.commit()


def read_meta(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """A remembered setting of the file."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
    return None if row is None else str(row[0])


def write_meta(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Remember a setting of the file."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])


def _raw_table(measurement: Measurement) -> str:
    doubles = "".join(f', "{name}" DOUBLE' for name in NUMERIC_FIELDS[measurement])
    return (
        f"CREATE TABLE IF NOT EXISTS {measurement} (stream INTEGER NOT NULL, number BIGINT NOT NULL, "
        "at_us BIGINT NOT NULL, uncertainty_us BIGINT NOT NULL, terminal INTEGER NOT NULL, "
        f"room INTEGER NOT NULL, organisation INTEGER NOT NULL, kind INTEGER NOT NULL{doubles}, "
        "numbers VARCHAR, texts VARCHAR)"
    )


def _rollup_table(name: str) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {name} (at_us BIGINT NOT NULL, terminal INTEGER NOT NULL, "
        "room INTEGER NOT NULL, organisation INTEGER NOT NULL, kind INTEGER NOT NULL, field VARCHAR NOT NULL, "
        "n BIGINT NOT NULL, total DOUBLE NOT NULL, minimum DOUBLE NOT NULL, maximum DOUBLE NOT NULL, "
        "last DOUBLE NOT NULL, last_at_us BIGINT NOT NULL)"
    )
