"""Activities in rooms, and their occurrences: made ahead by a rule, kept for ever once they have begun.

An edit replaces the occurrences whose check-in has not opened yet, and leaves all others as they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from cloud.activities import recurrence
from cloud.activities.models import Activity, Occurrence
from cloud.audit.service import Change, note, state
from cloud.counters import Counts, advance
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Unfit
from cloud.forms import Form, InstantUs, Name, OptionalName, TimeZone
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find, get_one
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomId
from cloud.scope import Scope

AHEAD = timedelta(days=60)
"""How far occurrences are made ahead; twins carry 30 days of them."""

RENEW = timedelta(days=45)
"""An activity whose occurrences end before this is expanded again."""

BEHIND = timedelta(days=30)
"""How far back a new activity's occurrences are made, for what was entered late."""

LAST_YEAR = 2199
"""An activity begins in it at the latest, so that no reckoning with it runs over the year 9999."""

ActivityId = Annotated[str, Field(pattern=r"^act_[0-9a-f]{16}$", examples=["act_0123456789abcdef"])]


def _rule(value: str) -> str:
    try:
        return recurrence.check_rule(value)
    except ValueError as error:
        raise Unfit(str(error), "rule") from error


Rule = Annotated[str, Field(max_length=200, examples=["FREQ=WEEKLY;BYDAY=TU,TH"]), AfterValidator(_rule)]


def _in_our_time(value: datetime) -> datetime:
    if value.year > LAST_YEAR:
        raise Unfit(f"must be before the year {LAST_YEAR + 1}", "too_late", year=str(LAST_YEAR + 1))
    return value


class ActivityForm(Form):
    """What an activity is: once, or by an RRULE (RFC 5545) in the wall time of `timezone`."""

    room_id: RoomId
    title: Name
    title_en: OptionalName = ""
    starts_at: Annotated[InstantUs, AfterValidator(_in_our_time)]
    duration_s: Annotated[int, Field(ge=300, le=86_400, description="Seconds.")]
    opens_before_s: Annotated[
        int, Field(ge=0, le=14_400, description="Seconds before the start when check-in opens.")
    ] = 1800
    timezone: TimeZone = "Asia/Shanghai"
    rrule: Rule | None = None
    audience: tuple[OrganisationId, ...] = Field(
        (), max_length=50, description="Organisations, with those below them; empty is everybody."
    )


def get(session: Session, scope: Scope, activity_id: str, *, to_edit: bool = False) -> Activity:
    """NotFound outside the scope, too."""
    query = select(Activity).where(Activity.id == activity_id, organisations.within(scope, Activity.organisation_id))
    return get_one(session, query, "activity", activity_id, to_edit=to_edit)


def list_activities(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    room_id: str | None = None,
    search: str | None = None,
    cancelled: bool = False,
) -> Found[Activity]:
    """By title; those of a room, or whose titles hold `search`; cancelled ones only when asked for."""
    query = select(Activity).where(organisations.within(scope, Activity.organisation_id))
    query = query.where(Activity.cancelled_at.is_not(None) if cancelled else Activity.cancelled_at.is_(None))
    if room_id is not None:
        query = query.where(Activity.room_id == room_id)
    if search:
        columns = (Activity.title, Activity.title_en)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    return find(session, query, [Activity.title, Activity.id], paging)


def titles(session: Session, activity_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Title and English title by id, whatever the scope: for facts that were found in it."""
    query = select(Activity.id, Activity.title, Activity.title_en).where(Activity.id.in_(set(activity_ids)))
    return {activity_id: (title, title_en) for activity_id, title, title_en in session.execute(query)}


def create(session: Session, change: Change, scope: Scope, form: ActivityForm) -> Activity:
    """A new activity with its occurrences, from 30 days back to 60 ahead. It belongs to its room's organisation."""
    room = rooms.get(session, scope, form.room_id)
    organisations.check_known(session, scope, form.audience, "body.audience")
    activity = Activity(
        id=new_id("act"),
        organisation_id=room.organisation_id,
        version=1,
        created_at=change.at,
        **form.model_dump(),
    )
    session.add(activity)
    session.flush()
    _expand(session, activity, change.at - BEHIND, change.at + AHEAD)
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "activity.create", activity.id, **form.model_dump(mode="json"))
    return activity


def edit(
    session: Session, change: Change, scope: Scope, activity_id: str, version: int, form: ActivityForm
) -> Activity:
    """Replace what it is, and those of its occurrences whose check-in is not open yet.

    A date that was cancelled stays cancelled where the new rule has it too.
    """
    activity = get(session, scope, activity_id, to_edit=True)
    if activity.cancelled_at is not None:
        raise Conflict("The activity was cancelled.", code="activity_cancelled")
    before = state(activity, ActivityForm.model_fields)
    next_version(activity, version)
    room = rooms.get(session, scope, form.room_id)
    organisations.check_known(session, scope, form.audience, "body.audience")
    opened = change.at + timedelta(seconds=max(activity.opens_before_s, form.opens_before_s))
    cancelled = _cancelled_dates(session, activity_id)
    session.execute(delete(Occurrence).where(Occurrence.activity_id == activity_id, Occurrence.starts_at > opened))
    for field, value in form.model_dump().items():
        setattr(activity, field, value)
    activity.organisation_id = room.organisation_id
    session.flush()
    _expand(session, activity, opened, change.at + AHEAD, cancelled)
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "activity.edit", activity_id, before=before, **form.model_dump(mode="json"))
    return activity


