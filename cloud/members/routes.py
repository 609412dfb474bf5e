"""HTTP: members, their import and export."""

from pathlib import Path as File
from typing import Annotated

from fastapi import Depends, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from cloud import csv_stream
from cloud.api import (
    IfMatch,
    PageOf,
    Pages,
    TheCloud,
    View,
    problems,
    router,
    set_etag,
    with_etag,
)
from cloud.credentials import service as credentials
from cloud.forms import InstantUs, Search
from cloud.members import export, importing, service
from cloud.members.service import MemberForm
from cloud.organisations.service import OrganisationId
from cloud.security import Admin, Organiser, Viewer
from cloud.terminals import files
from cloud.uploads import CSV_BODY, CsvReport, upload

routes = router("/members", "members")

Id = Annotated[str, Path(pattern=r"^mem_[0-9a-f]{16}$")]
InOrganisation = Annotated[OrganisationId | None, Query(description="Only this organisation's.")]
Uploaded = Annotated[File, Depends(upload(importing.MAX_BYTES))]
CSV = {"content": {"text/csv": {"schema": {"type": "string"}}}}


class MemberView(View):
    """A member; an erased one has no name."""

    id: str
    organisation_id: str
    display_name: str
    external_id: str | None
    version: int
    created_at: InstantUs
    erased_at: InstantUs | None


class RowView(View):
    """What happens to one row of a file; the header is row 1."""

    number: int
    action: str = Field(examples=["created", "updated", "unchanged"])
    external_id: Annotated[str, Field(validation_alias="key")]
    name: str


class ReportView(CsvReport):
    """What an import did, or would do. Counts are exact; at most 1,000 rows and problems are listed."""

    shown: list[RowView]


@routes.get("")
def list_members(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    organisation_id: InOrganisation = None,
    search: Annotated[Search | None, Query(description="Part of the name or the external id.")] = None,
) -> PageOf[MemberView]:
    """Members in your scope, by name."""
    with cloud.reading() as session:
        found = service.list_members(session, by.scope, pages, organisation_id=organisation_id, search=search)
        return PageOf[MemberView].of(found)


@routes.post("", status_code=201, responses={201: with_etag(), **problems(409)})
def create_member(cloud: TheCloud, by: Organiser, form: MemberForm, response: Response) -> MemberView:
    """A new member."""
    with cloud.writing() as session:
        member = service.create(session, cloud.change(by), by.scope, form)
        set_etag(response, member.version)
        return MemberView.model_validate(member)


@routes.post(
    "/import",
    openapi_extra=CSV_BODY,
    responses=problems(404),
)
def import_members(
    cloud: TheCloud,
    by: Organiser,
    file: Uploaded,
    organisation_id: Annotated[OrganisationId, Query(description="For rows that name none.")],
    dry_run: Annotated[bool, Query(description="Only report what would happen.")] = False,
) -> ReportView:
    """Import a CSV file, all or nothing; a row whose external id is known updates that member's name."""
    with cloud.reading() as session:
        report = importing.check(session, by.scope, file, organisation_id)
    if dry_run:
        return ReportView.model_validate(report)
    if report.problem_count:
        raise importing.refusal(report)
    with cloud.writing() as session:
        report = importing.apply(session, cloud.change(by), by.scope, file, organisation_id)
    return ReportView.model_validate(report)


@routes.get("/export", response_class=StreamingResponse, responses={200: CSV})
def export_members(cloud: TheCloud, by: Organiser, organisation_id: InOrganisation = None) -> StreamingResponse:
    """All members in your scope as CSV."""
    rows = export.rows(cloud.reading, by.scope, organisation_id)
    return StreamingResponse(csv_stream.chunks(export.HEADER, rows), media_type=csv_stream.MEDIA_TYPE)


@routes.get("/{member_id}", responses={200: with_etag(), **problems(404)})
def get_member(cloud: TheCloud, by: Viewer, member_id: Id, response: Response) -> MemberView:
    """One member."""
    with cloud.reading() as session:
        member = service.get(session, by.scope, member_id)
        set_etag(response, member.version)
        return MemberView.model_validate(member)


@routes.put("/{member_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_member(
    cloud: TheCloud, by: Organiser, member_id: Id, if_match: IfMatch, form: MemberForm, response: Response
) -> MemberView:
    """Replace what is known of a member."""
    with cloud.writing() as session:
        member = service.edit(session, cloud.change(by), by.scope, member_id, if_match, form)
        set_etag(response, member.version)
        return MemberView.model_validate(member)


@routes.delete("/{member_id}", status_code=204, responses=problems(404, 412, 428))
def erase_member(cloud: TheCloud, by: Admin, member_id: Id, if_match: IfMatch) -> Response:
    """Erase a member: name, external id and subject are forgotten, cards revoked, attendance stays anonymous."""
    with cloud.writing() as session:
        change = cloud.change(by)
        service.forget(session, change, by.scope, member_id, if_match)
        credentials.revoke_all(session, change, member_id, "erased")
        files.draw_key(session, change.at)
    return Response(status_code=204)
