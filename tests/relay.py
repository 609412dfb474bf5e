"""A TCP relay between a client and a broker, which a test can make deaf and cut.

Bytes pass unread. Used by tests of links that hang.
"""

import contextlib
import socket
import threading
from typing import Self

from tests.process import HOST, free_port


class Relay:
    """Passes bytes between a terminal and a broker; while `deaf`, it drops them and leaves the connections open."""

    def __init__(self, to_port: int) -> None:
        self.deaf = threading.Event()
        self._to_port = to_port
        self._server = socket.create_server((HOST, free_port()))
        self.port: int = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = [self._server]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection((HOST, self._to_port))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._pass, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self.deaf.is_set():
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection, and hear again: the next one gets through."""
        for opened in self._sockets[1:]:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self.deaf.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        for thread in self._threads:
            thread.join()
