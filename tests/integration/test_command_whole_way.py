"""A command's whole way through real parts: HTTP API, ledger, Mosquitto, the agent's process, its open page, and back."""

from collections.abc import Iterator
from typing import Any

import pytest

from demo.world import Api
from tests.bench.page import Page, Snapshot
from tests.bench.service import Service, agent, service
from tests.process import HOST, Process, free_port, wait_until

TERMINAL = "kiosk-1"


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


def test_restarted_agent_says_that_it_is_done_and_goes_on(api: Api, kiosk: Process) -> None:
    story = told(api, "restart_agent")
    assert (story["state"], words(story)) == ("done", ["accepted", "running", "done"])
    assert told(api, "sync_now")["state"] == "done"


def test_reboot_without_a_hook_fails_and_says_so(api: Api, kiosk: Process) -> None:
    story = told(api, "reboot")
    assert (story["state"], story["reason"]) == ("failed", "not_possible")
