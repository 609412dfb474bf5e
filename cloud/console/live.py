"""The one poller of a process: looks for news once a second while pages are open, and tells those pages.

Promises one set of queries per second and scope however many pages are open, none without any, and that a page whose
session has ended is led to the sign-in within seconds. Bound: MAX_PAGES; beyond, a page is not live.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from anyio import to_thread
from nicegui import ui
from nicegui.client import Client
from sqlalchemy.orm import Session

from cloud.accounts import sessions
from cloud.api import Cloud
from cloud.errors import CloudError
from cloud.overview.service import Pulse
from cloud.scope import Scope

EVERY_S = 1.0
CHECK_SESSIONS_S = 2.0
"""Before the gate cuts the socket of a session that has ended (cloud.guard.RECHECK_S), its page is led away."""
BEAT_S = 5.0
"""Without any news pages are told so often, so that the times and states they show stay true."""

MAX_PAGES = 500
"""Open pages that are kept live."""

Notice = Callable[[], Awaitable[None] | None]


@dataclass
class _Page:
    client: Client
    cookie: str
    scope: Scope
    notices: list[Notice] = field(default_factory=list)


Read = Callable[[Session, Scope, datetime], Pulse]


class Live:
    """What the open pages share: the newest pulse of each scope that somebody looks at."""

    def __init__(self, cloud: Cloud, read: Read) -> None:
        self._cloud = cloud
        self._read_pulse = read
        self._pages: dict[str, _Page] = {}
        self._task: asyncio.Task[None] | None = None
        self._pulses: dict[Scope, Pulse] = {}
        self._beat_at: datetime | None = None
        self._came = asyncio.Event()
        self.read_at: datetime | None = None
        self.failing = False

    def follow(self, client: Client, cookie: str, scope: Scope, notice: Notice) -> None:
        """Tell this page of news until it is deleted."""
        page = self._pages.get(client.id)
        if page is None:
            if len(self._pages) >= MAX_PAGES:
                return
            page = self._pages[client.id] = _Page(client, cookie, scope)
            client.on_delete(lambda: self._pages.pop(client.id, None))
        page.notices.append(notice)
        self._came.set()

    async def pulse(self, scope: Scope) -> Pulse:
        """The newest of the scope, read now when nobody has looked at it of late."""
        if self.failing and scope in self._pulses:
            return self._pulses[scope]
        now = self._cloud.clock()
        if scope not in self._pulses or self.read_at is None or (now - self.read_at).total_seconds() > 2 * EVERY_S:
            self._pulses[scope] = (await to_thread.run_sync(self._read, {scope}, now))[scope]
            self.read_at = now
        return self._pulses[scope]

    @property
    def pages(self) -> int:
        """How many pages are followed."""
        return len(self._pages)

    @property
    def resting(self) -> bool:
        """Whether it reads nothing, because no page is open."""
        return not self._pages and not self._came.is_set()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._came = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="console live")

    async def stop(self) -> None:
        """End, and wait for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        checked = 0.0
        loop = asyncio.get_running_loop()
        while True:
            if not self._pages:
                self._came.clear()
                await self._came.wait()
            await asyncio.sleep(EVERY_S)
            try:
                await self._look()
                if loop.time() - checked >= CHECK_SESSIONS_S:
                    checked = loop.time()
                    await self._turn_out_strangers()
            except CloudError as error:
                await self._failed(error)

    async def _look(self) -> None:
        now = self._cloud.clock()
        scopes = {page.scope for page in self._pages.values()}
        pulses = await to_thread.run_sync(self._read, scopes, now)
        beat = (now - self._beat_at).total_seconds() >= BEAT_S if self._beat_at else True
        changed = {scope for scope in scopes if beat or self.failing or pulses[scope] != self._pulses.get(scope)}
        self._pulses = pulses
        self._beat_at = now if beat else self._beat_at
        self.read_at, self.failing = now, False
        await self._tell(changed)

    def _read(self, scopes: set[Scope], now: datetime) -> dict[Scope, Pulse]:
        with self._cloud.reading() as session:
            return {scope: self._read_pulse(session, scope, now) for scope in scopes}

    async def _failed(self, error: CloudError) -> None:
        """Say so once, in the log and on the pages, which keep what they show."""
        if self.failing:
            return
        self.failing = True
        structlog.get_logger().warning("console_not_live", reason=error.sentence)
        await self._tell({page.scope for page in self._pages.values()})

    async def _tell(self, scopes: set[Scope]) -> None:
        for page in list(self._pages.values()):
            if page.scope in scopes and page.client.has_socket_connection:
                for notice in page.notices:
                    await self._notify(page.client, notice)

    async def _notify(self, client: Client, notice: Notice) -> None:
        try:
            with client:
                result = notice()
                if result is not None:
                    await result
        except CloudError as error:
            structlog.get_logger().warning("page_update_refused", path=client.page.path, reason=error.sentence)
        except Exception as error:  # noqa: BLE001  - one page's mistake must not silence the others
            structlog.get_logger().error("page_update_failed", path=client.page.path, exc_info=error)

    async def _turn_out_strangers(self) -> None:
        pages = list(self._pages.values())  # one that is opened while this asks was not asked for
        known = await to_thread.run_sync(self._signed_in, {page.cookie for page in pages})
        for page in pages:
            if page.cookie not in known:
                with page.client:
                    ui.navigate.to("/sign-in")

    def _signed_in(self, cookies: set[str]) -> set[str]:
        now = self._cloud.clock()
        with self._cloud.reading() as session:
            return {each for each in cookies if sessions.principal_of_session(session, each, now) is not None}
