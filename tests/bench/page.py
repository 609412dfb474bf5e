"""A page of the kiosk that is always open: speaks as page/*.js do, and notes when each result arrives."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

Snapshot = dict[str, Any]


class Page:
    """Open between `with` and its end; `results` are time.monotonic() when each result first came."""

    def __init__(self, url: str, react: Callable[[Snapshot], dict[str, Any] | None] = lambda _: None) -> None:
        self._url, self._react = url.rstrip("/"), react
        self.results: list[float] = []
        self.shown = 0
        self._stack = ExitStack()
        self._last_result = -1
        self._thread = threading.Thread(target=self._listen, name="page")

    def __enter__(self) -> Self:
        address = self._url.replace("http", "ws", 1) + "/socket"
        self._connection = self._stack.enter_context(connect(address, origin=Origin(self._url), compression=None))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        self._thread.join()

    def _listen(self) -> None:
        try:
            for received in self._connection:
                self._take(json.loads(received), time.monotonic())
        except ConnectionClosed:
            return

    def _take(self, message: Snapshot, now_s: float) -> None:
        if message["type"] == "show":
            self.shown += 1
            if message["view"]["screen"] == "result" and message["view"]["number"] != self._last_result:
                self._last_result = message["view"]["number"]
                self.results.append(now_s)
            told = self._react(message)
            if told is not None:
                self._connection.send(json.dumps({"type": "touch", "view": message["view"]["number"], **told}))
        view = message["view"]["number"] if message["type"] == "show" else 0
        covered = {"covered": message["covered"]} if message.get("covered") else {}
        self._connection.send(json.dumps({"type": "alive", "view": view, **covered}))
