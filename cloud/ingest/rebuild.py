"""Makes the ledger anew from the journal: facts, their ids, links and attendance, then corrections.

Promises that what the journal does not hold stays as it is, that check-ins keep their ids, that what a person decided is
applied again, and that nothing is seen half-made: one transaction, during which ingest waits. Called by the command line.
"""

from collections.abc import Callable, Iterator
from typing import Final

import structlog
from sqlalchemy import Engine

from cloud.attendance import service as attendance
from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.ingest import rows
from cloud.ingest.rows import Decoded
from cloud.journal.format import REPEAT, UNREADABLE
from cloud.journal.reading import Entry, last_id, read_entries
from firmware_specs.errors import DecodeError
from firmware_specs.wire import decode_records

TABLES: Final = ("check_ins", "check_outs", "interactions", "command_words", "fact_ids", "attendance")

Progress = Callable[[int, int], None]
"""Takes the journal id that was reached, and the last one."""

log = structlog.get_logger(__name__)


def rebuild_ledger(engine: Engine, progress: Progress = lambda _reached, _last: None) -> int:
    """How many batches it was made from."""
    batches = after_id = 0
    with transaction(engine) as session:
        bulk = Bulk.of(session)
        until = last_id(bulk)  # on PostgreSQL also keeps ingest from adding to the journal until the end
        bulk.run("CREATE TEMPORARY TABLE kept_ids AS SELECT id, stream, number FROM check_ins")
        bulk.run("CREATE INDEX ix_kept_ids ON kept_ids (stream, number)")
        for table in TABLES:
            bulk.run(_FORGET.format(table=table))
        bulk.run("DELETE FROM attendance WHERE stream IS NULL")
        while after_id < until:
            entries, after_id = read_entries(bulk, after_id, until)
            decoded = [(entry, _records(entry)) for entry in entries]
            bulk.insert_new("fact_ids", ("record_id", "stream", "number"), sorted(_fact_ids(decoded)))
            rows.write_facts(bulk, decoded, again=True)
            batches += len(entries)
            progress(after_id, until)
        bulk.run(_GIVE_IDS_BACK)
        bulk.run("DROP TABLE kept_ids")
        attendance.apply_corrections(session)
    log.info("ledger_rebuilt", batches=batches)
    return batches


_FORGET: Final = """DELETE FROM {table} WHERE {table}.number < (SELECT j.first + j.count FROM journal j
WHERE j.stream = {table}.stream AND j.first <= {table}.number ORDER BY j.first DESC LIMIT 1)"""
"""Rows whose records the journal holds: found by its index, for the batches of a stream do not overlap."""

_GIVE_IDS_BACK: Final = """UPDATE check_ins SET id = kept_ids.id FROM kept_ids
WHERE kept_ids.stream = check_ins.stream AND kept_ids.number = check_ins.number"""


def _records(entry: Entry) -> rows.Records:
    """Decoded; what could not be understood when it was stored stays so until somebody replays it."""
    return [
        DecodeError("record", "in quarantine") if mark & UNREADABLE else record
        for record, mark in zip(decode_records(entry.lines), entry.fixed.marks, strict=True)
    ]


def _fact_ids(decoded: list[Decoded]) -> Iterator[tuple[bytes, str, int]]:
    for entry, records in decoded:
        for index, record in enumerate(records):
            if isinstance(record, rows.Fact) and not entry.fixed.marks[index] & REPEAT:
                yield rows.fact_id(record), entry.stream, entry.first + index
