"""HTTP: rooms."""

from typing import Annotated

from fastapi import Path, Query, Response

from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs, Search
from cloud.organisations.service import OrganisationId
from cloud.rooms import service
from cloud.rooms.service import RoomForm
from cloud.security import Operator, Viewer

routes = router("/rooms", "rooms")

Id = Annotated[str, Path(pattern=r"^rm_[0-9a-f]{16}$")]


class RoomView(View):
    """A room."""

    id: str
    organisation_id: str
    number: str
    name: str
    name_en: str
    version: int
    created_at: InstantUs


@routes.get("")
def list_rooms(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    organisation_id: Annotated[OrganisationId | None, Query(description="Only this organisation's.")] = None,
    search: Annotated[Search | None, Query(description="Part of the number or a name.")] = None,
) -> PageOf[RoomView]:
    """Rooms in your scope, by number."""
    with cloud.reading() as session:
        found = service.list_rooms(session, by.scope, pages, organisation_id=organisation_id, search=search)
        return PageOf[RoomView].of(found)


@routes.post("", status_code=201, responses={201: with_etag(), **problems(409)})
def create_room(cloud: TheCloud, by: Operator, form: RoomForm, response: Response) -> RoomView:
    """A new room."""
    with cloud.writing() as session:
        room = service.create(session, cloud.change(by), by.scope, form)
        set_etag(response, room.version)
        return RoomView.model_validate(room)


@routes.get("/{room_id}", responses={200: with_etag(), **problems(404)})
def get_room(cloud: TheCloud, by: Viewer, room_id: Id, response: Response) -> RoomView:
    """One room."""
    with cloud.reading() as session:
        room = service.get(session, by.scope, room_id)
        set_etag(response, room.version)
        return RoomView.model_validate(room)


@routes.put("/{room_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_room(
    cloud: TheCloud, by: Operator, room_id: Id, if_match: IfMatch, form: RoomForm, response: Response
) -> RoomView:
    """Replace what it is."""
    with cloud.writing() as session:
        room = service.edit(session, cloud.change(by), by.scope, room_id, if_match, form)
        set_etag(response, room.version)
        return RoomView.model_validate(room)


@routes.delete("/{room_id}", status_code=204, responses=problems(404, 409, 412, 428))
def delete_room(cloud: TheCloud, by: Operator, room_id: Id, if_match: IfMatch) -> Response:
    """Delete it, if nothing is in it."""
    with cloud.writing() as session:
        service.delete(session, cloud.change(by), by.scope, room_id, if_match)
    return Response(status_code=204)
