"""Whatever is asked for at once, an enabled admin remains."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

from sqlalchemy import text

from cloud.accounts import service
from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import Conflict
from tests.town import Town

TOGETHER_S = 1.0
"""So long each waits for the other before it commits; where one must wait for the other's commit, it never comes."""


def test_two_admins_cannot_end_each_other_at_once(town: Town) -> None:
    change = Change("test", utc_now())
    with transaction(town.engine) as session:
        admins = [
            service.create_account(session, change, f"admin-{n}", "correct-horse-9", Role.ADMIN).id for n in (1, 2)
        ]
    both = Barrier(2)

    def demote(account: str) -> str:
        try:
            with transaction(town.engine) as session:
                service.edit_account(session, change, account, role=Role.VIEWER)
                with suppress(BrokenBarrierError):
                    both.wait(TOGETHER_S)
        except Conflict as error:
            return error.code
        return "demoted"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, admins)) == ["demoted", "last_admin"]
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(text("SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND enabled")) == 1
