"""The line over both databases: what is stored, what is answered, what is linked."""

from sqlalchemy import select

from cloud.attendance.models import Attendance
from cloud.database import transaction
from cloud.ingest.line import Line
from cloud.ingest.models import CheckIn
from firmware_specs.wire import decode_stored
from tests.pen import Pen
from tests.town import Town, person


def test_check_in_of_a_known_member_becomes_attendance(town: Town) -> None:
    pen = Pen(config=town.twins["kiosk-1"])
    pen.started()
    pen.check_in(person(1), town.occurrence)
    pen.health()
    result = Line(town.engine).ingest([pen.delivery()])
    (answer,) = result.answers
    stored = decode_stored(answer.payload)
    assert (stored.through, stored.chain, stored.error) == (3, pen.chain(3), None)
    with transaction(town.engine, read_only=True) as session:
        row = session.scalars(select(CheckIn)).one()
        attendance = session.scalars(select(Attendance)).one()
    assert (row.number, row.member_id, row.occurrence_id) == (2, person(1).member, town.occurrence)
    assert (attendance.member_id, attendance.number) == (person(1).member, 2)
