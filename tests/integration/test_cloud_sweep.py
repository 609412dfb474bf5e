"""What is done now and then: occurrences made ahead, files deleted that no twin names any more."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud import sweep
from cloud.activities.models import Occurrence
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.terminals.models import TwinFile
from cloud.terminals.twin import renew_twins
from tests.office import Office
from tests.process import wait_until


def files(office: Office) -> int:
    with transaction(office.engine, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(TwinFile)) or 0


def occurrences(office: Office, activity_id: str) -> int:
    with transaction(office.engine, read_only=True) as session:
        query = select(func.count()).where(Occurrence.activity_id == activity_id)
        return session.scalar(query) or 0


def test_a_file_goes_a_week_after_no_twin_names_it(office: Office) -> None:
    organisation = office.organisation()
    office.terminal(office.room(organisation["id"])["id"])
    renew_twins(office.engine, 1, office.now())
    office.member(organisation["id"])
    office.shift = timedelta(minutes=1)
    renew_twins(office.engine, 1, office.now())
    before = files(office)
    office.shift = timedelta(days=6)
    sweep.sweep(office.cloud)
    assert files(office) == before
    office.shift = timedelta(days=8)
    sweep.sweep(office.cloud)
    assert files(office) == before - 1
    office.shift = timedelta(0)


def test_the_sweep_runs_beside_the_requests_and_stops_with_them(office: Office) -> None:
    activity = office.activity(office.room(office.organisation()["id"])["id"], rrule="FREQ=DAILY")
    before = occurrences(office, activity["id"])
    office.shift = timedelta(days=20)
    with sweep.sweeping(office.cloud):
        assert wait_until(lambda: occurrences(office, activity["id"]) > before)
    office.shift = timedelta(0)


def test_a_task_that_cannot_be_done_keeps_no_other_from_its_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def away(_session: Session, _now: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(sweep, "TASKS", (away, lambda _session, _now: done.append("second")))
    sweep.sweep(office.cloud)
    assert done == ["second"]
