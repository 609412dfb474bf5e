"""HTTP: terminals, and the files that a terminal fetches for itself."""

from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field, computed_field

from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.errors import NotFound
from cloud.forms import InstantUs
from cloud.security import Admin, ConfirmedAdmin, Operator, TerminalCredentials, Viewer
from cloud.terminals import broker_users, enabling, listing, service, twin
from cloud.terminals.asked import Sorted
from cloud.terminals.broker_users import BrokerUsers
from cloud.terminals.service import PIN_HASH, Kind, NewTerminalForm, PinForm, SeenForm, TerminalForm

routes = router("/terminals", "terminals")

Id = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class TerminalView(View):
    """A terminal as the cloud knows it; `presence` and what follows are the terminal's own word, with its time."""

    id: str
    kind: Kind
    profile: str
    room_id: str | None
    enabled: bool
    version: int
    created_at: InstantUs
    presence: str
    presence_at: InstantUs | None
    last_heard_at: InstantUs | None
    birth: dict[str, Any] | None
    reported: dict[str, Any] | None
    reported_at: InstantUs | None
    marks: list[str]
    marked_at: InstantUs | None
    replaces: str | None
    replaced_by: str | None
    replaced_at: InstantUs | None
    stored_settings: dict[str, Any] = Field(validation_alias="settings", exclude=True)

    @computed_field  # type: ignore[prop-decorator]  # mypy issue 1362: a decorator over property
    @property
    def settings(self) -> dict[str, str | float]:
        """Its own settings; what its twin tells it says `/settings`."""
        return {name: value for name, value in self.stored_settings.items() if name != PIN_HASH}

    @computed_field  # type: ignore[prop-decorator]  # the same
    @property
    def has_staff_pin(self) -> bool:
        """Whether staff entry is open."""
        return PIN_HASH in self.stored_settings


class RegisteredView(View):
    """A terminal with its password, shown this once, and whether the broker knows it."""

    terminal: TerminalView
    password: str
    broker_users: BrokerUsers


class StandingView(View):
    """A terminal, and whether the broker knows of the change."""

    terminal: TerminalView
    broker_users: BrokerUsers


@routes.get("", responses=problems(404))
def list_terminals(cloud: TheCloud, by: Viewer, pages: Pages, wanted: Sorted) -> PageOf[TerminalView]:
    """Terminals in your scope; a cursor belongs to its order."""
    with cloud.reading() as session:
        return PageOf[TerminalView].of(listing.found(session, by.scope, wanted, pages, cloud.clock()))


@routes.post("", status_code=201, responses={201: with_etag(), **problems(404, 409)})
def register_terminal(cloud: TheCloud, by: Admin, form: NewTerminalForm, response: Response) -> RegisteredView:
    """Register a terminal; the answer holds its password, once."""
    with cloud.writing() as session:
        registered = service.register(session, cloud.change(by), by.scope, form)
        view = TerminalView.model_validate(registered.terminal)
    set_etag(response, view.version)
    return RegisteredView(terminal=view, password=registered.password, broker_users=broker_users.publish(cloud))


@routes.get("/{terminal_id}", responses={200: with_etag(), **problems(404)})
def get_terminal(cloud: TheCloud, by: Viewer, terminal_id: Id, response: Response) -> TerminalView:
    """One terminal."""
    with cloud.reading() as session:
        terminal = service.get(session, by.scope, terminal_id)
        set_etag(response, terminal.version)
        return TerminalView.model_validate(terminal)


@routes.put("/{terminal_id}", responses={200: with_etag(), **problems(404, 412, 428)})
def edit_terminal(
    cloud: TheCloud, by: Operator, terminal_id: Id, if_match: IfMatch, form: TerminalForm, response: Response
) -> TerminalView:
    """Replace what it is and where it stands; its twin follows."""
    with cloud.writing() as session:
        terminal = service.edit(session, cloud.change(by), by.scope, terminal_id, if_match, form)
        set_etag(response, terminal.version)
        return TerminalView.model_validate(terminal)


@routes.put("/{terminal_id}/staff-pin", responses={200: with_etag(), **problems(404, 412, 428)})
def set_staff_pin(
    cloud: TheCloud, by: Operator, terminal_id: Id, if_match: IfMatch, form: PinForm, response: Response
) -> TerminalView:
    """Set or remove the PIN of a kiosk's staff entry."""
    with cloud.writing() as session:
        terminal = service.set_pin(session, cloud.change(by), by.scope, terminal_id, if_match, form)
        set_etag(response, terminal.version)
        return TerminalView.model_validate(terminal)


@routes.post("/{terminal_id}/marks/seen", responses=problems(404, 409))
def see_marks(cloud: TheCloud, by: Operator, terminal_id: Id, form: SeenForm) -> TerminalView:
    """Somebody has looked at what the terminal is marked for: take these marks away, with what was found."""
    with cloud.writing() as session:
        return TerminalView.model_validate(service.see_marks(session, cloud.change(by), by.scope, terminal_id, form))


@routes.post("/{terminal_id}/password", responses={200: with_etag(), **problems(404, 412, 428)})
def new_terminal_password(
    cloud: TheCloud, by: ConfirmedAdmin, terminal_id: Id, if_match: IfMatch, response: Response
) -> RegisteredView:
    """A new password, shown once; the old one opens nothing any more.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    with cloud.writing() as session:
        registered = service.new_password(session, cloud.change(by), by.scope, terminal_id, if_match)
        view = TerminalView.model_validate(registered.terminal)
    set_etag(response, view.version)
    return RegisteredView(terminal=view, password=registered.password, broker_users=broker_users.publish(cloud))


@routes.post("/{terminal_id}/disable", responses={200: with_etag(), **problems(404, 412, 428)})
def disable_terminal(
    cloud: TheCloud, by: ConfirmedAdmin, terminal_id: Id, if_match: IfMatch, response: Response
) -> StandingView:
    """Its password and its certificate open nothing any more, until it is enabled, and its session is cut.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    return _stand(cloud, by, terminal_id, if_match, response, enabled=False)


@routes.post("/{terminal_id}/enable", responses={200: with_etag(), **problems(404, 412, 428)})
def enable_terminal(cloud: TheCloud, by: Admin, terminal_id: Id, if_match: IfMatch, response: Response) -> StandingView:
    """What it had opens the broker and its files again, unless it was revoked."""
    return _stand(cloud, by, terminal_id, if_match, response, enabled=True)


@routes.get(
    "/{terminal_id}/files/{sha256}",
    response_class=Response,
    responses={**FILE, **problems(404)},
    openapi_extra={"security": [{"terminal": []}]},
)
def get_terminal_file(cloud: TheCloud, asking: TerminalCredentials, terminal_id: Id, sha256: Sha256) -> Response:
    """A file that the terminal's twin names (roster, revocations, occurrences); for that terminal itself, by HTTP Basic."""
    with cloud.reading() as session:
        service.authenticate(session, terminal_id, *asking)
        content = twin.file_of(session, terminal_id, sha256)
    if content is None:
        raise NotFound("None of your twins names this file.")
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, max-age=31536000, immutable"}
    return Response(content, media_type="application/octet-stream", headers=headers)


def _stand(
    cloud: TheCloud, by: Admin, terminal_id: str, version: int, response: Response, *, enabled: bool
) -> StandingView:
    with cloud.writing() as session:
        terminal = enabling.enable(session, cloud.change(by), by.scope, terminal_id, version, enabled=enabled)
        view = TerminalView.model_validate(terminal)
    set_etag(response, view.version)
    return StandingView(terminal=view, broker_users=broker_users.publish(cloud))
