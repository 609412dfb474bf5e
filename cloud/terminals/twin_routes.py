"""HTTP: what a terminal is set to and whence, its desired twin, and the change of a broken one for another."""

import json
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field

from cloud.api import IfMatch, TheCloud, View, problems, router, set_etag, with_etag
from cloud.errors import NotFound
from cloud.forms import InstantUs
from cloud.security import Admin, Operator, Viewer, check_confirmed
from cloud.terminals import broker_users, replacing, reported, service, twin
from cloud.terminals.broker_users import BrokerUsers
from cloud.terminals.replacing import ReplaceForm
from cloud.terminals.routes import Id, TerminalView

routes = router("/terminals", "terminals")


class TwinView(View):
    """A desired twin as it was published; `differs_since` says since when the terminal lacks one, or a part of it."""

    epoch: int
    number: int
    created_at: InstantUs
    document: dict[str, Any]
    differs_since: InstantUs | None


class SettingView(View):
    """A setting's value in the next twin, and whence: the profile's default, a template, or set at the terminal itself."""

    value: str | float
    source: Literal["default", "template", "own"]
    template_id: str | None
    place: Annotated[str | None, Field(description="The template's room or organisation; empty for everywhere.")]


class SettingsView(View):
    """All settings of the terminal's profile, by name."""

    terminal: str
    version: int
    settings: dict[str, SettingView]


class ReplacedView(View):
    """Both terminals; `password` is the new one's, shown this once, null where it was registered before."""

    replaced: TerminalView
    replacement: TerminalView
    password: str | None
    broker_users: BrokerUsers


@routes.get("/{terminal_id}/settings", responses={200: with_etag(), **problems(404)})
def get_terminal_settings(cloud: TheCloud, by: Viewer, terminal_id: Id, response: Response) -> SettingsView:
    """What it is set to, and where each value comes from."""
    with cloud.reading() as session:
        terminal = service.get(session, by.scope, terminal_id)
        effective = twin.settings_in_effect(session, terminal)
    set_etag(response, terminal.version)
    shown = {name: SettingView.model_validate(each) for name, each in effective.items()}
    return SettingsView(terminal=terminal.id, version=terminal.version, settings=shown)


@routes.get("/{terminal_id}/twin", responses=problems(404))
def get_terminal_twin(cloud: TheCloud, by: Operator, terminal_id: Id) -> TwinView:
    """Its newest desired twin."""
    with cloud.reading() as session:
        terminal = service.get(session, by.scope, terminal_id)
        found = twin.current_twin(session, terminal_id)
        if found is None:
            raise NotFound("It has no twin yet.", code="no_twin")
        since = reported.lags_since(session, terminal, found)
    document = json.loads(found.document)
    document.pop(service.PIN_HASH, None)
    return TwinView(
        epoch=found.epoch, number=found.number, created_at=found.created_at, document=document, differs_since=since
    )


@routes.post("/{terminal_id}/replace", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def replace_terminal(
    cloud: TheCloud, by: Admin, terminal_id: Id, if_match: IfMatch, form: ReplaceForm, response: Response
) -> ReplacedView:
    """Put another terminal in its place: that gets its room, its own settings and its staff PIN; both keep their histories.

    The other one is registered already and has no room, or its id is new and it is registered with this. An account of a
    branch names a new id: a terminal without a room is of no branch. To disable the old one at once, a session must have
    confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    if form.disable:
        check_confirmed(by, cloud.clock(), tokens=True)
    with cloud.writing() as session:
        done = replacing.replace(session, cloud.change(by), by.scope, terminal_id, if_match, form)
        old, new = TerminalView.model_validate(done.old), TerminalView.model_validate(done.new)
    set_etag(response, old.version)
    told = broker_users.publish(cloud)
    return ReplacedView(replaced=old, replacement=new, password=done.password, broker_users=told)
