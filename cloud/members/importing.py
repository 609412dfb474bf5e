"""Import of members from a CSV file: all or nothing, as a stream, with a report that names rows.

Two passes over the file: the first checks every row beside the writers, the second writes in one transaction.
Called by the API, the console and the command line. Columns: `external_id`, `name`, and `organisation` where rows
differ (its id, or its name when only one has it). UTF-8 or GB18030, separated by comma, semicolon or tab.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.counters import Counts, advance
from cloud.errors import Fault, Invalid, TooLarge, faults_of
from cloud.forms import starts_formula
from cloud.members import service
from cloud.members.service import MemberForm
from cloud.organisations import service as organisations
from cloud.scope import Scope

MAX_ROWS = 100_000
MAX_BYTES = 32 * 1024 * 1024
MAX_SHOWN = 1_000
"""Rows and problems that a report lists; its counts are exact."""

CHUNK = 500
COLUMNS = {
    "external_id": ("external_id", "number", "编号", "工号", "会员号"),
    "name": ("name", "display_name", "姓名"),
    "organisation": ("organisation", "organisation_id", "组织", "机构"),
}
_FIELDS = {"external_id": "external_id", "display_name": "name", "organisation_id": "organisation"}


@dataclass(frozen=True)
class Row:
    """What happens to one row; its number counts from 2, because the header is row 1."""

    number: int
    action: str
    external_id: str
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

    def count(self, number: int, action: str, form: MemberForm) -> None:
        """Count a good row."""
        setattr(self, action, getattr(self, action) + 1)
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(Row(number, action, form.external_id or "", form.display_name))


Numbered = tuple[int, MemberForm]


def check(session: Session, scope: Scope, path: Path, organisation_id: str, report: Report | None = None) -> Report:
    """The first pass: what an import would do. Changes nothing; Invalid where the file as a whole is wrong.

    A caller who shows progress hands over an empty `report` and watches its counts from another thread.
    """
    organisations.get(session, scope, organisation_id)
    report = report or Report()
    report.encoding = _encoding_of(path)
    rows = _forms(session, scope, path, report, organisation_id)
    while chunk := list(islice(rows, CHUNK)):
        known = service.by_external_id(session, [_key(form) for _, form in chunk])
        for number, form in chunk:
            report.count(number, _action(known, form), form)
    return report


def apply(
    session: Session, change: Change, scope: Scope, path: Path, organisation_id: str, report: Report | None = None
) -> Report:
    """The second pass: write all rows. Invalid, and nothing is kept, when any row has a problem."""
    organisations.get(session, scope, organisation_id)
    report = report or Report()
    report.encoding = _encoding_of(path)
    rows = _forms(session, scope, path, report, organisation_id)
    while chunk := list(islice(rows, CHUNK)):
        _write(session, change, chunk, report)
    if report.problem_count:
        raise refusal(report)
    advance(session, Counts.ROSTER)
    note(
        session,
        change,
        "member.import",
        organisation_id,
        rows=report.rows,
        created=report.created,
        updated=report.updated,
    )
    return report


def refusal(report: Report) -> Invalid:
    """The error that says what is wrong with a file."""
    return Invalid(
        f"{report.problem_count} problems; nothing was imported.",
        report.problems,
        code="import_problems",
        n=report.problem_count,
    )


def _write(session: Session, change: Change, chunk: Sequence[Numbered], report: Report) -> None:
    known = service.by_external_id(session, [_key(form) for _, form in chunk])
    new = []
    for number, form in chunk:
        action = _action(known, form)
        report.count(number, action, form)
        if action == "created":
            new.append(form)
        elif action == "updated":
            service.rename(session, known[_key(form)][0], form.display_name)
    if new:
        service.add_many(session, change, new)


def _action(known: dict[tuple[str, str], tuple[str, str]], form: MemberForm) -> str:
    found = known.get(_key(form))
    if found is None:
        return "created"
    return "unchanged" if found[1] == form.display_name else "updated"


def _key(form: MemberForm) -> tuple[str, str]:
    return form.organisation_id, form.external_id or ""


def _forms(session: Session, scope: Scope, path: Path, report: Report, organisation_id: str) -> Iterator[Numbered]:
    """The good rows; problems go into the report. Bounded by MAX_ROWS keys in memory."""
    names = _Organisations(session, scope)
    seen: set[tuple[str, str]] = set()
    for number, cells in _rows(path, report):
        organisation = names.find(cells["organisation"]) if cells.get("organisation") else organisation_id
        if organisation is None:
            named = cells["organisation"]
            report.blame(
                number, "organisation", f"there is no one organisation {named!r}", "not_one_organisation", name=named
            )
            continue
        form = _form(number, cells, organisation, report)
        if form is None:
            continue
        if _key(form) in seen:
            twice = form.external_id
            report.blame(number, "external_id", f"{twice} stands in the file twice", "twice", number=twice)
            continue
        seen.add(_key(form))
        yield number, form


def _form(number: int, cells: dict[str, str], organisation_id: str, report: Report) -> MemberForm | None:
    formulas = [name for name, value in cells.items() if starts_formula(value)]
    if formulas:
        report.blame(number, formulas[0], "it begins like a formula of a spreadsheet (= + - @)", "formula")
        return None
    if not cells["external_id"].strip():
        report.blame(number, "external_id", "it is empty", "empty")
        return None
    try:
        return MemberForm(organisation_id=organisation_id, display_name=cells["name"], external_id=cells["external_id"])
    except ValidationError as error:
        for each in faults_of(error.errors(include_input=False, include_url=False)):
            report.blame(number, _FIELDS[each.where], each.says, each.code, **each.values)
        return None


def _rows(path: Path, report: Report) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's cells by column; TooLarge beyond MAX_ROWS."""
    with path.open(encoding=report.encoding, newline="") as file:
        header = file.readline(10_000)
        delimiter = max(",;\t", key=header.count)
        columns = _columns(next(csv.reader([header], delimiter=delimiter), []))
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader, 2):
                if not any(cells):
                    continue
                report.rows += 1
                if report.rows > MAX_ROWS:
                    raise TooLarge(f"The file has more than {MAX_ROWS} rows; split it.", code="rows", n=MAX_ROWS)
                if len(cells) != len(columns):
                    says = f"{len(cells)} cells, and the header has {len(columns)}"
                    report.blame(number, "row", says, "cells", n=len(cells), header=len(columns))
                    continue
                yield number, {name: cell for name, cell in zip(columns, cells, strict=True) if name}
        except csv.Error as error:
            report.blame(reader.line_num + 1, "row", f"it cannot be read: {error}", "unreadable_row")


