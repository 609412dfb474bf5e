"""Attendance as it stands, and corrections of it: entries of their own with who and why, never edits of facts.

Ingest writes attendance from records; here it is read, and corrected. What a correction removed stays removed
whatever record arrives later.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.attendance.models import Attendance, Correction
from cloud.audit.service import Change, note
from cloud.clock import from_us, to_us
from cloud.database import new_id
from cloud.errors import Conflict
from cloud.forms import Form, Sentence
from cloud.members import service as members
from cloud.members.service import MemberId
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging, find
from cloud.scope import EVERYWHERE, Scope

OccurrenceId = Annotated[
    str, Field(pattern=r"^act_[0-9a-f]{16}/[0-9]{8}T[0-9]{6}Z$", examples=["act_0123456789abcdef/20261123T093000Z"])
]


class CorrectionKind(StrEnum):
    """What a person decided."""

    ADD = "attendance_add"
    REMOVE = "attendance_remove"


class CorrectionForm(Form):
    """Whose attendance of what was missed or is wrong, and why."""

    kind: CorrectionKind
    occurrence_id: OccurrenceId
    member_id: MemberId
    reason: Sentence


def list_attendance(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    occurrence_id: str | None = None,
    member_id: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> Found[Attendance]:
    """What counts, newest first; of an occurrence, a member, a span of time [from_at, until_at)."""
    query = select(Attendance).where(
        Attendance.removed_at.is_(None), organisations.within(scope, Attendance.organisation_id)
    )
    if occurrence_id is not None:
        query = query.where(Attendance.occurrence_id == occurrence_id)
    if member_id is not None:
        query = query.where(Attendance.member_id == member_id)
    if from_at is not None:
        query = query.where(Attendance.effective_at >= from_at)
    if until_at is not None:
        query = query.where(Attendance.effective_at < until_at)
    keys = [Attendance.effective_at, Attendance.occurrence_id, Attendance.member_id]
    return find(session, query, keys, paging, newest_first=True)


def counts(session: Session, occurrence_ids: Sequence[str]) -> dict[str, int]:
    """How many members attended each occurrence; those with nobody are left out."""
    query = (
        select(Attendance.occurrence_id, func.count())
        .where(Attendance.occurrence_id.in_(occurrence_ids), Attendance.removed_at.is_(None))
        .group_by(Attendance.occurrence_id)
    )
    return dict(session.execute(query).all())


def correct(session: Session, change: Change, scope: Scope, form: CorrectionForm) -> Correction:
    """Conflict when it is so already, or the member was erased."""
    occurrence = activities.get_occurrence(session, scope, form.occurrence_id)
    member = members.get(session, scope, form.member_id)
    if member.erased_at is not None and form.kind is CorrectionKind.ADD:
        raise Conflict("The member was erased.", code="member_erased")
    present = _row(session, form.occurrence_id, form.member_id)
    counts_now = present is not None and present.removed_at is None
    if counts_now == (form.kind is CorrectionKind.ADD):
        if counts_now:
            raise Conflict("The attendance counts already.", code="attendance_counts")
        raise Conflict("There is no such attendance.", code="no_attendance")
    correction = Correction(
        id=new_id("cor"),
        who=change.who,
        created_at=change.at,
        detail={
            "room_id": occurrence.room_id,
            "organisation_id": occurrence.organisation_id,
            "starts_at": to_us(occurrence.starts_at),
        },
        **form.model_dump(),
    )
    session.add(correction)
    _apply(session, correction)
    session.flush()
    note(session, change, f"correction.{form.kind}", correction.id, **form.model_dump(mode="json"))
    return correction


def corrections(
    session: Session, scope: Scope, paging: Paging, *, occurrence_id: str | None = None, member_id: str | None = None
) -> Found[Correction]:
    """Newest first; within a narrower scope than everything, those of members in it."""
    query = select(Correction)
    if scope != EVERYWHERE:
        query = query.where(members.within(scope, Correction.member_id))
    if occurrence_id is not None:
        query = query.where(Correction.occurrence_id == occurrence_id)
    if member_id is not None:
        query = query.where(Correction.member_id == member_id)
    return find(session, query, [Correction.created_at, Correction.id], paging, newest_first=True)


def apply_corrections(session: Session) -> int:
    """Apply every correction of attendance again, oldest first, after a rebuild; how many."""
    query = (
        select(Correction)
        .where(Correction.kind.in_(list(CorrectionKind)))
        .order_by(Correction.created_at, Correction.id)
    )
    applied = 0
    for correction in session.scalars(query):
        _apply(session, correction)
        applied += 1
    session.flush()
    return applied


def _apply(session: Session, correction: Correction) -> None:
    assert correction.occurrence_id is not None  # noqa: S101 - every correction of attendance has both
    assert correction.member_id is not None  # noqa: S101
    row = _row(session, correction.occurrence_id, correction.member_id)
    if row is None:
        if correction.kind == CorrectionKind.REMOVE:
            return
        row = _added(correction)
        session.add(row)
    row.corrected_at = correction.created_at
    row.removed_at = correction.created_at if correction.kind == CorrectionKind.REMOVE else None
    session.flush()


def _added(correction: Correction) -> Attendance:
    """A row that no record stands behind: its time is the occurrence's start."""
    detail = correction.detail or {}
    return Attendance(
        occurrence_id=correction.occurrence_id,
        member_id=correction.member_id,
        effective_at=from_us(detail["starts_at"]),
        uncertainty_us=0,
        room_id=detail["room_id"],
        organisation_id=detail["organisation_id"],
        method="correction",
        flags=[],
    )


def _row(session: Session, occurrence_id: str, member_id: str) -> Attendance | None:
    return session.get(Attendance, (occurrence_id, member_id), with_for_update=True)
