"""A command's whole way through real parts: HTTP API, ledger, Mosquitto, the agent's process, its open page, and back."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from demo.world import Api
from tests.bench.page import Page, Snapshot
from tests.bench.service import Service, agent, service
from tests.process import HOST, Process, free_port, wait_until

TERMINAL = "kiosk-1"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("commands"), [TERMINAL], members=1) as running:
        yield running


@pytest.fixture(scope="module")
def api(town: Service) -> Iterator[Api]:
    api = town.api()
    yield api
    api.close()


@pytest.fixture(scope="module")
def page_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def kiosk(town: Service, page_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    config = town.write_kiosk(TERMINAL, tmp_path_factory.mktemp("kiosk"), {"page_port": page_port})
    hook = [sys.executable, "-c", f"import sys; open(sys.argv[1], 'wb').write({PNG!r})", "{file}"]
    config.write_text(f"screenshot_hook = {json.dumps(hook)}\n" + config.read_text())
    with agent(config) as process:
        assert wait_until(lambda: "is running" in process.log())
        yield process


def told(api: Api, name: str, **arguments: int) -> dict[str, Any]:
    """Ask for a command and follow it to its end."""
    asked = api.post(f"/terminals/{TERMINAL}/commands", name=name, arguments=arguments, lasts_s=300)
    path = f"/commands/{asked['id']}"
    assert wait_until(lambda: api.get(path)["settled_at"] is not None, 120), api.get(path)
    story: dict[str, Any] = api.get(path)
    return story


def presence(api: Api) -> str:
    return str(api.get(f"/terminals/{TERMINAL}")["presence"])


def words(story: dict[str, Any]) -> list[str]:
    return [each["state"] for each in story["words"]]


def test_identify_is_seen_on_the_kiosks_page_and_done_by_its_own_word(api: Api, kiosk: Process, page_port: int) -> None:
    seen: list[Snapshot] = []
    with Page(f"http://{HOST}:{page_port}", lambda snapshot: seen.append(snapshot["view"])) as page:
        assert wait_until(lambda: page.shown > 0)
        story = told(api, "identify", seconds=5)
        assert (story["state"], words(story)) == ("done", ["accepted", "running", "done"])
        view = next(view for view in seen if view["screen"] == "identify")
        assert (view["lines"]["zh"], view["sound"]) == (TERMINAL, "identify")
        assert wait_until(lambda: seen[-1]["screen"] == "waiting", 60)


def test_identify_that_nobody_would_see_fails_and_says_so(api: Api, kiosk: Process) -> None:
    assert wait_until(lambda: told(api, "identify")["reason"] == "not_possible", 60)


def test_self_test_says_what_it_found(api: Api, kiosk: Process) -> None:
    results = told(api, "self_test")["results"]
    assert results["disk"].startswith(("ok: ", "NOT WELL: "))
    assert results["cloud"].startswith("ok: ")


def test_sync_now_says_what_waits(api: Api, kiosk: Process) -> None:
    story = told(api, "sync_now")
    assert (story["state"], int(story["results"]["stored_through"]) > 0) == ("done", True)


def test_maintenance_is_shown_by_console_and_page_and_outlasts_a_restart(
    api: Api, kiosk: Process, page_port: int
) -> None:
    told(api, "enter_maintenance")
    assert wait_until(lambda: presence(api) == "maintenance", 60)
    told(api, "restart_agent")
    assert wait_until(lambda: presence(api) == "maintenance", 60)
    seen: list[Snapshot] = []
    with Page(f"http://{HOST}:{page_port}", lambda snapshot: seen.append(snapshot["view"])) as page:
        assert wait_until(lambda: page.shown > 0)
        assert seen[-1]["screen"] == "maintenance"
        assert told(api, "leave_maintenance")["results"] == {"maintenance": "off"}
        assert wait_until(lambda: seen[-1]["screen"] == "waiting", 60)
    assert wait_until(lambda: presence(api) == "online", 60)


def test_volume_reaches_the_page_and_is_reported_back(api: Api, kiosk: Process, page_port: int) -> None:
    volumes: list[int] = []
    with Page(f"http://{HOST}:{page_port}", lambda snapshot: volumes.append(snapshot["volume"])) as page:
        assert wait_until(lambda: page.shown > 0)
        assert told(api, "set_volume", volume=35)["results"] == {"volume": "35"}
        assert wait_until(lambda: volumes[-1] == 35, 60)
    assert wait_until(lambda: api.get(f"/terminals/{TERMINAL}")["reported"]["settings"]["volume"] == "35", 60)


def test_screenshot_is_taken_of_the_covered_page_and_sent_in(
    town: Service, api: Api, kiosk: Process, page_port: int
) -> None:
    covers: list[int] = []
    with Page(f"http://{HOST}:{page_port}", lambda snapshot: covers.append(snapshot.get("covered", 0))) as page:
        assert wait_until(lambda: page.shown > 0)
        story = told(api, "screenshot")
        assert (story["state"], story["results"]) == ("done", {"bytes": str(len(PNG))})
        assert wait_until(lambda: covers[-1] == 0)
        assert 1 in covers
    sent = api.get(f"/terminals/{TERMINAL}/uploads")["items"][0]
    assert (sent["command_id"], sent["kind"], sent["size"]) == (story["id"], "screenshot", len(PNG))


def test_logs_are_sent_in_without_the_password(town: Service, api: Api, kiosk: Process) -> None:
    story = told(api, "upload_logs", lines=100)
    assert (story["state"], int(story["results"]["lines"]) > 0) == ("done", True)
    headers = {"Authorization": f"Bearer {town.token}"}
    path = f"{town.cloud.url}/api/v1/terminals/{TERMINAL}/uploads/{story['id']}"
    text = httpx.get(path, headers=headers).raise_for_status().text
    assert "connected to" in text
    assert town.password_of(TERMINAL) not in text


def test_restarted_agent_says_that_it_is_done_and_goes_on(api: Api, kiosk: Process) -> None:
    story = told(api, "restart_agent")
    assert (story["state"], words(story)) == ("done", ["accepted", "running", "done"])
    assert told(api, "sync_now")["state"] == "done"


def test_reboot_without_a_hook_fails_and_says_so(api: Api, kiosk: Process) -> None:
    story = told(api, "reboot")
    assert (story["state"], story["reason"]) == ("failed", "not_possible")
