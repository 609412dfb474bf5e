"""What terminals send in on a command: only what was asked for, by themselves, bounded in size, count and age."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from cloud.accounts.service import Role
from cloud.commands import uploads
from cloud.commands.models import Command
from cloud.commands.uploads import KEEP, KEPT, LOG_BYTES, MOST_BYTES
from cloud.database import transaction
from tests.office import JSON, Office

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def kiosk(office: Office) -> JSON:
    room = office.room(office.organisation()["id"])
    return office.terminal(room["id"])


def asked(office: Office, kiosk: JSON, name: str = "screenshot", *, state: str = "running") -> str:
    """A command that was given, and of which the terminal has said so much."""
    terminal = kiosk["terminal"]["id"]
    with office.client(Role.OPERATOR) as client:
        command = str(client.post(f"/api/v1/terminals/{terminal}/commands", json={"name": name}).json()["id"])
    if state != "queued":
        with transaction(office.engine) as session:
            given = update(Command).where(Command.id == command)
            session.execute(given.values(state=state, given_at=office.now()))
    return command


def path_of(kiosk: JSON, command: str = "") -> str:
    return f"/api/v1/terminals/{kiosk['terminal']['id']}/uploads/{command}".rstrip("/")


def send(office: Office, kiosk: JSON, command: str, content: bytes = PNG, **by: str) -> httpx.Response:
    auth = (str(by.get("name", kiosk["terminal"]["id"])), str(by.get("password", kiosk["password"])))
    with office.client(None) as client:
        return client.put(path_of(kiosk, command), content=content, auth=auth)


def listed(office: Office, kiosk: JSON) -> list[Mapping[str, Any]]:
    with office.client(Role.OPERATOR) as client:
        items: list[Mapping[str, Any]] = client.get(path_of(kiosk)).raise_for_status().json()["items"]
        return items


def test_screenshot_is_sent_in_once_and_seen_by_operators_only(office: Office, kiosk: JSON) -> None:
    command = asked(office, kiosk)
    assert send(office, kiosk, command).status_code == 204
    assert send(office, kiosk, command, PNG + b"again").status_code == 204
    (found,) = listed(office, kiosk)
    assert (found["kind"], found["media_type"], found["size"]) == ("screenshot", "image/png", len(PNG) + 5)
    assert found["expires_at"] - found["received_at"] == KEEP.total_seconds() * 1e6
    with office.client(Role.OPERATOR) as client:
        picture = client.get(path_of(kiosk, command))
    assert (picture.content, picture.headers["content-type"]) == (PNG + b"again", "image/png")
    assert (picture.headers["x-content-type-options"], "attachment" in str(picture.headers)) == ("nosniff", False)
    with office.client(Role.VIEWER) as client:
        assert client.get(path_of(kiosk, command)).status_code == 403


def test_logs_are_downloaded_as_a_file_whatever_they_look_like(office: Office, kiosk: JSON) -> None:
    command = asked(office, kiosk, "upload_logs")
    assert send(office, kiosk, command, b"<script>alert(1)</script>\n").status_code == 204
    with office.client(Role.OPERATOR) as client:
        log = client.get(path_of(kiosk, command))
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.headers["content-disposition"].startswith('attachment; filename="')


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("screenshot", b"<svg onload=alert(1)>", 422),
        ("screenshot", b"", 422),
        ("screenshot", PNG + bytes(MOST_BYTES), 413),
        ("upload_logs", b"\xff\xfe", 422),
        ("upload_logs", b"a\0b", 422),
        ("upload_logs", b"x" * (LOG_BYTES + 1), 413),
    ],
)
def test_what_it_is_not_or_is_too_large_is_refused(
    office: Office, kiosk: JSON, name: str, content: bytes, status: int
) -> None:
    answer = send(office, kiosk, asked(office, kiosk, name), content)
    assert (answer.status_code, listed(office, kiosk)) == (status, [])
    assert answer.json()["detail"]


@pytest.mark.parametrize("state", ["queued", "done", "failed", "expired", "cancelled"])
def test_what_was_not_given_or_has_ended_takes_nothing_in(office: Office, kiosk: JSON, state: str) -> None:
    assert send(office, kiosk, asked(office, kiosk, state=state)).status_code == 409
    assert listed(office, kiosk) == []


def test_nothing_is_taken_in_that_was_not_asked_of_this_terminal(office: Office, kiosk: JSON) -> None:
    other = office.terminal(kiosk["terminal"]["room_id"])
    command = asked(office, kiosk)
    assert send(office, other, command).status_code == 404
    assert send(office, kiosk, command, password="wrong").status_code == 401
    there = {"name": other["terminal"]["id"], "password": other["password"]}
    assert send(office, kiosk, command, **there).status_code == 403
    assert send(office, kiosk, asked(office, kiosk, "sync_now")).status_code == 404
    assert send(office, kiosk, "00000000-0000-4000-8000-000000000000").status_code == 404
    assert listed(office, kiosk) == []


def test_body_of_who_is_not_the_terminal_is_never_written_to_the_disk(office: Office, kiosk: JSON) -> None:
    folder, command = office.settings.data_dir / "uploads", asked(office, kiosk)
    shutil.rmtree(folder, ignore_errors=True)
    assert send(office, kiosk, command, bytes(MOST_BYTES), password="wrong").status_code == 401
    assert not folder.exists()
    assert send(office, kiosk, command).status_code == 204
    assert folder.exists()


def test_the_newest_of_each_kind_stay_and_each_for_a_week_only(office: Office, kiosk: JSON) -> None:
    commands = [asked(office, kiosk) for _ in range(KEPT + 2)]
    for command in commands:
        send(office, kiosk, command)
    log = asked(office, kiosk, "upload_logs")
    send(office, kiosk, log, b"a line\n")
    assert {each["command_id"] for each in listed(office, kiosk)} == {*commands[-KEPT:], log}
    with transaction(office.engine) as session:
        uploads.sweep(session, office.now() + KEEP + timedelta(seconds=1))
    assert listed(office, kiosk) == []


def test_there_is_a_bound_over_all_terminals(office: Office, kiosk: JSON, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_IN_ALL", 3)
    others = [office.terminal(kiosk["terminal"]["room_id"]) for _ in range(4)]
    for each in others:
        send(office, each, asked(office, each))
    assert [len(listed(office, each)) for each in others] == [0, 1, 1, 1]
