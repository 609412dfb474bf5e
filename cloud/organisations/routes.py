"""HTTP: the tree of organisations."""

from typing import Annotated

from fastapi import Path, Query, Response

from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs, Search
from cloud.organisations import service
from cloud.organisations.service import OrganisationForm, OrganisationId
from cloud.security import Admin, Viewer

routes = router("/organisations", "organisations")

Id = Annotated[str, Path(pattern=r"^org_[0-9a-f]{16}$")]


class OrganisationView(View):
    """An organisation; `path` names those above it and itself."""

    id: str
    parent_id: str | None
    name: str
    name_en: str
    path: str
    timezone: str
    version: int
    created_at: InstantUs


@routes.get("")
def list_organisations(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    parent_id: Annotated[OrganisationId | None, Query(description="Only those right below it.")] = None,
    search: Annotated[Search | None, Query(description="Part of a name.")] = None,
) -> PageOf[OrganisationView]:
    """Organisations in your scope, by name."""
    with cloud.reading() as session:
        found = service.list_organisations(session, by.scope, pages, parent_id=parent_id, search=search)
        return PageOf[OrganisationView].of(found)


@routes.post("", status_code=201, responses={201: with_etag(), **problems(409)})
def create_organisation(cloud: TheCloud, by: Admin, form: OrganisationForm, response: Response) -> OrganisationView:
    """A new organisation, below a parent or as a root."""
    with cloud.writing() as session:
        organisation = service.create(session, cloud.change(by), by.scope, form)
        set_etag(response, organisation.version)
        return OrganisationView.model_validate(organisation)


@routes.get("/{organisation_id}", responses={200: with_etag(), **problems(404)})
def get_organisation(cloud: TheCloud, by: Viewer, organisation_id: Id, response: Response) -> OrganisationView:
    """One organisation."""
    with cloud.reading() as session:
        organisation = service.get(session, by.scope, organisation_id)
        set_etag(response, organisation.version)
        return OrganisationView.model_validate(organisation)


@routes.put("/{organisation_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_organisation(
    cloud: TheCloud, by: Admin, organisation_id: Id, if_match: IfMatch, form: OrganisationForm, response: Response
) -> OrganisationView:
    """Replace what it is; another parent moves it with all below it."""
    with cloud.writing() as session:
        organisation = service.edit(session, cloud.change(by), by.scope, organisation_id, if_match, form)
        set_etag(response, organisation.version)
        return OrganisationView.model_validate(organisation)


@routes.delete("/{organisation_id}", status_code=204, responses=problems(404, 409, 412, 428))
def delete_organisation(cloud: TheCloud, by: Admin, organisation_id: Id, if_match: IfMatch) -> Response:
    """Delete it, if nothing belongs to it."""
    with cloud.writing() as session:
        service.delete(session, cloud.change(by), by.scope, organisation_id, if_match)
    return Response(status_code=204)
