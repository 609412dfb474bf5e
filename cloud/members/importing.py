"""Import of members from a CSV file: all or nothing, as a stream, with a report that names rows.

Two passes over the file: the first checks every row beside the writers, the second writes in one transaction.
Called by the API, the console and the command line. Columns: `external_id`, `name`, and `organisation` where rows
differ (its id, or its name when only one has it). How a file is read is `csv_reading`'s.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.orm import Session

from cloud import csv_reading
from cloud.audit.service import Change, note
from cloud.counters import Counts, advance
from cloud.csv_reading import MAX_BYTES, Columns, Report, Row, refusal
from cloud.members import service
from cloud.members.service import MemberForm
from cloud.organisations import service as organisations
from cloud.scope import Scope

__all__ = ["MAX_BYTES", "MAX_ROWS", "Report", "apply", "check", "refusal"]

MAX_ROWS = 100_000
CHUNK = 500
COLUMNS = {
    "external_id": ("external_id", "number", "编号", "工号", "会员号"),
    "name": ("name", "display_name", "姓名"),
    "organisation": ("organisation", "organisation_id", "组织", "机构"),
}
_FIELDS = {"display_name": "name", "organisation_id": "organisation"}

Numbered = tuple[int, MemberForm]


def check(session: Session, scope: Scope, path: Path, organisation_id: str, report: Report | None = None) -> Report:
    """The first pass: what an import would do. Changes nothing; Invalid where the file as a whole is wrong.

    A caller who shows progress hands over an empty `report` and watches its counts from another thread.
    """
    organisations.get(session, scope, organisation_id)
    report = report or Report()
    rows = _forms(session, scope, path, report, organisation_id)
    while chunk := list(islice(rows, CHUNK)):
        known = service.by_external_id(session, [_key(form) for _, form in chunk])
        for number, form in chunk:
            report.count(_row(number, _action(known, form), form))
    return report


def apply(
    session: Session, change: Change, scope: Scope, path: Path, organisation_id: str, report: Report | None = None
) -> Report:
    """The second pass: write all rows. Invalid, and nothing is kept, when any row has a problem."""
    organisations.get(session, scope, organisation_id)
    report = report or Report()
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


def _write(session: Session, change: Change, chunk: Sequence[Numbered], report: Report) -> None:
    known = service.by_external_id(session, [_key(form) for _, form in chunk])
    new = []
    for number, form in chunk:
        action = _action(known, form)
        report.count(_row(number, action, form))
        if action == "created":
            new.append(form)
        elif action == "updated":
            service.rename(session, known[_key(form)][0], form.display_name)
    if new:
        service.add_many(session, change, new)


def _row(number: int, action: str, form: MemberForm) -> Row:
    return Row(number, action, form.external_id or "", form.display_name)


def _action(known: dict[tuple[str, str], tuple[str, str]], form: MemberForm) -> str:
    found = known.get(_key(form))
    if found is None:
        return "created"
    return "unchanged" if found[1] == form.display_name else "updated"


def _key(form: MemberForm) -> tuple[str, str]:
    return form.organisation_id, form.external_id or ""


def _forms(session: Session, scope: Scope, path: Path, report: Report, organisation_id: str) -> Iterator[Numbered]:
    """The good rows; problems go into the report. Bounded by MAX_ROWS keys in memory."""
    says = "The header is not right: it needs external_id and name, and may have organisation."
    columns = Columns(COLUMNS, ("external_id", "name"), MAX_ROWS, says, "header")
    names = _Organisations(session, scope)
    seen: set[tuple[str, str]] = set()
    for number, cells in csv_reading.rows(path, report, columns):
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
    if not cells["external_id"].strip():
        report.blame(number, "external_id", "it is empty", "empty")
        return None
    try:
        return MemberForm(organisation_id=organisation_id, display_name=cells["name"], external_id=cells["external_id"])
    except ValidationError as error:
        report.blame_form(number, error, _FIELDS)
        return None


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
