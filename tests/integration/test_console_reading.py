"""What the console's pages read for people: the tree and its totals, the audit in words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from cloud.accounts import service as accounts
from cloud.accounts.service import Role
from cloud.audit import naming
from cloud.audit import service as audit
from cloud.audit.service import Change
from cloud.console.places import branch_scope, rooms_of
from cloud.console.words import Language, Words
from cloud.database import transaction
from cloud.errors import Conflict, NotFound, Stale
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.organisations import tree
from cloud.organisations.service import OrganisationForm
from cloud.paging import MAX_LIMIT, Paging
from cloud.rooms import service as rooms
from cloud.rooms.models import Room
from cloud.rooms.service import RoomForm
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import enabling, fleet
from tests.e2e.console_town import Town, settle
from tests.ledgers import migrated

CHINESE = Words(Language.CHINESE, ZoneInfo("Asia/Shanghai"))
ENGLISH = Words(Language.ENGLISH, ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = migrated(f"sqlite:///{tmp_path / 'roomlink.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def town(engine: Engine) -> Town:
    return settle(engine)


def test_the_tree_has_each_below_its_parent_and_sums_up_its_branches(town: Town) -> None:
    change = Change("test", datetime.now(UTC))
    with transaction(town.engine) as session:
        first = OrganisationForm(name="安样例", parent_id=town.organisation_id)
        organisations.create(session, change, EVERYWHERE, first)
        branches = tree.branches(session, EVERYWHERE)
        own = rooms.count_by_organisation(session, EVERYWHERE)
        people = members.count_by_organisation(session, EVERYWHERE)
    assert [(each.name, each.depth) for each in branches] == [("样例街道", 0), ("安样例", 1), ("样例社区", 1)]
    assert tree.totals(branches, own)[town.organisation_id] == 3
    assert tree.totals(branches, {branches[1].id: 2, branches[2].id: 3})[town.organisation_id] == 5
    assert people == {town.organisation_id: 8}


def test_a_branch_is_shown_alone_and_none_outside_the_scope(town: Town) -> None:
    with transaction(town.engine, read_only=True) as session:
        below = tree.branches(session, EVERYWHERE)[1]
        narrow = Scope(below.path)
        assert [each.depth for each in tree.branches(session, narrow)] == [0]
        assert branch_scope(session, EVERYWHERE, below.id) == narrow
        assert branch_scope(session, narrow, "") == narrow
        assert rooms.count(session, narrow) == 0
        assert rooms.count(session, Scope(f"/{town.organisation_id}/")) == 3
        with pytest.raises(NotFound):
            branch_scope(session, narrow, town.organisation_id)


def test_a_room_that_is_chosen_already_can_be_kept_however_many_rooms_come_before_it(town: Town) -> None:
    with transaction(town.engine) as session:
        last = rooms.get(session, EVERYWHERE, town.rooms[0])
        more = [
            Room(id=f"rm_{number:016x}", organisation_id=last.organisation_id, number=f"0{number}", name="示例室",
                 name_en="", created_at=last.created_at, version=1)
            for number in range(MAX_LIMIT)
        ]  # fmt: skip
        session.add_all(more)
        session.flush()
        assert last.id not in {room_id for room_id, *_ in rooms_of(session, EVERYWHERE)}
        assert rooms_of(session, EVERYWHERE, last.id)[0] == (last.id, "302", "梧桐活动室", "Wutong Room")
        assert len(rooms_of(session, EVERYWHERE, more[0].id)) == MAX_LIMIT


def test_terminals_are_counted_where_their_rooms_belong(town: Town) -> None:
    with transaction(town.engine, read_only=True) as session:
        counted = fleet.by_branch(session, EVERYWHERE, tree.branches(session, EVERYWHERE))
        assert fleet.kiosks_in(session, EVERYWHERE, town.rooms[0]).keys() == {"kiosk-302-a"}
    assert counted[town.organisation_id] == {"online": 2, "offline": 1}


def test_the_audit_names_things_and_settings_instead_of_ids_and_keys(town: Town) -> None:
    with transaction(town.engine, read_only=True) as session:
        entries = {each.action: each for each in audit.entries(session, Paging(200)).rows}
        names = naming.names(session, entries.values())
    room, activity = entries["room.create"], entries["activity.create"]
    assert naming.subject(ENGLISH, room, names) == "302 Wutong Room"
    assert naming.detail(CHINESE, room, names) == "房号：302；名称：梧桐活动室；英文名称：Wutong Room"
    assert "房间：302 梧桐活动室" in naming.detail(CHINESE, activity, names)
    assert "时长：90 分钟" in naming.detail(CHINESE, activity, names)
    assert naming.subject(CHINESE, entries["member.create"], names) in {"Sample Delta Longname-Example", "测试甲"}


def test_the_audit_says_what_was_so_before_and_what_is_now(town: Town) -> None:
    change = Change("command line", datetime.now(UTC), "command line")
    with transaction(town.engine) as session:
        room = rooms.get(session, EVERYWHERE, town.rooms[0])
        form = RoomForm(organisation_id=room.organisation_id, number="302", name="新房间", name_en="")
        rooms.edit(session, change, EVERYWHERE, room.id, room.version, form)
        extra = rooms.create(session, change, EVERYWHERE, form.model_copy(update={"number": "999"}))
        rooms.delete(session, change, EVERYWHERE, extra.id, 1)
        enabling.enable(session, change, EVERYWHERE, "kiosk-302-a", 1, enabled=False)
    with transaction(town.engine, read_only=True) as session:
        entries = {each.action: each for each in audit.entries(session, Paging(200)).rows}
        names = naming.names(session, entries.values())
    edited = entries["room.edit"]
    assert naming.detail(CHINESE, edited, names) == (
        "名称：原为 梧桐活动室，现为 新房间；英文名称：原为 Wutong Room，现为 无"
    )
    assert (naming.who(CHINESE, edited), naming.place(CHINESE, edited.address)) == ("命令行", "命令行")
    assert naming.place(ENGLISH, "192.0.2.7") == "192.0.2.7"
    assert naming.detail(ENGLISH, entries["room.delete"], names) == "Number: was 999; Name: was 新房间"
    assert naming.detail(ENGLISH, entries["terminal.disable"], names) == "Enabled: yes before, now no"


def test_an_account_edited_on_an_older_version_is_stale_and_the_last_admin_stays(town: Town) -> None:
    change = Change("test", datetime.now(UTC))
    with transaction(town.engine) as session:
        admin = accounts.account_named(session, "admin")
        accounts.edit_account(session, change, EVERYWHERE, admin.id, password=accounts.random_password(), version=1)
        with pytest.raises(Stale):
            accounts.edit_account(session, change, EVERYWHERE, admin.id, role=Role.VIEWER, version=1)
    with pytest.raises(Conflict), transaction(town.engine) as session:
        accounts.edit_account(session, change, EVERYWHERE, admin.id, role=Role.VIEWER, version=2)
