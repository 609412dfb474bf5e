"""The console's one poller: what it asks of the database, and which pages it tells."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest
from nicegui.client import Client

from cloud.api import Cloud
from cloud.console import live as module
from cloud.console.live import Live
from cloud.errors import Unavailable
from cloud.overview.service import Pulse
from cloud.scope import EVERYWHERE


class OpenPage:
    """What the poller needs of NiceGUI's client."""

    has_socket_connection = True

    def __init__(self, name: str) -> None:
        self.id = name
        self.gone: list[Callable[[], Any]] = []

    def on_delete(self, handler: Callable[[], Any]) -> None:
        self.gone.append(handler)

    def __enter__(self) -> "OpenPage":
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        for handler in self.gone:
            handler()


class OneDatabase:
    """Counts how often it is read; may be away."""

    def __init__(self) -> None:
        self.reads = 0
        self.news = 0
        self.away = False

    def clock(self) -> datetime:
        return datetime.now(UTC)

    @contextmanager
    def reading(self) -> Iterator[None]:
        if self.away:
            raise Unavailable("The database does not answer.")
        yield

    def pulse(self, *_: object) -> Pulse:
        self.reads += 1
        return cast(Pulse, self.news)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    monkeypatch.setattr(module, "CHECK_SESSIONS_S", 1e9)
    monkeypatch.setattr(module, "BEAT_S", 1e9)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


@contextmanager
def following(database: OneDatabase, count: int) -> Iterator[tuple[Live, list[OpenPage], list[str]]]:
    live = Live(cast(Cloud, database), database.pulse)
    pages, told = [OpenPage(f"page-{number}") for number in range(count)], list[str]()
    for page in pages:
        live.follow(cast(Client, page), "cookie", EVERYWHERE, partial(told.append, page.id))
    yield live, pages, told


@pytest.mark.asyncio
async def test_many_pages_cost_one_reading_and_are_told_only_of_news() -> None:
    database = OneDatabase()
    with following(database, 20) as (live, _, told):
        live.start()
        await until(lambda: len(told) == 20)
        before = database.reads
        await until(lambda: database.reads > before + 3)
        assert len(told) == 20
        database.news += 1
        await until(lambda: len(told) == 40)
        await live.stop()


@pytest.mark.asyncio
async def test_nothing_is_read_once_the_last_page_is_closed() -> None:
    database = OneDatabase()
    with following(database, 2) as (live, pages, told):
        live.start()
        await until(lambda: len(told) == 2)
        for page in pages:
            page.close()
        assert live.pages == 0
        await until(lambda: live.resting)
        before = database.reads
        database.news += 1
        late = OpenPage("late")
        live.follow(cast(Client, late), "cookie", EVERYWHERE, lambda: told.append("late"))
        await until(lambda: "late" in told)
        assert database.reads > before
        await live.stop()


@pytest.mark.asyncio
async def test_a_database_that_is_away_is_marked_and_the_pages_are_told_when_it_is_back() -> None:
    database = OneDatabase()
    with following(database, 1) as (live, _, told):
        live.start()
        await until(lambda: len(told) == 1)
        database.away = True
        await until(lambda: live.failing and len(told) == 2)
        database.away = False
        await until(lambda: not live.failing)
        await until(lambda: len(told) == 3)
        await live.stop()


@pytest.mark.asyncio
async def test_one_pages_mistake_does_not_silence_the_others() -> None:
    database = OneDatabase()
    with following(database, 1) as (live, pages, told):
        broken = OpenPage("broken")
        broken.page = type("Page", (), {"path": "/broken"})  # type: ignore[attr-defined]

        def fail() -> None:
            raise ValueError("made by a test")

        live.follow(cast(Client, broken), "cookie", EVERYWHERE, fail)
        live.follow(cast(Client, pages[0]), "cookie", EVERYWHERE, lambda: told.append("later"))
        live.start()
        await until(lambda: "later" in told)
        await live.stop()


def test_pages_beyond_the_bound_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    with following(OneDatabase(), 5) as (live, _, _told):
        assert live.pages == 3


@pytest.mark.asyncio
async def test_a_page_that_is_opened_while_sessions_are_looked_up_is_not_led_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    led, asked, answer = list[str](), threading.Event(), threading.Event()

    def nobody(*_: object) -> None:
        asked.set()
        answer.wait(5)

    monkeypatch.setattr(module, "CHECK_SESSIONS_S", 0)
    monkeypatch.setattr("cloud.console.live.sessions.principal_of_session", nobody)
    monkeypatch.setattr("cloud.console.live.ui.navigate.to", led.append)
    with following(OneDatabase(), 1) as (live, _, _):
        live.start()
        await until(asked.is_set)
        live.follow(cast(Client, OpenPage("late")), "another cookie", EVERYWHERE, lambda: None)
        monkeypatch.setattr(module, "CHECK_SESSIONS_S", 1e9)
        answer.set()
        await until(lambda: led != [])
        await live.stop()
    assert led == ["/sign-in"]
