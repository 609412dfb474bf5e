"""Settings over HTTP: judged by the terminal's profile, merged from templates in their order, edited in the version read."""

from datetime import timedelta

import pytest

from cloud.accounts.service import Role
from cloud.clock import to_us
from cloud.database import transaction
from cloud.terminals.models import Terminal
from cloud.terminals.twin import has_due, renew_twins
from firmware_specs.fields import MAX_TWIN_BYTES
from firmware_specs.messages import Desired
from firmware_specs.wire import decode
from tests.office import JSON, Office, etag

EPOCH = 1_000


def renew(office: Office, limit: int = 100) -> dict[str, Desired]:
    """Make all twins that are due; the new ones by terminal."""
    made: dict[str, Desired] = {}
    more = True
    while more:
        twins = renew_twins(office.engine, EPOCH, office.now(), limit)
        assert len(twins) <= limit
        with transaction(office.engine, read_only=True) as session:
            more = has_due(session, EPOCH, office.now())
        made |= {twin.terminal_id: decode("twin", Desired, twin.document.encode(), MAX_TWIN_BYTES) for twin in twins}
    return made


def template(office: Office, **form: object) -> JSON:
    return office.make("/templates", **form)


def effective(office: Office, terminal_id: str) -> dict[str, tuple[object, str, str | None]]:
    """Each setting's value, source and place."""
    with office.client(Role.VIEWER) as client:
        shown = client.get(f"/api/v1/terminals/{terminal_id}/settings").raise_for_status().json()["settings"]
    return {name: (each["value"], each["source"], each["place"]) for name, each in shown.items()}


@pytest.fixture
def places(office: Office) -> JSON:
    """A root, a branch below it with a room, and a kiosk in that."""
    root = office.organisation()
    branch = office.organisation(parent_id=root["id"])
    room = office.room(branch["id"])
    kiosk = office.terminal(room["id"])["terminal"]["id"]
    return {"root": root["id"], "branch": branch["id"], "room": room["id"], "kiosk": kiosk}


WRONG = [
    ({"language": "fr"}, "language", "must be one of zh, en, and is fr"),
    ({"health_every_s": 4}, "health_every_s", "must be 5 to 86400 s, and is 4"),
    ({"resend_timeout_s": 601}, "resend_timeout_s", "must be 1 to 600 s, and is 601"),
    ({"health_every_s": "30"}, "health_every_s", "must be 5 to 86400 s, and is 30"),
    ({"volume": 3}, "volume", "there is no such setting; there are health_every_s, language, resend_timeout_s"),
]


@pytest.mark.parametrize(("settings", "name", "says"), WRONG)
def test_setting_that_its_profile_does_not_take_is_refused_with_what_is_allowed(
    office: Office, places: JSON, settings: JSON, name: str, says: str
) -> None:
    fault = {"where": f"body.settings.{name}", "says": says}
    path = f"/api/v1/terminals/{places['kiosk']}"
    body = {"room_id": places["room"], "settings": settings}
    with office.client(Role.OPERATOR) as client:
        answers = [
            client.put(path, json=body, headers=etag(1)),
            client.post("/api/v1/templates", json={"kind": "kiosk", "settings": settings}),
            client.post("/api/v1/templates", json={"room_id": places["room"], "settings": settings}),
        ]
        assert client.get(path).json()["settings"] == {}
    for answer in answers:
        assert (answer.status_code, answer.json()["faults"]) == (422, [fault])


def test_profile_that_there_is_not_is_refused_with_those_there_are(office: Office) -> None:
    with office.client() as client:
        answer = client.post("/api/v1/terminals", json={"id": "kiosk-profile", "profile": "toaster"})
    assert answer.status_code == 422
    assert answer.json()["faults"] == [
        {"where": "body.profile", "says": "there is no such profile; there are kiosk, tv"}
    ]


def test_later_layers_outdo_earlier_ones_and_each_value_says_whence(office: Office, places: JSON) -> None:
    kiosk = places["kiosk"]
    default = (60.0, "default", None)
    assert effective(office, kiosk)["health_every_s"] == default
    steps: list[tuple[JSON, str]] = [
        ({"kind": "kiosk"}, ""),
        ({"organisation_id": places["root"]}, places["root"]),
        ({"organisation_id": places["root"], "kind": "kiosk"}, places["root"]),
        ({"organisation_id": places["branch"]}, places["branch"]),
        ({"room_id": places["room"]}, places["room"]),
    ]
    made = []
    for number, (place, of) in enumerate(steps, 1):
        made.append(template(office, settings={"health_every_s": 100 + number}, **place))
        assert effective(office, kiosk)["health_every_s"] == (100 + number, "template", of)
    template(office, room_id=places["room"], kind="tv", settings={"health_every_s": 999})
    assert effective(office, kiosk)["health_every_s"][0] == 105
    body = {"room_id": places["room"], "settings": {"health_every_s": 30}}
    with office.client() as client:
        assert client.put(f"/api/v1/terminals/{kiosk}", json=body, headers=etag(1)).status_code == 200
        assert effective(office, kiosk)["health_every_s"] == (30.0, "own", None)
        assert renew(office)[kiosk].health_every_s == 30
        client.put(f"/api/v1/terminals/{kiosk}", json=body | {"settings": {}}, headers=etag(2)).raise_for_status()
        for each in reversed(made):
            client.delete(f"/api/v1/templates/{each['id']}", headers=etag(1)).raise_for_status()
    assert effective(office, kiosk)["health_every_s"] == default
    renew(office)


