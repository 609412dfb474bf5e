"""Members: the people whose attendance is kept. Names stay in this table; cards and terminals know a subject only.

Erasing a member forgets whose the subject was: facts stay and count, but belong to nobody.
"""

import base64
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, func, insert, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.audit.service import Change, note
from cloud.counters import Counts, advance
from cloud.database import new_id, next_version
from cloud.errors import Conflict
from cloud.forms import ExternalId, Form, Name
from cloud.members.models import Member
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find, get_one
from cloud.scope import Scope

MemberId = Annotated[str, Field(pattern=r"^mem_[0-9a-f]{16}$", examples=["mem_0123456789abcdef"])]


class MemberForm(Form):
    """What is known of a member; `external_id` is the person's number in another system."""

    organisation_id: OrganisationId
    display_name: Name
    external_id: ExternalId | None = None


def within(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a member's id, is one of `scope`."""
    if scope.path == "/":
        return true()
    return column.in_(select(Member.id).where(organisations.within(scope, Member.organisation_id)))


def names(session: Session, member_ids: Iterable[str]) -> dict[str, str]:
    """Member ids to names; an erased member's is empty."""
    query = select(Member.id, Member.display_name).where(Member.id.in_(set(member_ids)))
    return dict(session.execute(query).all())


def subjects_below(session: Session, root: str) -> Iterator[Sequence[tuple[str, str, str]]]:
    """(member id, subject, organisation id) of all members in the tree of a root organisation, by the thousand."""
    query = select(Member.id, Member.subject, Member.organisation_id).where(
        organisations.within(Scope(f"/{root}/"), Member.organisation_id), Member.erased_at.is_(None)
    )
    for rows in session.execute(query).partitions(1_000):
        yield [(member_id, subject, organisation_id) for member_id, subject, organisation_id in rows]


def new_subject() -> str:
    """An opaque reference: base64url of 128 random bits, 22 characters."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def get(session: Session, scope: Scope, member_id: str, *, to_edit: bool = False) -> Member:
    """NotFound outside the scope, too. An erased member is found; `erased_at` says so."""
    query = select(Member).where(Member.id == member_id, organisations.within(scope, Member.organisation_id))
    return get_one(session, query, "member", member_id, to_edit=to_edit)


def list_members(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    organisation_id: str | None = None,
    search: str | None = None,
) -> Found[Member]:
    """By name, without the erased; of one organisation, or whose name or external id holds `search`."""
    query = select(Member).where(organisations.within(scope, Member.organisation_id), Member.erased_at.is_(None))
    if organisation_id is not None:
        query = query.where(Member.organisation_id == organisation_id)
    if search:
        columns = (Member.display_name, Member.external_id)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    return find(session, query, [Member.display_name, Member.id], paging)


def count_by_organisation(session: Session, scope: Scope) -> dict[str, int]:
    """How many members each organisation has by itself, without the erased."""
    query = select(Member.organisation_id, func.count()).where(
        organisations.within(scope, Member.organisation_id), Member.erased_at.is_(None)
    )
    return dict(session.execute(query.group_by(Member.organisation_id)).all())


def create(session: Session, change: Change, scope: Scope, form: MemberForm) -> Member:
    """Conflict for an external id that the organisation has already."""
    _check(session, scope, form, None)
    member = Member(id=new_id("mem"), subject=new_subject(), version=1, created_at=change.at, **form.model_dump())
    session.add(member)
    session.flush()
    advance(session, Counts.ROSTER)
    note(session, change, "member.create", member.id, organisation_id=form.organisation_id)
    return member


def edit(session: Session, change: Change, scope: Scope, member_id: str, version: int, form: MemberForm) -> Member:
    """Replace what is known. Conflict for an erased member."""
    member = get(session, scope, member_id, to_edit=True)
    if member.erased_at is not None:
        raise Conflict("The member was erased.", code="member_erased")
    next_version(member, version)
    _check(session, scope, form, member_id)
    changed = {name for name, value in form.model_dump().items() if getattr(member, name) != value}
    before = {"organisation_id": member.organisation_id}
    for field, value in form.model_dump().items():
        setattr(member, field, value)
    session.flush()
    advance(session, Counts.ROSTER)
    now = {"organisation_id": member.organisation_id}
    note(session, change, "member.edit", member_id, before=before, fields=sorted(changed), **now)
    return member


def forget(session: Session, change: Change, scope: Scope, member_id: str, version: int) -> Member:
    """Forget name, external id and subject. Its cards are revoked by the caller; attendance stays, anonymous."""
    member = get(session, scope, member_id, to_edit=True)
    next_version(member, version)
    before = {"organisation_id": member.organisation_id, "erased": member.erased_at is not None}
    member.display_name, member.external_id, member.subject = "", None, new_subject()
    member.erased_at = member.erased_at or change.at
    session.flush()
    advance(session, Counts.ROSTER)
    note(session, change, "member.erase", member_id, before=before, erased=True)
    return member


def by_external_id(session: Session, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """(organisation id, external id) to (member id, display name), for those of `pairs` that exist."""
    query = select(Member.organisation_id, Member.external_id, Member.id, Member.display_name).where(
        Member.external_id.in_([external_id for _, external_id in pairs]),
        Member.organisation_id.in_({organisation_id for organisation_id, _ in pairs}),
    )
    return {(org, external_id or ""): (member, name) for org, external_id, member, name in session.execute(query)}


def add_many(session: Session, change: Change, forms: Sequence[MemberForm]) -> None:
    """Insert members that were checked already, in bulk; the caller writes one audit entry for all."""
    rows = [
        {
            "id": new_id("mem"),
            "subject": new_subject(),
            "version": 1,
            "created_at": change.at,
            **form.model_dump(),
        }
        for form in forms
    ]
    session.execute(insert(Member), rows)


def rename(session: Session, member_id: str, display_name: str) -> None:
    """Give a member another name, as an import does; the caller writes one audit entry for all."""
    values = {"display_name": display_name, "version": Member.version + 1}
    session.execute(update(Member).where(Member.id == member_id).values(values))


def _check(session: Session, scope: Scope, form: MemberForm, member_id: str | None) -> None:
    organisations.check_known(session, scope, [form.organisation_id], "body.organisation_id")
    if form.external_id is None:
        return
    query = select(Member.id).where(
        Member.organisation_id == form.organisation_id, Member.external_id == form.external_id
    )
    if session.scalar(query) not in {None, member_id}:
        raise Conflict(
            f"The organisation has a member with the external id {form.external_id} already.",
            code="member_exists",
            number=form.external_id,
        )
