"""A line in a process of its own: `python -m cloud.ingest.child FD`, started and fed by the process with the subscription.

Each group goes over a socket pair and its result comes back; at the socket's end the child ends. So several processors
store what one unshared subscription hears, without an address, a port or a secret between them.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from cloud.errors import Unavailable
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line, Result

END_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is told first. `url` holds the database's password: it goes over the socket, never on a command line."""

    url: str
    streams_per_day: int
    log_level: str
    log_format: str


class ChildLine:
    """A `Line` that runs in a child process; started by `open`, and again at the next group when it has died."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def open(self) -> None:
        """Start the child: its imports take a second."""
        with suppress(OSError):  # the first group tries again, and says why not
            self._connection = self._connection or self._start()

    def ingest(self, deliveries: Sequence[Delivery]) -> Result:
        """See `Line.ingest`. Unavailable, too, when the child died: what it had not committed is not stored."""
        try:
            connection = self._connection or self._start()
            connection.send(deliveries)
            result = connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise Unavailable("A process that stores records has ended.", retry_after_s=1) from error
        if isinstance(result, Result):
            return result
        raise Unavailable(result, retry_after_s=1) if isinstance(result, str) else result

    def close(self) -> None:
        """End the child."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            try:
                self._process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._connection = self._process = None

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "cloud.ingest.child", str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._connection = Connection(ours.detach())
        self._connection.send(self._task)
        return self._connection


def serve(connection: Connection) -> None:
    """Store group after group until the other end is gone."""
    from cloud.database import create_engine_for
    from cloud.ingest.running import calm_the_collector
    from cloud.logs import start_logging

    task: Task = connection.recv()
    start_logging(task.log_level, task.log_format)
    line = Line(create_engine_for(task.url), streams_per_day=task.streams_per_day)
    calm_the_collector()
    while True:
        try:
            deliveries = connection.recv()
        except (EOFError, ConnectionError):
            return
        connection.send(_ingest(line, deliveries))


def _ingest(line: Line, deliveries: Sequence[Delivery]) -> Result | str | Exception:
    try:
        return line.ingest(deliveries)
    except Unavailable as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - the process's outermost loop; the parent finds the delivery that did it
        return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the parent ends it, once what waits is stored
    serve(Connection(int(sys.argv[1])))