def test_changed_template_gives_new_twins_to_those_it_concerns_a_few_at_a_time(office: Office, places: JSON) -> None:
    inside = {office.terminal(places["room"])["terminal"]["id"] for _ in range(4)} | {places["kiosk"]}
    outside = office.terminal(office.room(office.organisation()["id"])["id"])["terminal"]["id"]
    renew(office)
    made = template(office, organisation_id=places["root"], settings={"language": "en"})
    twins = renew(office, limit=2)
    assert set(twins) == inside
    assert {twin.language for twin in twins.values()} == {"en"}
    with office.client() as client:
        body = {"settings": {"language": "zh", "resend_timeout_s": 5}}
        assert client.put(f"/api/v1/templates/{made['id']}", json=body, headers=etag(2)).status_code == 412
        assert client.put(f"/api/v1/templates/{made['id']}", json=body, headers=etag(1)).status_code == 200
    again = renew(office, limit=2)
    assert set(again) == inside
    assert outside not in again
    assert min(twin.version for twin in again.values()) > max(twin.version for twin in twins.values())


def test_place_and_kind_has_one_template_within_the_callers_scope(office: Office, places: JSON) -> None:
    form = {"room_id": places["room"], "settings": {"language": "en"}}
    made = template(office, **form)
    with office.client(Role.OPERATOR) as client:
        assert client.post("/api/v1/templates", json=form).status_code == 409
        assert client.post("/api/v1/templates", json=form | {"organisation_id": places["root"]}).status_code == 422
        assert client.post("/api/v1/templates", json=form | {"room_id": f"rm_{0:016x}"}).status_code == 404
        assert client.post("/api/v1/templates", json=form | {"settings": {}}).status_code == 422
        listed = client.get("/api/v1/templates", params={"limit": 200}).json()["items"]
        assert made["id"] in {each["id"] for each in listed}
        assert client.get(f"/api/v1/templates/{made['id']}").json()["settings"] == {"language": "en"}


def test_twin_says_since_when_the_terminal_is_without_it(office: Office, places: JSON) -> None:
    renew(office)
    with office.client() as client:
        shown = client.get(f"/api/v1/terminals/{places['kiosk']}/twin").json()
    assert shown["differs_since"] is None, "it never reported: nothing is known"


def says(office: Office, terminal_id: str, version: tuple[int, int], *, applied: bool) -> None:
    """What the terminal would report."""
    with transaction(office.engine) as session:
        row = session.get_one(Terminal, terminal_id)
        row.reported = {"v": 1, "version": list(version), "applied": applied, "problems": [], "settings": {}}


def differs_since(office: Office, terminal_id: str) -> int | None:
    with office.client() as client:
        since: int | None = client.get(f"/api/v1/terminals/{terminal_id}/twin").json()["differs_since"]
    return since


def test_difference_is_counted_from_the_first_twin_that_the_terminal_lacks(office: Office, places: JSON) -> None:
    kiosk = places["kiosk"]
    first = renew(office)[kiosk].version
    says(office, kiosk, first, applied=True)
    assert differs_since(office, kiosk) is None
    made, office.shift = office.now(), timedelta(minutes=5)
    office.make("/templates", room_id=places["room"], settings={"health_every_s": 31})
    second = renew(office)[kiosk].version
    since = differs_since(office, kiosk)
    assert since is not None
    assert since > to_us(made)
    office.shift = timedelta(minutes=9)
    office.make("/templates", room_id=places["room"], kind="kiosk", settings={"health_every_s": 32})
    third = renew(office)[kiosk].version
    assert differs_since(office, kiosk) == since
    says(office, kiosk, second, applied=True)
    assert (differs_since(office, kiosk) or 0) > since
    says(office, kiosk, third, applied=False)
    assert (differs_since(office, kiosk) or 0) > since
    says(office, kiosk, third, applied=True)
    assert differs_since(office, kiosk) is None
    office.shift = timedelta(0)
