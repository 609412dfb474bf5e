"""Reading a CSV file of many rows, as a stream, with a report that names row, column and what is wrong there.

Promises that a file as a whole is refused before a row is read (encoding, size, header), and that each wrong row is counted,
the first MAX_SHOWN in words. UTF-8 or GB18030, separated by comma, semicolon or tab. Used by every import.
"""

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from cloud.errors import Fault, Invalid, TooLarge, faults_of
from cloud.forms import starts_formula

MAX_BYTES = 32 * 1024 * 1024
MAX_SHOWN = 1_000
"""Rows and problems that a report lists; its counts are exact."""


@dataclass(frozen=True)
class Row:
    """What happens to one row; its number counts from 2, because the header is row 1. `key` is what it is known by."""

    number: int
    action: str
    key: str
    name: str


@dataclass
class Report:
    """What an import does, or would do."""

    encoding: str = ""
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problem_count: int = 0
    problems: list[Fault] = field(default_factory=list)
    shown: list[Row] = field(default_factory=list)

    def blame(self, number: int, column: str, says: str, code: str = "", /, **values: object) -> None:
        """Count a problem, and list it while there is room."""
        self.problem_count += 1
        if len(self.problems) < MAX_SHOWN:
            self.problems.append(Fault(f"row {number}, {column}", says, code, values))

    def blame_form(self, number: int, error: ValidationError, columns: Mapping[str, str]) -> None:
        """What a form says of a row; `columns` tells which column a field came from, where it is called otherwise."""
        for each in faults_of(error.errors(include_input=False, include_url=False)):
            self.blame(number, columns.get(each.where, each.where), each.says, each.code, **each.values)

    def count(self, row: Row) -> None:
        """Count a good row: its action is `created`, `updated` or `unchanged`."""
        setattr(self, row.action, getattr(self, row.action) + 1)
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(row)


@dataclass(frozen=True)
class Columns:
    """Which columns a file may have, by all their names, and must have; `says` is the sentence for a header that is wrong."""

    aliases: Mapping[str, Sequence[str]]
    needed: Sequence[str]
    max_rows: int
    says: str
    code: str


def rows(path: Path, report: Report, columns: Columns) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's cells by column. Invalid for a file that is wrong as a whole, TooLarge beyond the rows or MAX_BYTES."""
    report.encoding = _encoding_of(path)
    with path.open(encoding=report.encoding, newline="") as file:
        header = file.readline(10_000)
        delimiter = max(",;\t", key=header.count)
        names = _header(next(csv.reader([header], delimiter=delimiter), []), columns)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader, 2):
                if not any(cells):
                    continue
                report.rows += 1
                if report.rows > columns.max_rows:
                    most = columns.max_rows
                    raise TooLarge(f"The file has more than {most} rows; split it.", code="rows", n=most)
                if _is_plain(number, cells, names, report):
                    yield number, {name: cell for name, cell in zip(names, cells, strict=True) if name}
        except csv.Error as error:
            report.blame(reader.line_num + 1, "row", f"it cannot be read: {error}", "unreadable_row")


def refusal(report: Report) -> Invalid:
    """The error that says what is wrong with a file."""
    count = report.problem_count
    return Invalid(f"{count} problems; nothing was imported.", report.problems, code="import_problems", n=count)


def _is_plain(number: int, cells: Sequence[str], names: Sequence[str], report: Report) -> bool:
    """Whether a row has as many cells as the header, and none that a spreadsheet runs."""
    if len(cells) != len(names):
        says = f"{len(cells)} cells, and the header has {len(names)}"
        report.blame(number, "row", says, "cells", n=len(cells), header=len(names))
        return False
    formulas = [name for name, value in zip(names, cells, strict=True) if name and starts_formula(value)]
    if formulas:
        report.blame(number, formulas[0], "it begins like a formula of a spreadsheet (= + - @)", "formula")
    return not formulas


def _header(header: Sequence[str], columns: Columns) -> list[str]:
    known = {alias: name for name, aliases in columns.aliases.items() for alias in aliases}
    found = [known.get(cell.strip().lower(), "") for cell in header]
    wrong = [
        Fault("row 1", f"the column {cell.strip()[:60]!r} is not known", "column_unknown", {"name": cell.strip()[:60]})
        for cell, name in zip(header, found, strict=True)
        if not name
    ]
    wrong += [
        Fault("row 1", f"the column {name} is missing", "column_missing", {"name": name})
        for name in columns.needed
        if name not in found
    ]
    wrong += [
        Fault("row 1", f"the column {name} stands twice", "column_twice", {"name": name})
        for name in columns.aliases
        if found.count(name) > 1
    ]
    if wrong:
        raise Invalid(columns.says, wrong, code=columns.code)
    return found


def _encoding_of(path: Path) -> str:
    """`utf-8-sig` or `gb18030`. TooLarge beyond MAX_BYTES; Invalid when the file is neither."""
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"The file has more than {MAX_BYTES} bytes; split it.", code="bytes", n=MAX_BYTES)
    for encoding in ("utf-8-sig", "gb18030"):
        if _decodes(path, encoding):
            return encoding
    raise Invalid(
        "The file is neither UTF-8 nor GB18030.",
        [Fault("file", "save it as CSV in UTF-8", "save_utf8")],
        code="encoding",
    )


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 16):
                if "\0" in decoder.decode(chunk):
                    return False
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
