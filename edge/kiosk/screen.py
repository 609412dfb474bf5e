"""Serves the kiosk's page on loopback, and carries snapshots to it and touches back over a WebSocket.

Promises that only pages of this very address are spoken to (Host and Origin are checked), that a slow page gets the newest
snapshot and never a queue of old ones, and to know how many pages show what they were told, by their own answers. Called by
the app; `show` from any thread.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from edge.errors import SettingsError
from edge.kiosk import snapshot
from edge.kiosk.session import Touched
from edge.kiosk.views import Touch

log = logging.getLogger(__name__)

BEAT_S: Final = 2.0
HTTP_PORT: Final = 80  # browsers leave it out of the Host header (RFC 9110, section 7.2)
SILENT_S: Final = 10.0  # a page that says nothing for so long is taken for dead
REPLACED_S: Final = 10.0  # so long a page may go on showing a view that was replaced
MAX_PAGES: Final = 8
MAX_MESSAGE_BYTES: Final = 1024
PAGE_FOLDER: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _FromPage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Alive(_FromPage):
    type: Literal["alive"]
    view: Annotated[int, Field(ge=0)]
    covered: Annotated[int, Field(ge=0)] = 0


class _Touch(_FromPage):
    type: Literal["touch"]
    touch: Touch
    view: Annotated[int, Field(ge=0)]
    digits: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,12}$")] = ""


@dataclass(slots=True)
class _Page:
    """A page's connection: whether there is something new for it, when it was asked and when it last answered (monotonic)."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asked_s: float | None = None
    answered_s: float = float("-inf")
    took_s: float = 0.0


_MESSAGE: Final[TypeAdapter[_Alive | _Touch]] = TypeAdapter(Annotated[_Alive | _Touch, Field(discriminator="type")])