def _columns(header: Sequence[str]) -> list[str]:
    known = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
    found = [known.get(cell.strip().lower(), "") for cell in header]
    wrong = [
        Fault("row 1", f"the column {cell.strip()[:60]!r} is not known", "column_unknown", {"name": cell.strip()[:60]})
        for cell, name in zip(header, found, strict=True)
        if not name
    ]
    wrong += [
        Fault("row 1", f"the column {name} is missing", "column_missing", {"name": name})
        for name in ("external_id", "name")
        if name not in found
    ]
    wrong += [
        Fault("row 1", f"the column {name} stands twice", "column_twice", {"name": name})
        for name in COLUMNS
        if found.count(name) > 1
    ]
    if wrong:
        raise Invalid(
            "The header is not right: it needs external_id and name, and may have organisation.", wrong, code="header"
        )
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


class _Organisations:
    """Organisations by id or name, each looked up once; at most as many as the file names."""

    def __init__(self, session: Session, scope: Scope) -> None:
        self._session = session
        self._scope = scope
        self._found: dict[str, str | None] = {}

    def find(self, cell: str) -> str | None:
        """The id; None when none or several are meant."""
        if cell not in self._found:
            ids = organisations.ids_named(self._session, self._scope, cell)
            self._found[cell] = ids[0] if len(ids) == 1 else None
        return self._found[cell]
