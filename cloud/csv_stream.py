"""CSV that is sent while it is read, a page of rows at a time, in cells that no spreadsheet runs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from cloud.forms import cell

MEDIA_TYPE = "text/csv; charset=utf-8"
ROWS = 1_000
"""Rows that are read and sent at a time: each sending is a change of threads."""

BOM = "\ufeff"
"""Without it, a spreadsheet takes UTF-8 for the system's old encoding, and Chinese names break."""


def chunks(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The file (RFC 4180), in pieces of at most `ROWS` rows."""
    yield BOM + _text([header])
    rest = iter(rows)
    while page := list(islice(rest, ROWS)):
        yield _text([[cell(value) for value in row] for row in page])


def _text(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
