"""HTTP: many terminals at once, from and to a CSV file. Its addresses stand where an id would, so it is asked first."""

from pathlib import Path as File
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from cloud import csv_stream
from cloud.api import TheCloud, View, problems, router
from cloud.security import Admin, Operator
from cloud.terminals import export, importing
from cloud.terminals.asked import Matching
from cloud.uploads import CSV_BODY, CsvReport, upload

routes = router("/terminals", "terminals")

Uploaded = Annotated[File, Depends(upload(importing.MAX_BYTES))]
CSV = {"content": {"text/csv": {"schema": {"type": "string"}}}}


class TerminalRowView(View):
    """What happens to one row of a file; the header is row 1. `room` is its number."""

    number: int
    action: str = Field(examples=["created", "updated", "unchanged"])
    id: Annotated[str, Field(validation_alias="key")]
    room: Annotated[str, Field(validation_alias="name")]


class TerminalReportView(CsvReport):
    """What an import of terminals did, or would do; at most 1,000 rows and problems are listed."""

    shown: list[TerminalRowView]


@routes.post("/import", openapi_extra=CSV_BODY)
def import_terminals(
    cloud: TheCloud,
    by: Admin,
    file: Uploaded,
    dry_run: Annotated[bool, Query(description="Only report what would happen.")] = False,
    only_good: Annotated[bool, Query(description="Leave wrong rows out instead of refusing the file.")] = False,
) -> TerminalReportView:
    """Register terminals from a CSV file, or change those that there are; all rows, or only the good ones.

    Columns: `id`; perhaps `kind`, `profile`, `room` (number or id), `organisation` (id or name) and one for each setting. They
    have no password: each is claimed by its code. Of one that there is, everything the file may say is replaced.
    """
    with cloud.reading() as session:
        report = importing.check(session, by.scope, file)
    if dry_run:
        return TerminalReportView.model_validate(report)
    if report.problem_count and not only_good:
        raise importing.refusal(report)
    with cloud.writing() as session:
        report = importing.apply(session, cloud.change(by), by.scope, file, only_good=only_good)
    return TerminalReportView.model_validate(report)


@routes.get("/export", response_class=StreamingResponse, responses={200: CSV, **problems(404)})
def export_terminals(cloud: TheCloud, by: Operator, wanted: Matching) -> StreamingResponse:
    """The terminals in your scope as CSV, as an import takes them; those that were replaced are left out."""
    rows = export.rows(cloud.reading, by.scope, wanted, cloud.clock())
    return StreamingResponse(csv_stream.chunks(export.header(), rows), media_type=csv_stream.MEDIA_TYPE)
