"""A thread that does the same thing again and again, and survives what goes wrong.

Promises that a turn that fails is logged once, tried again with backoff, and named in `trouble` until one succeeds.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cloud.errors import CloudError
from cloud.timeseries.port import TimeseriesError

STOP_WITHIN_S: Final = 2.0
"""A turn that takes longer is left to the end of the process: every turn is a transaction that may be cut off."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0

log = structlog.get_logger(__name__)


class Loop:
    """Calls `turn`, which gives the seconds until it wants to be called again."""

    def __init__(self, name: str, turn: Callable[[], float]) -> None:
        self._name, self._turn = name, turn
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._pause_s = 0.0
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin at once."""
        self._thread.start()

    def wake(self) -> None:
        """The next turn now."""
        self._woken.set()

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Let the present turn end, and end."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._once())
            self._woken.clear()

    def _once(self) -> float:
        try:
            pause_s = self._turn()
        except (CloudError, SQLAlchemyError, TimeseriesError) as error:
            return self._failed(str(error.__cause__ or error), None)
        except Exception as error:  # noqa: BLE001 - the thread's outermost loop
            return self._failed(f"{type(error).__name__}: {error}", error)
        if self.trouble is not None:
            log.info("works_again", what=self._name)
        self.trouble, self._pause_s = None, 0.0
        return pause_s

    def _failed(self, why: str, error: Exception | None) -> float:
        if self.trouble is None or error is not None:
            log.warning("put_off", what=self._name, why=why, exc_info=error)
        self.trouble = f"{self._name}: {why}"
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        return self._pause_s
