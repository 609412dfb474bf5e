"""The end of a twin's window: until then nothing opens of which the terminal was not told, in the twin and in its file."""

from pathlib import Path

import pytest
from sqlalchemy import event, select

from cloud.activities.service import ActivityForm
from cloud.database import transaction
from cloud.terminals import history
from cloud.terminals.models import TwinFile
from cloud.terminals.twin import LONGEST_OPENING, current_twin, file_of, renew_twins
from edge.kiosk.decision import current, knows_schedule
from firmware_specs.messages import Desired, Occurrence
from firmware_specs.roster import read_occurrences
from firmware_specs.wire import decode_desired
from tests.ledgers import migrated
from tests.office import JSON, Office

EPOCH = 1_000
HOUR_US = 3_600_000_000
LONGEST_S = 14_400


@pytest.fixture
def room(office: Office) -> JSON:
    return office.room(office.organisation()["id"])


@pytest.fixture
def terminal(office: Office, room: JSON) -> str:
    return str(office.terminal(room["id"])["terminal"]["id"])


def twin_of(office: Office, terminal: str) -> Desired:
    made = {twin.terminal_id: twin.document for twin in renew_twins(office.engine, EPOCH, office.now())}
    return decode_desired(made[terminal].encode())


def window_end(office: Office, terminal: str) -> int:
    until = twin_of(office, terminal).occurrences_until
    assert until is not None
    return until


def kept_file(office: Office, twin: Desired) -> tuple[list[Occurrence], int]:
    """What the file of occurrences holds, and its until."""
    assert twin.occurrences_file is not None
    with office.engine.connect() as connection:
        content = connection.scalar(select(TwinFile.content).where(TwinFile.sha256 == twin.occurrences_file.sha256))
    assert content is not None
    head, found = read_occurrences(content.splitlines(keepends=True))
    return found, head.until


def test_what_opens_before_the_window_ends_is_told_though_it_starts_later(
    office: Office, room: JSON, terminal: str
) -> None:
    until = window_end(office, terminal)
    late = office.activity(room["id"], starts_at=until + 3 * HOUR_US, opens_before_s=LONGEST_S)
    twin = twin_of(office, terminal)
    assert twin.occurrences_until == until
    assert knows_schedule(twin, until - 1)
    assert [each.id.split("/")[0] for each in current(twin.occurrences, until - HOUR_US)] == [late["id"]]


def test_what_opens_when_the_window_ends_is_left_to_the_next_one(office: Office, room: JSON, terminal: str) -> None:
    until = window_end(office, terminal)
    office.activity(room["id"], starts_at=until + 4 * HOUR_US, opens_before_s=LONGEST_S)
    office.activity(room["id"], starts_at=until, opens_before_s=0)
    in_time = office.activity(room["id"], starts_at=until + 4 * HOUR_US - 1_000_000, opens_before_s=LONGEST_S)
    twin = twin_of(office, terminal)
    assert [each.id.split("/")[0] for each in twin.occurrences] == [in_time["id"]]
    assert twin.occurrences_until == until
    assert not knows_schedule(twin, until)


def test_the_file_of_a_busy_room_holds_what_opens_before_its_until(office: Office, room: JSON, terminal: str) -> None:
    until = window_end(office, terminal)
    office.activity(room["id"], rrule="FREQ=MINUTELY;INTERVAL=30", duration_s=300, opens_before_s=0, title="满" * 60)
    late = office.activity(room["id"], starts_at=until + 3 * HOUR_US, opens_before_s=LONGEST_S)
    found, file_until = kept_file(office, twin_of(office, terminal))
    assert file_until == until
    assert found[-1].id.startswith(late["id"])
    assert all(each.opens_at < until for each in found)


def test_no_activity_may_open_earlier_than_the_window_reckons_with() -> None:
    limits = ActivityForm.model_json_schema()["properties"]["opens_before_s"]
    assert limits["maximum"] == LONGEST_OPENING.total_seconds() == LONGEST_S


def test_newest_twins_are_found_along_the_index_however_many_there_were(tmp_path: Path) -> None:
    engine = migrated(f"sqlite:///{tmp_path}/ledger.db")
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    with transaction(engine, read_only=True) as session:
        current_twin(session, "kiosk-1")
        file_of(session, "kiosk-1", "0" * 64)
        history.twins(session, "kiosk-1", None, 8)
        queries = [each for each in asked if "FROM twins" in each]
        assert len(queries) == 3
        for query in queries:
            steps = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("kiosk-1", 1, 0)).all()
            assert [step[3] for step in steps] == [
                "SEARCH twins USING INDEX ix_twins_terminal_id_number (terminal_id=?)"
            ]
    engine.dispose()
