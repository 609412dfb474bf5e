"""Texts that no database can be asked for, in every place of an address: PostgreSQL takes no NUL.

Rows of docs/bad-input.md.
"""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.e2e.console_stack import serving
from tests.e2e.console_town import PASSWORD, Town, settle
from tests.ledgers import migrated
from tests.office import JSON, Office, etag
from tests.roles import PAGES

NUL: Final = "%00"
IN_QUERIES: Final = (
    "search", "q", "who", "subject", "organisation", "room", "version", "view", "sort", "kind", "profile", "presence",
    "state", "severity", "acknowledged", "day",
)  # fmt: skip
"""What the console's addresses may say; what a page does not ask for is passed over."""


def asked(office: Office) -> Iterator[tuple[str, str]]:
    """Each operation of the API, as method and address, once for each text of its path and its query, which is a NUL."""
    for path, operations in office.app.openapi()["paths"].items():
        for method, operation in operations.items():
            texts = [each for each in operation.get("parameters", []) if _is_text(each)]
            in_path = {each["name"]: NUL for each in texts if each["in"] == "path"}
            address = path.format_map({name: in_path.get(name, "1") for name in _names(operation, "path")})
            for name in [each["name"] for each in texts if each["in"] == "query"] or [""]:
                yield method, f"{address}?{name}={NUL}" if name else address


def _names(operation: JSON, place: str) -> list[str]:
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == place]


def _is_text(parameter: JSON) -> bool:
    schema = parameter["schema"]
    kinds = [schema, *schema.get("anyOf", [])]
    return any(each.get("type") in {"string", "array"} or "$ref" in each for each in kinds)


def test_no_operation_of_the_api_fails_over_a_nul_in_its_address(office: Office) -> None:
    with office.client() as client:
        answers = {
            (method, address): client.request(method, address, headers=etag(1)).status_code
            for method, address in asked(office)
        }
    assert len(answers) > 100
    assert {each: status for each, status in answers.items() if status >= 500} == {}


@pytest.mark.parametrize("path", ["/terminals", "/terminals/export"])
def test_a_version_with_a_control_character_is_refused_with_where(office: Office, path: str) -> None:
    with office.client() as client:
        for bad in ("\0", "1.4\n", "\x1b[2J"):
            answer = client.get(f"/api/v1{path}", params={"version": bad})
            assert answer.status_code == 422
            assert [each["where"] for each in answer.json()["faults"]] == ["query.version"]
        assert client.get(f"/api/v1{path}", params={"version": "v 2 & more?"}).status_code == 200


def test_no_form_that_asks_for_a_version_takes_a_control_character(office: Office) -> None:
    rule = {"name": "示例规则", "kind": "version", "everywhere": True}
    forms = {
        "/saved-views": {"name": "示例视图", "wanted": {"version": "1\0"}},
        "/command-bulks": {"name": "identify", "arguments": {}, "matching": {"version": "1\0"}},
        "/alarm-rules": {**rule, "wanted": "1\0"},
    }
    with office.client() as client:
        answers = {path: client.post(f"/api/v1{path}", json=form) for path, form in forms.items()}
        assert client.post("/api/v1/alarm-rules", json={**rule, "wanted": "1.4"}).status_code == 201
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(forms, 422)
    assert {answer.json()["faults"][0]["where"].rpartition(".")[2] for answer in answers.values()} == {
        "version", "wanted"
    }  # fmt: skip


@pytest.fixture(scope="module")
def console(postgres_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An admin's browser before the console over PostgreSQL."""
    engine = migrated(postgres_address)
    town: Town = settle(engine)
    with (
        serving(tmp_path_factory.mktemp("console"), postgres_address) as (url, _),
        httpx.Client(base_url=url, headers={"Origin": url}, timeout=60) as client,
    ):
        signed_in = client.post("/sign-in", data={"name": "admin", "password": PASSWORD})
        assert signed_in.status_code == 303
        yield client
    town.engine.dispose()


@pytest.fixture(scope="module")
def postgres_address(request: pytest.FixtureRequest) -> Iterator[str]:
    postgres = request.getfixturevalue("postgres")
    url: str = postgres.create_database()
    yield url
    postgres.drop_database(url.rpartition("/")[2])


def test_no_page_fails_over_a_nul_in_its_address(console: httpx.Client) -> None:
    query = "&".join(f"{name}={NUL}" for name in IN_QUERIES)
    answers = {}
    for page in PAGES:
        path = page
        while "{" in path:
            before, _, rest = path.partition("{")
            path = f"{before}{NUL}{rest.partition('}')[2]}"
        answers[page] = console.get(f"{path}?{query}").status_code
        answers[f"{page}?cursor"] = console.get(f"{path}?cursor={NUL}").status_code
    assert {answers[page] for page in ("/terminals", "/audit", "/search", "/members", "/rooms")} == {200}
    assert answers["/terminals/{terminal_id}"] == 404
    assert {page: status for page, status in answers.items() if status >= 500} == {}


def test_the_list_is_shown_without_a_version_that_nothing_can_have(console: httpx.Client) -> None:
    assert "kiosk-302-a" in console.get(f"/terminals?version={NUL}").text
    assert "kiosk-302-a" not in console.get("/terminals?version=nobodys").text


def test_a_nul_for_a_name_signs_nobody_in(console: httpx.Client) -> None:
    with httpx.Client(base_url=console.base_url, headers=console.headers) as stranger:
        assert stranger.post("/sign-in", data={"name": "\0", "password": "\0"}).status_code == 401
        body = {"name": "\0", "password": PASSWORD}
        assert stranger.post("/api/v1/session", json=body).status_code == 422
