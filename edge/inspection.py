"""Reads an outbox file beside a running agent, without its lock and without writing: for `outbox` and `doctor`.

Promises never to change the file, and a sentence instead of an error where it cannot be read.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OutboxReport:
    """What lies in an outbox file; instants in microseconds since 1970, UTC.

    ``quarantined`` counts the kept records that the cloud could not understand.
    """

    terminal: str
    stream: str
    parent: str | None
    last: int
    through: int
    trimmed: int
    epoch: int
    connection: int
    last_stored_at_us: int | None
    oldest_at_us: int | None
    kept: int
    quarantined: int
    file_bytes: int

    @property
    def depth(self) -> int:
        """Records not known to be stored."""
        return self.last - self.through

    def lines(self, now_us: int) -> list[str]:
        """For a person."""
        oldest = "" if self.oldest_at_us is None else f", the oldest {age(now_us - self.oldest_at_us)} old"
        stored = "never" if self.last_stored_at_us is None else f"{age(now_us - self.last_stored_at_us)} ago"
        return [
            f"terminal        {self.terminal}",
            f"stream          {self.stream}" + (f", continues {self.parent}" if self.parent else ""),
            f"waiting         {self.depth}{oldest}",
            f"stored through  {self.through} of {self.last}, last {stored}, epoch {self.epoch}",
            f"kept            {self.kept} records, {self.file_bytes / 1024 / 1024:.1f} MiB",
            f"quarantined     {self.quarantined}",
        ]


def read_outbox(file: Path) -> OutboxReport | str:
    """The report, or one sentence that says why there is none."""
    if not file.is_file():
        return f"There is no outbox at {file}."
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as connection:
            return _read(connection, file)
    except (sqlite3.Error, TypeError) as error:
        return f"The outbox at {file} cannot be read: {error}."


def _read(connection: sqlite3.Connection, file: Path) -> OutboxReport:
    terminal, stream, parent, base, last, through, trimmed, epoch, number, stored_at = connection.execute(
        "SELECT terminal, stream, parent ->> 'stream', base, last, through, trimmed, epoch, connection, last_stored_at"
        " FROM stream"
    ).fetchone()
    oldest = connection.execute("SELECT at FROM records WHERE place = ?", (base + through + 1,)).fetchone()
    quarantined = connection.execute("SELECT count(*) FROM rejected").fetchone()[0]
    return OutboxReport(
        terminal,
        stream,
        parent,
        last,
        through,
        trimmed,
        epoch,
        number,
        stored_at,
        None if oldest is None else oldest[0],
        last - trimmed,
        quarantined,
        file.stat().st_size,
    )


def age(duration_us: int) -> str:
    """A duration in its largest sensible unit."""
    seconds = max(0, duration_us) // 1_000_000
    for unit_s, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {name}"
    return f"{seconds} s"
