"""CSV that is sent while it is read, a page of rows at a time, in cells that no spreadsheet runs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from cloud.forms import cell

MEDIA_TYPE = "text/csv; charset=utf-8"
BOM = "\ufeff"
"""Without it, a spreadsheet takes UTF-8 for the system's old encoding, and Chinese names break."""


def lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The file, line by line (RFC 4180)."""
    yield BOM + _line(header)
    for row in rows:
        yield _line([cell(value) for value in row])


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
