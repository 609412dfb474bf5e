"""HTTP: activities and their occurrences."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from cloud.activities import service
from cloud.activities.service import ActivityForm, ActivityId
from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs, Search
from cloud.rooms.service import RoomId
from cloud.security import Organiser, Viewer

activities = router("/activities", "activities")
occurrences = router("/occurrences", "occurrences")

Id = Annotated[str, Path(pattern=r"^act_[0-9a-f]{16}$")]
Start = Annotated[str, Path(pattern=r"^[0-9]{8}T[0-9]{6}Z$", description="Its start in UTC.")]
InRoom = Annotated[RoomId | None, Query(description="Only this room's.")]


class ActivityView(View):
    """An activity."""

    id: str
    room_id: str
    organisation_id: str
    title: str
    title_en: str
    starts_at: InstantUs
    duration_s: int
    opens_before_s: int
    timezone: str
    rrule: str | None
    audience: list[str]
    version: int
    cancelled_at: InstantUs | None
    created_at: InstantUs


class OccurrenceView(View):
    """One date of an activity; its id is the activity's, `/`, and the start in UTC."""

    id: str
    activity_id: str
    room_id: str
    organisation_id: str
    starts_at: InstantUs
    ends_at: InstantUs
    cancelled_at: InstantUs | None


@activities.get("")
def list_activities(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    room_id: InRoom = None,
    search: Annotated[Search | None, Query(description="Part of a title.")] = None,
    cancelled: Annotated[bool, Query(description="The cancelled ones instead.")] = False,
) -> PageOf[ActivityView]:
    """Activities in your scope, by title."""
    with cloud.reading() as session:
        found = service.list_activities(session, by.scope, pages, room_id=room_id, search=search, cancelled=cancelled)
        return PageOf[ActivityView].of(found)


@activities.post("", status_code=201, responses={201: with_etag(), **problems(404)})
def create_activity(cloud: TheCloud, by: Organiser, form: ActivityForm, response: Response) -> ActivityView:
    """A new activity; its occurrences are made 60 days ahead."""
    with cloud.writing() as session:
        activity = service.create(session, cloud.change(by), by.scope, form)
        set_etag(response, activity.version)
        return ActivityView.model_validate(activity)


@activities.get("/{activity_id}", responses={200: with_etag(), **problems(404)})
def get_activity(cloud: TheCloud, by: Viewer, activity_id: Id, response: Response) -> ActivityView:
    """One activity."""
    with cloud.reading() as session:
        activity = service.get(session, by.scope, activity_id)
        set_etag(response, activity.version)
        return ActivityView.model_validate(activity)


@activities.put("/{activity_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_activity(
    cloud: TheCloud, by: Organiser, activity_id: Id, if_match: IfMatch, form: ActivityForm, response: Response
) -> ActivityView:
    """Replace what it is; occurrences whose check-in has opened stay as they were."""
    with cloud.writing() as session:
        activity = service.edit(session, cloud.change(by), by.scope, activity_id, if_match, form)
        set_etag(response, activity.version)
        return ActivityView.model_validate(activity)


@activities.delete("/{activity_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def cancel_activity(
    cloud: TheCloud, by: Organiser, activity_id: Id, if_match: IfMatch, response: Response
) -> ActivityView:
    """Cancel it and what is to come of it; what has been stays."""
    with cloud.writing() as session:
        activity = service.cancel(session, cloud.change(by), by.scope, activity_id, if_match)
        set_etag(response, activity.version)
        return ActivityView.model_validate(activity)


@occurrences.get("")
def list_occurrences(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    room_id: InRoom = None,
    activity_id: Annotated[ActivityId | None, Query(description="Only this activity's.")] = None,
    from_at: Annotated[InstantUs | None, Query(description="Ends after it.")] = None,
    until_at: Annotated[InstantUs | None, Query(description="Starts before it.")] = None,
) -> PageOf[OccurrenceView]:
    """Occurrences in your scope, by start."""
    with cloud.reading() as session:
        found = service.list_occurrences(
            session,
            by.scope,
            pages,
            room_id=room_id,
            activity_id=activity_id,
            from_at=from_at,
            until_at=until_at,
        )
        return PageOf[OccurrenceView].of(found)


@occurrences.get("/{activity_id}/{start}", responses=problems(404))
def get_occurrence(cloud: TheCloud, by: Viewer, activity_id: Id, start: Start) -> OccurrenceView:
    """One occurrence."""
    with cloud.reading() as session:
        occurrence = service.get_occurrence(session, by.scope, f"{activity_id}/{start}")
        return OccurrenceView.model_validate(occurrence)


@occurrences.delete("/{activity_id}/{start}", responses=problems(404, 409))
def cancel_occurrence(cloud: TheCloud, by: Organiser, activity_id: Id, start: Start) -> OccurrenceView:
    """This date does not take place."""
    with cloud.writing() as session:
        change = cloud.change(by)
        occurrence = service.cancel_occurrence(session, change, by.scope, f"{activity_id}/{start}")
        return OccurrenceView.model_validate(occurrence)


routes = APIRouter()
routes.include_router(activities)
routes.include_router(occurrences)