class Screen:
    """The page's server, on an event loop and a thread of its own. ``port`` 0 takes a free one."""

    def __init__(self, port: int, touched: Callable[[Touched], object], *, host: str = "127.0.0.1") -> None:
        self.port = port
        self._host, self._touched = host, touched
        _QUIET.setLevel(logging.CRITICAL)  # refused handshakes are answered; they are no news
        self._files = {f"/{file.name}": file for file in PAGE_FOLDER.iterdir() if file.suffix in _TYPES}
        self._files["/"] = PAGE_FOLDER / "index.html"
        self._pages: dict[ServerConnection, _Page] = {}
        self._snapshot: dict[str, Any] | None = None
        self._view: tuple[int | None, float] = (None, 0.0)
        self._covered = self._covers = 0
        self._said_covered: set[ServerConnection] = set()
        self._heard = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready, self._ended = threading.Event(), asyncio.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="screen", daemon=True)

    def start(self) -> None:
        """Listen; raises SettingsError where the port is taken."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise SettingsError(
                f"page_port: port {self.port} cannot be used ({self._failure.strerror}). "
                "Set another one, for example page_port = 8380."
            )

    def stop(self) -> None:
        """Close every page's connection and end."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def show(self, taken: dict[str, Any]) -> None:
        """Give every page the newest snapshot; one that has not yet sent the last one skips it."""
        self._snapshot = taken
        number = taken.get("view", {}).get("number")
        if number != self._view[0]:
            self._view = (number, time.monotonic())
        self._wake_pages()

    def cover(self, *, on: bool) -> None:
        """From now on every page, also one that is opened meanwhile, is given snapshots without anything about a visitor."""
        with self._heard:
            self._covers += on
            self._covered = self._covers if on else 0
            self._said_covered.clear()
        self._wake_pages()

    def is_covered(self, within_s: float) -> bool:
        """Whether every page has drawn a covered snapshot, in its own word; False where there is no page."""

        def all_said() -> bool:
            pages = set(self._pages)
            return bool(self._covered and pages) and pages <= self._said_covered

        with self._heard:
            return self._heard.wait_for(all_said, within_s)

    def _wake_pages(self) -> None:
        loop = self._loop
        if loop is not None and not self._ended.is_set():
            loop.call_soon_threadsafe(self._wake)

    @property
    def pages(self) -> int:
        """How many pages are connected; one that has only just been opened may not show anything yet."""
        return len(self._pages)

    @property
    def answering(self) -> int:
        """How many pages have said of late that they show the view in force, or the one that it has just replaced."""
        return len(self._answers())

    @property
    def answer_s(self) -> float | None:
        """How long the page that answered last took; None where none answers."""
        return max(self._answers(), default=(0.0, None))[1]

    def _answers(self) -> list[tuple[float, float | None]]:
        since_s = time.monotonic() - SILENT_S
        return [(page.answered_s, page.took_s) for page in list(self._pages.values()) if page.answered_s > since_s]

    # --- on the loop ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            async with serve(
                self._talk,
                self._host,
                self.port,
                process_request=self._answer,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=16,
                ping_interval=None,
                compression=None,
                server_header=None,
                logger=_QUIET,
            ) as server:
                self.port = _port_of(server)
                self._loop = asyncio.get_running_loop()
                self._ready.set()
                await self._ended.wait()
        except OSError as error:
            self._failure = error
            self._ready.set()

    def _wake(self) -> None:
        for page in self._pages.values():
            page.changed.set()

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        """An HTTP answer, or None where a WebSocket may begin."""
        names = ("127.0.0.1", "localhost", "[::1]")
        hosts = {f"{name}:{self.port}" for name in names} | (set(names) if self.port == HTTP_PORT else set())
        if request.headers.get("Host") not in hosts:  # a foreign name that was made to lead here (DNS rebinding)
            return _response(HTTPStatus.MISDIRECTED_REQUEST, b"This page is not served under that name.\n")
        path = request.path.partition("?")[0]
        if path == "/socket":
            if request.headers.get("Origin") not in {f"http://{host}" for host in hosts}:
                return _response(HTTPStatus.FORBIDDEN, b"Only the kiosk's own page may connect.\n")
            if len(self._pages) >= MAX_PAGES:
                return _response(HTTPStatus.SERVICE_UNAVAILABLE, b"Too many pages are open.\n")
            return None
        file = self._files.get(path)
        if file is None:
            return _response(HTTPStatus.NOT_FOUND, b"There is no such page.\n")
        return _response(HTTPStatus.OK, file.read_bytes(), _TYPES[file.suffix])

    async def _talk(self, connection: ServerConnection) -> None:
        page = self._pages[connection] = _Page()
        page.changed.set()
        telling = asyncio.create_task(self._tell(connection, page))
        try:
            await self._listen(connection, page)
        except (ConnectionClosed, TimeoutError):
            log.debug("a page is gone")
        finally:
            self._pages.pop(connection, None)
            self._said_covered.discard(connection)
            telling.cancel()

    async def _tell(self, connection: ServerConnection, page: _Page) -> None:
        """Send the newest snapshot after each change, and a beat where nothing changes. A page answers both."""
        try:
            while True:
                try:
                    await asyncio.wait_for(page.changed.wait(), BEAT_S)
                except TimeoutError:
                    page.asked_s = page.asked_s or time.monotonic()
                    await connection.send(_message("beat", {}))
                    continue
                page.changed.clear()
                page.asked_s = page.asked_s or time.monotonic()
                if self._snapshot is not None:
                    cover = self._covered
                    shown = snapshot.covered(self._snapshot, cover) if cover else self._snapshot
                    await connection.send(_message("show", shown))
        except ConnectionClosed:
            return

    def _answered(self, page: _Page, view: int) -> None:
        """A page says what it shows. One that goes on showing an old view has a fault, and is as good as away."""
        now_s = time.monotonic()
        number, since_s = self._view
        if number is None or view == number or now_s - since_s < REPLACED_S:
            page.answered_s, page.took_s = now_s, now_s - (page.asked_s or now_s)
            page.asked_s = None

    async def _listen(self, connection: ServerConnection, page: _Page) -> None:
        while True:
            async with asyncio.timeout(SILENT_S):
                received = await connection.recv()
            try:
                message = _MESSAGE.validate_json(received)
            except ValidationError as error:
                log.warning("a page said what no page says: %d errors", error.error_count())
                await connection.close(1008, "not understood")
                return
            if isinstance(message, _Touch):
                self._touched(Touched(message.touch, message.view, message.digits))
                continue
            self._answered(page, message.view)
            if message.covered:
                self._hear_covered(connection, message.covered)

    def _hear_covered(self, connection: ServerConnection, cover: int) -> None:
        """Of an earlier picture's cover it says nothing: that has been taken away since."""
        with self._heard:
            if cover == self._covered:
                self._said_covered.add(connection)
                self._heard.notify_all()


_QUIET: Final = logging.getLogger(f"{__name__}.websockets")


def _message(kind: str, fields: dict[str, Any]) -> str:
    """JSON; ``mono_ms`` is time.monotonic() at sending, against which a page reads deadlines."""
    return json.dumps({"type": kind, "mono_ms": round(time.monotonic() * 1000), **fields}, ensure_ascii=False)


def _port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


def _response(status: HTTPStatus, body: bytes, kind: str = "text/plain") -> Response:
    headers = Headers(_HEADERS)
    headers["Content-Type"] = f"{kind}; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
