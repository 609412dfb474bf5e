"""The thread that serves the links of one process: one of an agent, many of a fleet.

Promises to wait on sockets and deadlines only, never to poll, and never to block whoever appends to an outbox.
Started and stopped by the command line and by edge/fleet.py.
"""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.link import Link

log = logging.getLogger(__name__)

FAREWELL_WITHIN_S: Final = 2.0
"""How long the broker may take to answer a farewell: a network that is gone holds up no stop for longer."""
LEAVE_WITHIN_S: Final = 0.5
AT_ONCE: Final = 16
"""Links served in one turn, the longest due first: each that connects holds up the thread for its handshake, and what the broker
has answered to the others must be read before they give up."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """``since_s``: monotonic time of the connection. ``sending``: records that wait for their answer. ``problem``: a sentence.
    ``answer_s``: how long the cloud took to answer the last batch that was sent once."""

    connected: bool
    since_s: float | None
    sending: int
    problem: str | None
    answer_s: float | None = None


class Links:
    """A thread over the sockets of its links."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = list(links)
        self._due_s = dict.fromkeys(self._links, time.monotonic())
        self._watched: dict[Link, int] = {}
        self._calls: socket.socket | None = None
        self._woken: set[Link] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._farewell: str = "stopped"
        self._thread = threading.Thread(target=self._serve, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._selector = selectors.DefaultSelector()
        self._hears, self._calls = socket.socketpair()
        self._hears.setblocking(False)
        self._calls.setblocking(False)
        self._selector.register(self._hears, selectors.EVENT_READ, None)
        self._thread.start()

    def stop(self, reason: str = "stopped") -> None:
        """Say farewell, disconnect, and return when the thread has ended."""
        self._farewell = reason
        self._stopping.set()
        self._call()
        self._thread.join(FAREWELL_WITHIN_S + LEAVE_WITHIN_S + 15.0)
        self._selector.close()
        self._hears.close()
        if self._calls is not None:
            self._calls.close()

    def wake(self, link: Link) -> None:
        """There is something new in this link's outbox; callable from any thread, returns at once."""
        with self._lock:
            if link in self._woken:
                return
            self._woken.add(link)
        self._call()

    def status(self, link: Link | None = None) -> LinkStatus:
        """How one link stands (the first, if none is named)."""
        of = link or self._links[0]
        return LinkStatus(of.is_connected, of.since_s, of.uplink.in_flight, of.uplink.problem, of.uplink.answer_s)

    def _call(self) -> None:
        if self._calls is not None:  # before the start, what is due is found when it comes
            with contextlib.suppress(BlockingIOError, OSError):  # full: the thread wakes anyway; closed: it has ended
                self._calls.send(b"\0")

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn()
            self._say_farewell()
        finally:
            for link in self._links:
                self._forget(link)
                link.close()

    def _turn(self) -> None:
        now_s = time.monotonic()
        for link in self._take_due(now_s):
            self._due_s[link] = self._tick(link, now_s)
            self._watch(link)
        wait_s = max(0.0, min(self._due_s.values()) - time.monotonic())
        for key, events in self._selector.select(min(wait_s, 1.0)):
            self._ready(key.data, events)

    def _tick(self, link: Link, now_s: float) -> float:
        try:
            return link.tick(now_s)
        except Exception:  # the thread's outermost loop: a connection is lost, not the uplink
            log.exception("a connection ended by an error that nobody foresaw")
            link.fail(now_s)
            return now_s + 1.0

    def _take_due(self, now_s: float) -> list[Link]:
        with self._lock:
            woken, self._woken = self._woken, set()
        for link in woken:
            link.uplink.appended()
            self._due_s[link] = min(self._due_s[link], now_s)
        due = [link for link in self._links if self._due_s[link] <= now_s]
        return sorted(due, key=self._due_s.__getitem__)[:AT_ONCE]

    def _ready(self, link: Link | None, events: int) -> None:
        if link is None:
            with contextlib.suppress(BlockingIOError):
                self._hears.recv(4096)
            return
        self._due_s[link] = 0.0
        try:
            link.ready(readable=bool(events & selectors.EVENT_READ), writable=bool(events & selectors.EVENT_WRITE))
        except Exception:  # as in `_tick`: what a broker sends is read by a library that does not foresee all of it
            log.exception("a connection ended by an error that nobody foresaw")
            link.fail(time.monotonic())

    def _watch(self, link: Link) -> None:
        """Watch the link's present socket, for writing only while something waits to be written."""
        descriptor = link.fileno()
        if self._watched.get(link) != descriptor:
            self._forget(link)
        if descriptor is None:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
        if link not in self._watched:
            self._selector.register(descriptor, events, link)
            self._watched[link] = descriptor
        elif self._selector.get_key(descriptor).events != events:
            self._selector.modify(descriptor, events, link)

    def _forget(self, link: Link) -> None:
        descriptor = self._watched.pop(link, None)
        if descriptor is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(descriptor)

    def _say_farewell(self) -> None:
        for link in self._links:
            link.farewell(self._farewell)
        self._let_go(FAREWELL_WITHIN_S)
        for link in self._links:
            link.leave()
        self._let_go(LEAVE_WITHIN_S)

    def _let_go(self, within_s: float) -> None:
        """Serve the sockets until all links are gone, no longer than that."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s and not all(link.is_gone for link in self._links):
            for link in self._links:
                self._watch(link)
            for key, events in self._selector.select(0.1):
                self._ready(key.data, events)
