"""Reads what the cloud holds, from its database and its series, beside or after the service. Called by faults and harness."""

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from cloud.database import create_engine_for
from tests.faults.command_evidence import StoredCommand
from tests.faults.evidence import CloudAccount, Gap, StoredFact
from tests.faults.stack import FaultStack


@dataclass(frozen=True)
class StoredNow:
    """What is in the ledger at this moment, and the epoch in which its cloud speaks."""

    record_ids: frozenset[str]
    epoch: int


def read_stored(database_url: str) -> StoredNow:
    """Record ids of all check-ins in the ledger."""
    with _reading(database_url) as connection:
        ids = frozenset(row.record_id for row in connection.execute(text("SELECT record_id FROM check_ins")))
        return StoredNow(ids, connection.execute(text("SELECT epoch FROM epoch")).scalar_one())


def is_written_onward(database_url: str) -> bool:
    """Whether the projector has come to the journal's end."""
    query = "SELECT (SELECT COALESCE(MAX(id), 0) FROM journal) <= (SELECT COALESCE(MIN(journal_id), 0) FROM projector_cursor)"
    try:
        with _reading(database_url) as connection:
            return bool(connection.execute(text(query)).scalar_one())
    except SQLAlchemyError:
        return False


def promised_ids(disk: Path, epoch: int) -> set[str]:
    """Record ids of all check-ins on a stopped kiosk's disk that the cloud has called stored, in this epoch."""
    try:
        with contextlib.closing(sqlite3.connect(disk / "outbox.db")) as outbox:
            query = "SELECT line FROM records, stream WHERE place <= base + through AND through_epoch = ? AND type = 'check_in'"
            return {json.loads(line)["id"] for (line,) in outbox.execute(query, (epoch,))}
    except sqlite3.Error:  # wiped a moment ago, or cut by a full disk: it promises nothing that can be read
        return set()


def read_account(stack: FaultStack) -> CloudAccount:
    """All that the checker needs; the cloud must have stopped, because DuckDB is open to one process only."""
    with _reading(stack.database_url) as connection:
        rows = connection.execute(
            text(
                "SELECT record_id, terminal_id, stream, number, outcome, occurrence_id, member_id, effective_at FROM check_ins"
            )
        )
        facts = tuple(StoredFact(*row) for row in rows)
        attended = connection.execute(text("SELECT occurrence_id, member_id, effective_at FROM attendance"))
        attendance = {(row.occurrence_id, row.member_id): int(row.effective_at) for row in attended}
        declared = connection.execute(
            text(
                "SELECT terminal_id, gap_stream, gap_first, gap_last, gap_reason, opened_at FROM streams "
                "WHERE gap_stream IS NOT NULL"
            )
        )
        gaps = tuple(Gap(*row) for row in declared)
        commands = tuple(_commands(connection))
    return CloudAccount(facts, attendance, stack.series.attendance(), gaps, commands)


def are_commands_settled(database_url: str) -> bool:
    """Whether every command has come to its end."""
    try:
        with _reading(database_url) as connection:
            query = "SELECT count(*) FROM commands WHERE settled_at IS NULL"
            return bool(connection.execute(text(query)).scalar_one() == 0)
    except SQLAlchemyError:
        return False


def is_any_command_done(database_url: str) -> bool:
    """Whether a kiosk has carried out any command and said so."""
    try:
        with _reading(database_url) as connection:
            query = "SELECT count(*) FROM commands WHERE state = 'done'"
            return bool(connection.execute(text(query)).scalar_one() > 0)
    except SQLAlchemyError:
        return False


def _commands(connection: Connection) -> Iterator[StoredCommand]:
    words: dict[str, set[str]] = defaultdict(set)
    for command, word in connection.execute(text("SELECT command_id, state FROM command_words")):
        words[command].add(word)
    query = "SELECT id, terminal_id, name, state, settled_at IS NOT NULL, given_at IS NOT NULL FROM commands"
    for command, kiosk, name, state, is_settled, was_given in connection.execute(text(query)):
        yield StoredCommand(command, kiosk, name, state, bool(is_settled), frozenset(words[command]), bool(was_given))


@contextmanager
def _reading(database_url: str) -> Iterator[Connection]:
    engine = create_engine_for(database_url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
