"""One terminal's journal as a file that anybody can check without the cloud (firmware_specs/README.md, section 13).

Promises the bytes of each batch as they were received. Called by `python -m cloud export journal`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Engine

from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.journal.format import unpack_lines
from firmware_specs.exported import entry_line, head_line

BATCHES: Final = 500
"""Read at a time."""

_NEXT: Final = """SELECT j.id, j.stream, j.first, j.header, j.lines, j.received_at FROM journal j
JOIN streams s ON s.stream = j.stream WHERE s.terminal_id = ? AND j.id > ? ORDER BY j.id LIMIT ?"""


def lines(engine: Engine, terminal: str, certificates: Sequence[str]) -> Iterator[str]:
    """The file's lines, each with its newline: the terminal and its certificates (PEM), then each batch as it was stored."""
    yield head_line(terminal, "journal", certificates).decode()
    after_id = 0
    while True:
        with transaction(engine, read_only=True) as session:
            rows = Bulk.of(session).rows(_NEXT, (terminal, after_id, BATCHES))
        for after_id, stream, first, header, packed, received_at in rows:  # noqa: B007 - the last one is where to go on
            payload = b"\n".join((bytes(header), *unpack_lines(bytes(packed)))) + b"\n"
            yield entry_line(stream, first, payload, received_at).decode()
        if len(rows) < BATCHES:
            return
