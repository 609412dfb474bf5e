"""Import of terminals from a CSV file, as a stream, with a report that names row, column and what is wrong: all or only the good.

A new id is registered, without a password: it is claimed by its code. A known one gets what the file says of it. Two passes: the
first checks beside the writers, the second writes in one transaction. Columns: `id`; perhaps `kind`, `profile`, `room` (number or
id), `organisation` (of the room, where its number is not the only one) and one for each setting. Called by the API and the page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from cloud import csv_reading
from cloud.audit.service import Change, note
from cloud.bulk import IN_CHUNK, Bulk, chunks
from cloud.counters import Counts, advance
from cloud.csv_reading import MAX_BYTES, Columns, Report, Row, refusal
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.templates import merging
from cloud.terminals import locks, service
from cloud.terminals.models import Terminal
from cloud.terminals.service import NO_PASSWORD, PIN_HASH, NewTerminalForm
from firmware_specs.profile_settings import NumberSetting, Settings, misfits

__all__ = ["MAX_BYTES", "MAX_ROWS", "apply", "check", "columns", "refusal", "settings"]

MAX_ROWS: Final = 20_000
CHUNK: Final = 500
HEADER_SAYS: Final = (
    "The header is not right: it needs id, and may have kind, profile, room, organisation and settings."
)


@cache
def settings() -> Settings:
    """Those of all profiles: each has a column."""
    return merging.all_settings(None)


@cache
def columns() -> dict[str, tuple[str, ...]]:
    """Each column by all its names."""
    return {
        "id": ("id", "terminal", "终端", "编号"),
        "kind": ("kind", "类型", "类别"),
        "profile": ("profile", "型号", "机型"),
        "room": ("room", "room_id", "房间"),
        "organisation": ("organisation", "organisation_id", "组织", "机构"),
        **{name: (name, about.zh) for name, about in settings().items()},
    }


@dataclass(frozen=True)
class _Good:
    """A row that can be written; `plate` is the room's number for the report."""

    number: int
    form: NewTerminalForm
    plate: str


def check(session: Session, scope: Scope, path: Path, report: Report | None = None) -> Report:
    """The first pass: what an import would do. Changes nothing; Invalid where the file as a whole is wrong."""
    report = report or Report()
    for chunk in _good(session, scope, path, report):
        known = _known(session, [each.form.id for each in chunk])
        for each in chunk:
            report.count(_row(each, _action(known.get(each.form.id), each.form)))
    return report


def apply(
    session: Session, change: Change, scope: Scope, path: Path, report: Report | None = None, *, only_good: bool = False
) -> Report:
    """The second pass: write. Invalid, and nothing is kept, for a file with a wrong row, unless `only_good` leaves those out."""
    report = report or Report()
    _lock(session, scope, path)
    for chunk in _good(session, scope, path, report):
        _write(session, change, chunk, report)
    if report.problem_count and not only_good:
        raise refusal(report)
    advance(session, Counts.TWIN_INPUTS)
    note(
        session, change, "terminal.import", "terminals", rows=report.rows, created=report.created,
        changed=report.updated, left_out=report.problem_count,
    )  # fmt: skip
    return report


def _lock(session: Session, scope: Scope, path: Path) -> None:
    """Every terminal that the file names and that there is: rows are written in the file's own order."""
    ids = {cells["id"].strip() for _, cells in csv_reading.rows(path, Report(), _wanted())}
    locks.lock(Bulk.of(session), service.standings(session, scope, sorted(ids)))


def _write(session: Session, change: Change, chunk: Sequence[_Good], report: Report) -> None:
    known = _known(session, [each.form.id for each in chunk], to_edit=True)
    new: list[dict[str, Any]] = []
    for each in chunk:
        terminal = known.get(each.form.id)
        action = _action(terminal, each.form)
        report.count(_row(each, action))
        if terminal is None:
            new.append(_values(change, each.form))
        elif action == "updated":
            _update(terminal, each.form)
    if new:
        session.execute(insert(Terminal), new)
    session.flush()


def _values(change: Change, form: NewTerminalForm) -> dict[str, Any]:
    """A row of its own, which no password opens."""
    return {
        **form.model_dump(), "password_hash": "", "mqtt_password_hash": NO_PASSWORD, "enabled": True, "version": 1,
        "presence": "never", "marks": [], "created_at": change.at,
    }  # fmt: skip


def _update(terminal: Terminal, form: NewTerminalForm) -> None:
    pin = {PIN_HASH: terminal.settings[PIN_HASH]} if PIN_HASH in terminal.settings else {}
    terminal.kind, terminal.profile, terminal.room_id = form.kind, form.profile, form.room_id
    terminal.settings = {**form.settings, **pin}
    terminal.version += 1
    terminal.replaced_by = terminal.replaced_at = None


def _known(session: Session, ids: Sequence[str], *, to_edit: bool = False) -> dict[str, Terminal]:
    query = select(Terminal).where(Terminal.id.in_(ids)).order_by(Terminal.id)
    if to_edit:
        query = query.with_for_update(key_share=True)  # as `locks` does
    return {each.id: each for each in session.scalars(query)}


def _action(terminal: Terminal | None, form: NewTerminalForm) -> str:
    if terminal is None:
        return "created"
    now = (terminal.kind, terminal.profile, terminal.room_id, service.own_settings(terminal))
    same = now == (form.kind, form.profile, form.room_id, form.settings) and terminal.replaced_by is None
    return "unchanged" if same else "updated"


