"""Whatever is asked for at once, an enabled admin remains, and one authority is in use."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

from sqlalchemy import text

from cloud.accounts import service
from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.certificates import authorities, authority
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import Conflict
from cloud.keybox import KeyBox
from cloud.scope import EVERYWHERE
from tests.town import Town

TOGETHER_S = 1.0
"""So long each waits for the other before it commits; where one must wait for the other's commit, it never comes."""


def test_two_admins_cannot_end_each_other_at_once(town: Town) -> None:
    change = Change("test", utc_now())
    with transaction(town.engine) as session:
        admins = [
            service.create_account(session, change, EVERYWHERE, f"admin-{n}", "correct-horse-9", Role.ADMIN).id
            for n in (1, 2)
        ]
    both = Barrier(2)

    def demote(account: str) -> str:
        try:
            with transaction(town.engine) as session:
                service.edit_account(session, change, EVERYWHERE, account, role=Role.VIEWER)
                with suppress(BrokenBarrierError):
                    both.wait(TOGETHER_S)
        except Conflict as error:
            return error.code
        return "demoted"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, admins)) == ["demoted", "last_admin"]
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(text("SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND enabled")) == 1


def test_two_authorities_that_are_made_at_once_are_not_both_in_use(town: Town, tmp_path: Path) -> None:
    change, box, root = Change("test", utc_now()), KeyBox(tmp_path / "key"), authority.make_root("Town", utc_now())
    both = Barrier(2)

    def make(name: str) -> None:
        made = authority.make_intermediate(root, name, change.at)
        with transaction(town.engine) as session:
            authorities.lock(session)
            authorities.add(session, change, made, root.certificate, box)
            with suppress(BrokenBarrierError):
                both.wait(TOGETHER_S)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, ["Town terminals 1", "Town terminals 2"]))
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(text("SELECT COUNT(*) FROM authorities WHERE retired_at IS NULL")) == 1