def cancel(session: Session, change: Change, scope: Scope, activity_id: str, version: int) -> Activity:
    """It and all its occurrences that have not ended are cancelled; a second time changes nothing."""
    activity = get(session, scope, activity_id, to_edit=True)
    if activity.cancelled_at is not None:
        return activity
    next_version(activity, version)
    activity.cancelled_at = change.at
    query = select(Occurrence).where(Occurrence.activity_id == activity_id, Occurrence.ends_at > change.at)
    for occurrence in session.scalars(query):
        occurrence.cancelled_at = occurrence.cancelled_at or change.at
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "activity.cancel", activity_id)
    return activity


def get_occurrence(session: Session, scope: Scope, occurrence_id: str, *, to_edit: bool = False) -> Occurrence:
    """NotFound outside the scope, too."""
    query = select(Occurrence).where(
        Occurrence.id == occurrence_id, organisations.within(scope, Occurrence.organisation_id)
    )
    return get_one(session, query, "occurrence", occurrence_id, to_edit=to_edit)


def list_occurrences(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    room_id: str | None = None,
    activity_id: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> Found[Occurrence]:
    """By start; those that end after `from_at` and start before `until_at`."""
    query = select(Occurrence).where(organisations.within(scope, Occurrence.organisation_id))
    if room_id is not None:
        query = query.where(Occurrence.room_id == room_id)
    if activity_id is not None:
        query = query.where(Occurrence.activity_id == activity_id)
    if from_at is not None:
        query = query.where(Occurrence.ends_at > from_at)
    if until_at is not None:
        query = query.where(Occurrence.starts_at < until_at)
    return find(session, query, [Occurrence.starts_at, Occurrence.id], paging)


def count_on(session: Session, scope: Scope, now: datetime) -> int:
    """How many dates are going on, in all rooms of the scope; none that was cancelled."""
    going_on = (Occurrence.starts_at <= now, Occurrence.ends_at > now, Occurrence.cancelled_at.is_(None))
    query = select(func.count()).where(*going_on, organisations.within(scope, Occurrence.organisation_id))
    return session.scalar(query) or 0


def cancel_occurrence(session: Session, change: Change, scope: Scope, occurrence_id: str) -> Occurrence:
    """One date does not take place; a second time changes nothing. Conflict when it has ended."""
    occurrence = get_occurrence(session, scope, occurrence_id, to_edit=True)
    if occurrence.cancelled_at is not None:
        return occurrence
    if occurrence.ends_at <= change.at:
        raise Conflict("It has ended already.", code="occurrence_ended")
    occurrence.cancelled_at = change.at
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "occurrence.cancel", occurrence_id)
    return occurrence


def coming(
    session: Session, room_id: str, from_at: datetime, until_at: datetime
) -> Sequence[tuple[Occurrence, Activity]]:
    """What takes place in a room, by start, with its activity: for twins."""
    query = (
        select(Occurrence, Activity)
        .join(Activity, Activity.id == Occurrence.activity_id)
        .where(
            Occurrence.room_id == room_id,
            Occurrence.ends_at > from_at,
            Occurrence.starts_at < until_at,
            Occurrence.cancelled_at.is_(None),
        )
        .order_by(Occurrence.starts_at, Occurrence.id)
    )
    return [(occurrence, activity) for occurrence, activity in session.execute(query)]


def expand_due(session: Session, now: datetime, limit: int = 50) -> int:
    """Make occurrences ahead for activities that run short of them; how many activities. Called by the sweep."""
    query = (
        select(Activity)
        .where(
            Activity.rrule.is_not(None),
            Activity.cancelled_at.is_(None),
            Activity.expanded_until_at < now + RENEW,
        )
        .order_by(Activity.expanded_until_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = session.scalars(query).all()
    for activity in due:
        _expand(session, activity, activity.expanded_until_at or now, now + AHEAD)
    if due:
        advance(session, Counts.TWIN_INPUTS)
    return len(due)


def occurrence_id(activity_id: str, starts_at: datetime) -> str:
    """Activity id, `/`, start in UTC (firmware_specs.messages.OccurrenceId)."""
    return f"{activity_id}/{starts_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _cancelled_dates(session: Session, activity_id: str) -> dict[str, datetime]:
    query = select(Occurrence.id, Occurrence.cancelled_at).where(
        Occurrence.activity_id == activity_id, Occurrence.cancelled_at.is_not(None)
    )
    return {each: cancelled_at for each, cancelled_at in session.execute(query) if cancelled_at is not None}


def _expand(
    session: Session,
    activity: Activity,
    after: datetime,
    before: datetime,
    cancelled: Mapping[str, datetime] = MappingProxyType({}),
) -> None:
    known = set(session.scalars(select(Occurrence.id).where(Occurrence.activity_id == activity.id)))
    first_at = activity.starts_at.replace(microsecond=0)
    if activity.rrule is None:
        after, before = first_at, first_at + timedelta(seconds=1)
    zone = ZoneInfo(activity.timezone)
    rows = [
        {**_occurrence(activity, at), "cancelled_at": cancelled.get(occurrence_id(activity.id, at))}
        for at in recurrence.starts(activity.rrule, first_at, zone, after, before)
        if occurrence_id(activity.id, at) not in known
    ]
    if rows:
        session.execute(insert(Occurrence), rows)
    activity.expanded_until_at = before
    session.flush()


def _occurrence(activity: Activity, at: datetime) -> dict[str, object]:
    return {
        "id": occurrence_id(activity.id, at),
        "activity_id": activity.id,
        "room_id": activity.room_id,
        "organisation_id": activity.organisation_id,
        "starts_at": at,
        "ends_at": at + timedelta(seconds=activity.duration_s),
    }
