"""HTTP: templates of settings."""

from typing import Annotated, Any

from fastapi import Path, Response

from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.forms import InstantUs
from cloud.security import Operator, Viewer
from cloud.templates import service
from cloud.templates.service import SettingsForm, TemplateForm

routes = router("/templates", "templates")

Id = Annotated[str, Path(pattern=r"^tpl_[0-9a-f]{16}$")]


class TemplateView(View):
    """A template: of a room, of an organisation with all below it, or (neither) of everywhere; `kind` is empty for all."""

    id: str
    organisation_id: str | None
    room_id: str | None
    kind: str
    settings: dict[str, Any]
    version: int
    created_at: InstantUs


@routes.get("")
def list_templates(cloud: TheCloud, by: Viewer, pages: Pages) -> PageOf[TemplateView]:
    """Templates in your scope."""
    with cloud.reading() as session:
        return PageOf[TemplateView].of(service.list_templates(session, by.scope, pages))


@routes.post("", status_code=201, responses={201: with_etag(), **problems(404, 409)})
def create_template(cloud: TheCloud, by: Operator, form: TemplateForm, response: Response) -> TemplateView:
    """Settings for all terminals of a place and kind.

    They count in this order, the later before the earlier: everywhere, the organisations from the top down, the room; in each
    place what is for all kinds before what is for one; at last a terminal's own.
    """
    with cloud.writing() as session:
        template = service.create(session, cloud.change(by), by.scope, form)
        set_etag(response, template.version)
        return TemplateView.model_validate(template)


@routes.get("/{template_id}", responses={200: with_etag(), **problems(404)})
def get_template(cloud: TheCloud, by: Viewer, template_id: Id, response: Response) -> TemplateView:
    """One template."""
    with cloud.reading() as session:
        template = service.get(session, by.scope, template_id)
        set_etag(response, template.version)
        return TemplateView.model_validate(template)


@routes.put("/{template_id}", responses={200: with_etag(), **problems(404, 412, 428)})
def edit_template(
    cloud: TheCloud, by: Operator, template_id: Id, if_match: IfMatch, form: SettingsForm, response: Response
) -> TemplateView:
    """Replace its settings; all terminals that it concerns get new twins."""
    with cloud.writing() as session:
        template = service.edit(session, cloud.change(by), by.scope, template_id, if_match, form)
        set_etag(response, template.version)
        return TemplateView.model_validate(template)


@routes.delete("/{template_id}", status_code=204, responses=problems(404, 412, 428))
def delete_template(cloud: TheCloud, by: Operator, template_id: Id, if_match: IfMatch) -> Response:
    """Take it away; its terminals get what the templates before it say."""
    with cloud.writing() as session:
        service.delete(session, cloud.change(by), by.scope, template_id, if_match)
    return Response(status_code=204)
