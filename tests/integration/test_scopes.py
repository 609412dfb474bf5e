"""Two branches of one cloud: every list shows the branch that was asked for, and nothing of the other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.attendance import service as attendance
from cloud.audit.service import Change
from cloud.checkins import service as checkins
from cloud.clock import to_us
from cloud.credentials import service as credentials
from cloud.database import transaction
from cloud.errors import Forbidden, NotFound
from cloud.ingest.models import CheckIn, Quarantine
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.paging import Paging
from cloud.quarantine import service as quarantine
from cloud.rooms import service as rooms
from cloud.scope import EVERYWHERE, Scope
from cloud.templates import service as templates
from cloud.templates.service import SettingsForm, TemplateForm
from cloud.terminals import fleet, importing, replacing
from cloud.terminals import service as terminals
from cloud.terminals.replacing import ReplaceForm
from tests.office import Office

PAGE = Paging(200)


@dataclass(frozen=True)
class Branch:
    """One organisation with one of everything in it."""

    scope: Scope
    ids: frozenset[str]
    terminal_id: str
    template_id: str


def branch(office: Office) -> Branch:
    organisation = office.organisation()
    room = office.room(organisation["id"])
    member = office.member(organisation["id"])
    activity = office.activity(room["id"])
    terminal_id = office.terminal(room["id"])["terminal"]["id"]
    credential = office.make("/credentials", member_id=member["id"])
    template = office.make("/templates", room_id=room["id"], settings={"language": "en"})["id"]
    with transaction(office.engine, read_only=True) as session:
        (occurrence,) = activities.list_occurrences(session, EVERYWHERE, PAGE, activity_id=activity["id"]).rows
        occurrence_id = occurrence.id
    body = {
        "kind": "attendance_add",
        "occurrence_id": occurrence_id,
        "member_id": member["id"],
        "reason": "签到机没有记上",
    }
    office.make("/corrections", **body)
    _keep_facts(office, terminal_id, room["id"], organisation["id"])
    ids = (organisation["id"], room["id"], member["id"], activity["id"], terminal_id, credential["id"], occurrence_id,
           template)  # fmt: skip
    return Branch(Scope(f"/{organisation['id']}/"), frozenset(ids), terminal_id, template)


def _keep_facts(office: Office, terminal_id: str, room_id: str, organisation_id: str) -> None:
    now = to_us(office.now())
    check_in = {
        "stream": terminal_id, "number": 1, "record_id": terminal_id, "terminal_id": terminal_id, "room_id": room_id,
        "organisation_id": organisation_id, "method": "guest", "outcome": "accepted", "waits": 0, "effective_at": now,
        "uncertainty_us": 0, "basis": 0, "flags": "[]", "received_at": now, "said_at": now,
    }  # fmt: skip
    held = {
        "terminal_id": terminal_id, "kind": "payload", "reason": "no batch", "bytes": b"x", "received_at": now, "state": "open",
    }  # fmt: skip
    with transaction(office.engine) as session:
        session.execute(insert(CheckIn).values(check_in))
        session.execute(insert(Quarantine).values(held))


@pytest.fixture(scope="module")
def branches(office: Office) -> tuple[Branch, Branch]:
    return branch(office), branch(office)


Listing = Callable[[Session, Scope], Iterable[str]]


def _ids(rows: Iterable[Any], name: str = "id") -> list[str]:
    return [getattr(row, name) for row in rows]


LISTS: dict[str, Listing] = {
    "organisations": lambda s, scope: _ids(organisations.list_organisations(s, scope, PAGE).rows),
    "rooms": lambda s, scope: _ids(rooms.list_rooms(s, scope, PAGE).rows),
    "members": lambda s, scope: _ids(members.list_members(s, scope, PAGE).rows),
    "activities": lambda s, scope: _ids(activities.list_activities(s, scope, PAGE).rows),
    "occurrences": lambda s, scope: _ids(activities.list_occurrences(s, scope, PAGE).rows),
    "terminals": lambda s, scope: _ids(terminals.list_terminals(s, scope, PAGE).rows),
    "templates": lambda s, scope: _ids(templates.list_templates(s, scope, PAGE).rows),
    "credentials": lambda s, scope: _ids(credentials.list_credentials(s, scope, PAGE).rows),
    "check-ins": lambda s, scope: _ids(checkins.list_check_ins(s, scope, PAGE).rows, "terminal_id"),
    "latest check-ins": lambda s, scope: _ids(checkins.latest(s, scope), "room_id"),
    "attendance": lambda s, scope: _ids(attendance.list_attendance(s, scope, PAGE).rows, "member_id"),
    "quarantine": lambda s, scope: _ids(quarantine.list_held(s, scope, PAGE).rows, "terminal_id"),
}
COUNTS: dict[str, Callable[[Session, Scope], int]] = {
    "rooms": rooms.count,
    "quarantine": quarantine.count_open,
    "terminals": lambda s, scope: sum(count for _, count in fleet.summary(s, scope).presence),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_one_branch(office: Office, branches: tuple[Branch, Branch], name: str) -> None:
    with transaction(office.engine, read_only=True) as session:
        for each in branches:
            found = list(LISTS[name](session, each.scope))
            assert set(found) <= each.ids
            assert len(found) == 1


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_of_one_branch(office: Office, branches: tuple[Branch, Branch], name: str) -> None:
    with transaction(office.engine, read_only=True) as session:
        assert [COUNTS[name](session, each.scope) for each in branches] == [1, 1]
        assert COUNTS[name](session, EVERYWHERE) >= 2


def test_what_another_branch_has_in_quarantine_is_not_to_be_found(
    office: Office, branches: tuple[Branch, Branch]
) -> None:
    here, there = branches
    change = Change("test", office.now())
    with transaction(office.engine) as session:
        (held,) = quarantine.list_held(session, there.scope, PAGE).rows
        with pytest.raises(NotFound):
            quarantine.get(session, here.scope, held.id)
        with pytest.raises(NotFound):
            quarantine.discard(session, change, here.scope, held.id, "这是别家机构的")
        with pytest.raises(NotFound):
            quarantine.replay(session, change, here.scope, held.id)
        assert quarantine.get(session, there.scope, held.id).state == "open"


def test_template_of_another_branch_or_of_everywhere_is_not_to_be_changed(
    office: Office, branches: tuple[Branch, Branch]
) -> None:
    here, there = branches
    change, form = Change("test", office.now()), SettingsForm(settings={"language": "zh"})
    with transaction(office.engine) as session:
        with pytest.raises(NotFound):
            templates.edit(session, change, here.scope, there.template_id, 1, form)
        with pytest.raises(NotFound):
            templates.delete(session, change, here.scope, there.template_id, 1)
        with pytest.raises(Forbidden):
            templates.create(session, change, here.scope, TemplateForm(kind="tv", settings=form.settings))


def test_terminal_of_another_branch_is_neither_imported_over_nor_replaced(
    office: Office, branches: tuple[Branch, Branch], tmp_path: Path
) -> None:
    here, there = branches
    (tmp_path / "t.csv").write_text(f"id\n{there.terminal_id}\nnew-one\n")
    with transaction(office.engine) as session:
        report = importing.check(session, here.scope, tmp_path / "t.csv")
        with pytest.raises(NotFound):
            replacing.replace(session, Change("test", office.now()), here.scope, there.terminal_id, 1,
                              ReplaceForm(by="kiosk-other", reason="it is not ours"))  # fmt: skip
    assert [(each.where, each.code) for each in report.problems] == [
        ("row 2, room", "room_needed"), ("row 3, room", "room_needed"),
    ]  # fmt: skip
    room = next(each for each in here.ids if each.startswith("rm_"))
    (tmp_path / "t.csv").write_text(f"id,room\n{there.terminal_id},{room}\n")
    with transaction(office.engine) as session:
        report = importing.check(session, here.scope, tmp_path / "t.csv")
    assert [(each.where, each.code) for each in report.problems] == [("row 2, id", "foreign_terminal")]
