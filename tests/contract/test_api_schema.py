"""Schemathesis asks every operation of the API, with good and bad input: no server error, no undocumented answer."""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cloud.accounts.service import Role
from cloud.app import create_app
from cloud.clock import from_us
from cloud.database import create_engine_for
from cloud.settings import Settings
from cloud.timeseries.memory import MemoryTimeseries
from tests.enrolment import found_authority
from tests.office import JSON, PASSWORD, Office, open_office

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The API over SQLite, with time series that answer."""
    folder, series = tmp_path_factory.mktemp("office"), MemoryTimeseries(ZoneInfo("UTC"))
    with open_office(folder, f"sqlite:///{folder}/ledger.db", lambda: series) as office:
        found_authority(office.engine, office.settings, office.now())
        yield office


@pytest.fixture(scope="module")
def things(office: Office) -> JSON:
    """Things that are there, by the name of their path parameter."""
    organisation = office.organisation()
    room = office.room(organisation["id"])
    member = office.member(organisation["id"])
    credential = office.make("/credentials", member_id=member["id"])
    activity = office.activity(room["id"])
    account = office.make("/accounts", name="somebody", password=PASSWORD, role="viewer")
    return {
        "organisation_id": organisation["id"],
        "room_id": room["id"],
        "member_id": member["id"],
        "credential_id": credential["id"],
        "key_id": credential["key_id"],
        "activity_id": activity["id"],
        "terminal_id": office.terminal(room["id"])["terminal"]["id"],
        "account_id": account["id"],
        "start": f"{from_us(activity['starts_at']):%Y%m%dT%H%M%SZ}",
    }


description = schemathesis.openapi.from_dict(create_app(Settings(), engine=create_engine_for("sqlite://")).openapi())


@description.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_input_makes_a_server_error_or_an_undocumented_answer(case: Any, office: Office, things: JSON) -> None:
    headers = {"Authorization": f"Bearer {office.tokens[Role.ADMIN]}"}
    case.call_and_validate(base_url=office.url, headers=headers, checks=CHECKS)
    known = {name: things.get(name, value) for name, value in case.path_parameters.items()}
    if known != case.path_parameters:
        case.path_parameters = known
        case.call_and_validate(base_url=office.url, headers=headers | {"If-Match": '"1"'}, checks=CHECKS)


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_the_description_is_for_everybody(office: Office, role: Role | None) -> None:
    with office.client(role) as client:
        assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "Roomlink"
