"""HTTP: attendance and its corrections."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from cloud import csv_stream
from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.attendance import export, service
from cloud.attendance.service import CorrectionForm, OccurrenceId
from cloud.forms import InstantUs
from cloud.members import service as members
from cloud.members.service import MemberId
from cloud.security import Organiser, Viewer

attendance = router("/attendance", "attendance")
corrections = router("/corrections", "attendance")

OfOccurrence = Annotated[OccurrenceId | None, Query(description="Only this occurrence's.")]
OfMember = Annotated[MemberId | None, Query(description="Only this member's.")]
From = Annotated[InstantUs | None, Query(description="At or after it.")]
Until = Annotated[InstantUs | None, Query(description="Before it.")]


class AttendanceView(View):
    """One member at one occurrence; `effective_at` is right give or take `uncertainty_us` microseconds."""

    occurrence_id: str
    member_id: str
    member_name: str
    effective_at: InstantUs
    uncertainty_us: int
    terminal_id: str | None
    room_id: str | None
    organisation_id: str | None
    stream: str | None
    number: int | None
    method: str
    flags: list[str]
    corrected_at: InstantUs | None


class CorrectionView(View):
    """What a person decided about a fact, and why."""

    id: str
    kind: str
    occurrence_id: str | None
    member_id: str | None
    reason: str
    who: str
    created_at: InstantUs


@attendance.get("")
def list_attendance(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    occurrence_id: OfOccurrence = None,
    member_id: OfMember = None,
    from_at: From = None,
    until_at: Until = None,
) -> PageOf[AttendanceView]:
    """Attendance in your scope, newest first."""
    with cloud.reading() as session:
        found = service.list_attendance(
            session,
            by.scope,
            pages,
            occurrence_id=occurrence_id,
            member_id=member_id,
            from_at=from_at,
            until_at=until_at,
        )
        names = members.names(session, (row.member_id for row in found.rows))
    items = [
        AttendanceView.model_validate({**vars(row), "member_name": names.get(row.member_id, "")}) for row in found.rows
    ]
    return PageOf(items=items, next_cursor=found.next_cursor)


@attendance.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def export_attendance(
    cloud: TheCloud, by: Organiser, from_at: From = None, until_at: Until = None
) -> StreamingResponse:
    """Attendance in your scope as CSV, newest first."""
    rows = export.rows(cloud.reading, by.scope, from_at, until_at)
    return StreamingResponse(csv_stream.chunks(export.HEADER, rows), media_type=csv_stream.MEDIA_TYPE)


@corrections.get("")
def list_corrections(
    cloud: TheCloud, by: Viewer, pages: Pages, occurrence_id: OfOccurrence = None, member_id: OfMember = None
) -> PageOf[CorrectionView]:
    """Corrections, newest first."""
    with cloud.reading() as session:
        found = service.corrections(session, by.scope, pages, occurrence_id=occurrence_id, member_id=member_id)
        return PageOf[CorrectionView].of(found)


@corrections.post("", status_code=201, responses=problems(404, 409))
def correct_attendance(cloud: TheCloud, by: Organiser, form: CorrectionForm) -> CorrectionView:
    """Add an attendance that no terminal saw, or take away one that is wrong; the record itself stays."""
    with cloud.writing() as session:
        return CorrectionView.model_validate(service.correct(session, cloud.change(by), by.scope, form))


routes = APIRouter()
routes.include_router(attendance)
routes.include_router(corrections)
