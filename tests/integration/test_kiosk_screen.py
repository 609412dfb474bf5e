"""The kiosk's page server over real sockets: who may speak to it, and what a slow or dead page costs."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edge.errors import SettingsError
from edge.kiosk import screen as module
from edge.kiosk.screen import MAX_PAGES, Screen
from edge.kiosk.session import Touched
from edge.kiosk.views import Touch
from tests.process import wait_until


@pytest.fixture
def touched() -> list[Touched]:
    return []


@pytest.fixture
def screen(touched: list[Touched]) -> Iterator[Screen]:
    screen = Screen(0, touched.append)
    screen.start()
    yield screen
    screen.stop()


def fetch(screen: Screen, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", screen.port, timeout=5)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{screen.port}"})
    response = connection.getresponse()
    found = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return found


def open_page(screen: Screen, origin: str | None = None) -> ClientConnection:
    address = f"127.0.0.1:{screen.port}"
    return connect(f"ws://{address}/socket", additional_headers={"Origin": origin or f"http://{address}"}, proxy=None)


def receive(page: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(page.recv(timeout=10))
    return message


def test_page_and_its_parts_are_served_with_a_tight_policy(screen: Screen) -> None:
    status, headers, body = fetch(screen, "/")
    assert status == 200
    assert body.startswith(b"<!doctype html>")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    for name in ("kiosk.js", "tokens.css"):
        assert fetch(screen, f"/{name}?v=1")[0] == 200
    assert fetch(screen, "/kiosk.js")[1]["content-type"] == "text/javascript; charset=utf-8"


def says(page: ClientConnection, **more: Any) -> None:
    page.send(json.dumps({"type": "alive", "view": 1, **more}))


def test_page_is_covered_once_every_open_page_has_said_so_of_this_cover(screen: Screen) -> None:
    result = {"view": {"screen": "result", "number": 1, "title": {"zh": "签到成功", "en": ""}, "captured_ms": 7}}
    screen.show(result)
    screen.cover(on=True)
    assert not screen.is_covered(0.1)  # nobody is there who could say so
    with open_page(screen) as first, open_page(screen) as second:
        assert wait_until(lambda: screen.pages == 2)
        given = [receive(page) for page in (first, second)]
        assert [each["covered"] for each in given] == [1, 1]
        assert all("签到成功" not in json.dumps(each, ensure_ascii=False) for each in given)
        says(first, covered=1)
        says(second)
        assert not screen.is_covered(0.3)
        says(second, covered=1)
        assert screen.is_covered(10)
        screen.cover(on=False)
        assert wait_until(lambda: "签到成功" in json.dumps(receive(first), ensure_ascii=False))
        screen.cover(on=True)
        says(first, covered=1)  # of the picture before
        says(second, covered=1)
        assert not screen.is_covered(0.3)


@pytest.mark.parametrize("path", ["/../screen.py", "/%2e%2e/screen.py", "/page/index.html", "/etc/passwd", "//"])
def test_nothing_beside_the_page_is_served(screen: Screen, path: str) -> None:
    assert fetch(screen, path)[0] == 404


@pytest.mark.parametrize("host", ["kiosk.example.org", "127.0.0.1", "example.org:80", "127.0.0.1.example.org:{port}"])
def test_foreign_host_name_is_misdirected(screen: Screen, host: str) -> None:
    assert fetch(screen, "/", host.format(port=screen.port))[0] == 421


@pytest.mark.parametrize("origin", ["http://example.org", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_socket_is_closed_to_pages_of_other_origins(screen: Screen, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, open_page(screen, origin.format(port=screen.port)):
        pass
    assert refused.value.response.status_code == 403


def test_socket_is_closed_to_clients_without_an_origin(screen: Screen) -> None:
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{screen.port}/socket", proxy=None):
        pass


def test_new_page_gets_the_snapshot_in_force_and_then_each_change(screen: Screen) -> None:
    screen.show({"n": 1})
    with open_page(screen) as page:
        assert receive(page)["n"] == 1
        screen.show({"n": 2})
        assert receive(page)["n"] == 2
        assert screen.pages == 1
    assert wait_until(lambda: screen.pages == 0)


def test_all_pages_see_the_same_and_there_are_not_too_many(screen: Screen) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(open_page(screen)) for _ in range(MAX_PAGES)]
        assert wait_until(lambda: screen.pages == MAX_PAGES)
        with pytest.raises(InvalidStatus) as refused:
            stack.enter_context(open_page(screen))
        assert refused.value.response.status_code == 503
        screen.show({"n": 7})
        assert [receive(page)["n"] for page in pages] == [7] * MAX_PAGES


def test_touch_comes_back_and_a_beat_keeps_the_page_alive(screen: Screen, touched: list[Touched]) -> None:
    with open_page(screen) as page:
        page.send('{"type":"touch","touch":"number","view":3,"digits":"123456789012"}')
        assert receive(page)["type"] == "beat"
        page.send('{"type":"alive","view":3}')
        assert wait_until(lambda: bool(touched))
    assert touched == [Touched(Touch.NUMBER, 3, "123456789012")]


@pytest.mark.parametrize(
    "message",
    ["", "x", "[]", '{"type":"touch"}', '{"type":"scan","text":"RL1:"}', '{"type":"touch","touch":"pin","view":1,"digits":"a"}',
     '{"type":"touch","touch":"back","view":-1}', "9" * 2000, b"\xff"],
)  # fmt: skip
def test_page_that_says_nonsense_is_closed(screen: Screen, touched: list[Touched], message: str | bytes) -> None:
    with open_page(screen) as page:
        page.send(message)
        with pytest.raises(ConnectionClosed):
            page.recv(timeout=10)
    assert touched == []


def test_silent_page_is_taken_for_dead(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.2)
    with open_page(screen):
        assert wait_until(lambda: screen.pages == 1)
        assert wait_until(lambda: screen.pages == 0)


def view(number: int) -> dict[str, object]:
    return {"n": number, "view": {"number": number}}


def test_page_answers_by_its_own_word_and_not_by_an_open_socket(screen: Screen) -> None:
    screen.show(view(3))
    with open_page(screen) as page:
        assert receive(page)["n"] == 3
        assert (screen.pages, screen.answering, screen.answer_s) == (1, 0, None)
        page.send('{"type":"alive","view":3}')
        assert wait_until(lambda: screen.answering == 1)
        assert screen.answer_s is not None
        assert 0 <= screen.answer_s < 10
    assert wait_until(lambda: screen.answering == 0)


def test_page_that_goes_on_showing_an_old_view_does_not_answer(
    screen: Screen, touched: list[Touched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLACED_S", 0.0)
    screen.show(view(4))
    with open_page(screen) as page:
        page.send('{"type":"alive","view":3}')
        page.send('{"type":"touch","touch":"screen","view":3}')
        assert wait_until(lambda: bool(touched))
        assert screen.answering == 0
        page.send('{"type":"alive","view":4}')
        assert wait_until(lambda: screen.answering == 1)


def test_page_that_reads_nothing_gets_the_newest_and_no_queue(screen: Screen) -> None:
    big = "x" * 200_000
    with open_page(screen) as page:
        assert wait_until(lambda: screen.pages == 1)
        for number in range(500):
            screen.show({"n": number, "big": big})
        received = [receive(page)["n"]]
        while received[-1] != 499:
            received.append(receive(page)["n"])
        assert len(received) < 100


def test_taken_port_is_one_sentence_with_the_setting(screen: Screen) -> None:
    with pytest.raises(SettingsError, match=r"page_port.*page_port = "):
        Screen(screen.port, lambda _: None).start()
