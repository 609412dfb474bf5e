"""HTTP: saved views of the list of terminals."""

from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field

from cloud.api import IfMatch, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs
from cloud.security import Viewer
from cloud.terminals import views
from cloud.terminals.views import SavedViewForm

routes = router("/saved-views", "terminals")

Id = Annotated[str, Path(pattern=r"^vw_[0-9a-f]{16}$")]


class SavedViewView(View):
    """A saved view; `wanted` is what differs from the list that nobody has asked anything of, as in `GET /terminals`."""

    id: str
    name: str
    wanted: dict[str, Any]
    shared: bool
    organisation_id: Annotated[
        str | None, Field(description="The branch that it is shared with; null: the whole tree.")
    ]
    created_at: InstantUs
    version: int


@routes.get("")
def list_saved_views(cloud: TheCloud, by: Viewer) -> list[SavedViewView]:
    """One's own, at most 50, and those that are shared with one's branch; by name."""
    with cloud.reading() as session:
        return [SavedViewView.model_validate(each) for each in views.list_views(session, by)]


@routes.post("", status_code=201, responses={201: with_etag(), **problems(409)})
def create_saved_view(cloud: TheCloud, by: Viewer, form: SavedViewForm, response: Response) -> SavedViewView:
    """Keep a filter and an order under a name; an operator may share it with the own branch."""
    with cloud.writing() as session:
        view = views.create(session, cloud.change(by), by, form)
        set_etag(response, view.version)
        return SavedViewView.model_validate(view)


@routes.put("/{view_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_saved_view(
    cloud: TheCloud, by: Viewer, view_id: Id, if_match: IfMatch, form: SavedViewForm, response: Response
) -> SavedViewView:
    """Replace name, filter, order, and whether it is shared; one's own, or as an administrator a shared one of the branch."""
    with cloud.writing() as session:
        view = views.edit(session, cloud.change(by), by, view_id, if_match, form)
        set_etag(response, view.version)
        return SavedViewView.model_validate(view)


@routes.delete("/{view_id}", status_code=204, responses=problems(404, 412, 428))
def delete_saved_view(cloud: TheCloud, by: Viewer, view_id: Id, if_match: IfMatch) -> Response:
    """Take it away; the terminals stay."""
    with cloud.writing() as session:
        views.delete(session, cloud.change(by), by, view_id, if_match)
    return Response(status_code=204)