def _row(each: _Good, action: str) -> Row:
    return Row(each.number, action, each.form.id, each.plate)


def _good(session: Session, scope: Scope, path: Path, report: Report) -> Iterator[list[_Good]]:
    """The good rows, some hundreds at a time; problems go into the report. Bounded by MAX_ROWS ids in memory."""
    places, seen = _Places(session, scope), set[str]()
    rows = csv_reading.rows(path, report, _wanted())
    while chunk := list(islice(rows, CHUNK)):
        places.look_up([cells for _, cells in chunk])
        outside = _outside(session, scope, [cells["id"].strip() for _, cells in chunk])
        read = (_read(number, cells, places, report) for number, cells in chunk)
        good = [each for each in read if each is not None and _is_ours(each, outside, seen, report)]
        if good:
            yield good


def _wanted() -> Columns:
    return Columns(columns(), ("id",), MAX_ROWS, HEADER_SAYS, "header_terminals")


def _outside(session: Session, scope: Scope, ids: Sequence[str]) -> set[str]:
    """Those that there are, but not in the caller's scope."""
    found: set[str] = set()
    for some in chunks(ids, IN_CHUNK):
        found |= set(session.scalars(select(Terminal.id).where(Terminal.id.in_(some))))
    return found - service.standings(session, scope, sorted(found)).keys()


def _is_ours(each: _Good, outside: set[str], seen: set[str], report: Report) -> bool:
    terminal_id = each.form.id
    if terminal_id in seen:
        report.blame(each.number, "id", f"{terminal_id} stands in the file twice", "twice", number=terminal_id)
        return False
    seen.add(terminal_id)
    if terminal_id in outside:
        says = f"there is a terminal {terminal_id} already, and not in your branch"
        report.blame(each.number, "id", says, "foreign_terminal", id=terminal_id)
        return False
    return True


def _read(number: int, cells: Mapping[str, str], places: "_Places", report: Report) -> _Good | None:
    """A row's form; None when something is wrong, of which all is said."""
    before = report.problem_count
    kind = cells.get("kind", "").strip() or "kiosk"
    profile = cells.get("profile", "").strip() or kind
    room = places.find(number, cells, report)
    given = _settings(cells)
    form = None
    try:
        form = NewTerminalForm.model_validate({
            "id": cells["id"].strip(), "kind": kind, "profile": profile,
            "room_id": room and room[0], "settings": given,
        })  # fmt: skip
    except ValidationError as error:
        report.blame_form(number, error, {"room_id": "room"})
    if form is not None or profile in merging.PROFILES:
        _check_settings(number, profile, given, report)
    return _Good(number, form, room[1] if room else "") if form is not None and report.problem_count == before else None


def _check_settings(number: int, profile: str, given: Mapping[str, str | float], report: Report) -> None:
    known = merging.PROFILES
    if profile not in known:
        says = f"there is no such profile; there are {', '.join(known)}"
        report.blame(number, "profile", says, "profile_unknown", known=", ".join(known))
        return
    for each in misfits(merging.settings_of(profile), given):
        report.blame(number, each.name, each.says, each.code, **each.values)


def _settings(cells: Mapping[str, str]) -> dict[str, str | float]:
    given = {name: cells[name].strip() for name in settings() if cells.get(name, "").strip()}
    return {name: _value(name, text) for name, text in given.items()}


def _value(name: str, text: str) -> str | float:
    if isinstance(settings()[name], NumberSetting):
        try:
            return float(text)
        except ValueError:
            return text
    return text


class _Places:
    """Rooms of the scope by number or id, those of some hundred rows by one query; at most as many as the file names."""

    def __init__(self, session: Session, scope: Scope) -> None:
        self._session, self._scope = session, scope
        self._rooms: dict[str, list[tuple[str, str, str]]] = {}
        self._organisations: dict[str, str | None] = {}

    def look_up(self, rows: Sequence[Mapping[str, str]]) -> None:
        """What these rows name."""
        named = {cells.get("room", "").strip() for cells in rows} - {""} - self._rooms.keys()
        self._rooms |= rooms.named(self._session, self._scope, sorted(named))
        for name in {cells.get("organisation", "").strip() for cells in rows} - {""} - self._organisations.keys():
            ids = organisations.ids_named(self._session, self._scope, name)
            self._organisations[name] = ids[0] if len(ids) == 1 else None

    def find(self, number: int, cells: Mapping[str, str], report: Report) -> tuple[str, str] | None:
        """(id, number) of the row's room; None without one, or where it is not clear, which is blamed."""
        name, owner = cells.get("room", "").strip(), cells.get("organisation", "").strip()
        if owner and self._organisations.get(owner) is None:
            says = f"there is no one organisation {owner!r}"
            report.blame(number, "organisation", says, "not_one_organisation", name=owner)
            return None
        if not name:
            if self._scope.path != "/":
                report.blame(number, "room", "name a room of your branch", "room_needed")
            return None
        found = self._rooms.get(name, [])
        if owner:
            found = [each for each in found if each[2] == self._organisations[owner]]
        if len(found) != 1:
            code = "room_several" if found else "room_unknown"
            says = f"there are several rooms {name!r}: name the organisation" if found else f"there is no room {name!r}"
            report.blame(number, "room", says, code, name=name)
            return None
        return found[0][0], found[0][1]
