"""Gives the kiosks commands all the time, as an operator's program would, and notes which the cloud has taken.

A thread of the harness, over the HTTP API; while the cloud is away nothing is asked.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from demo.world import Api, WorldError
from tests.faults.command_evidence import Asked

NAMES: Final = ("identify",) * 5 + ("sync_now",) * 5 + ("self_test",) * 2 + ("restart_agent",)
LASTS_S: Final = (10, 15, 20)
PAUSE_S: Final = (0.3, 1.5)


class Commander:
    """``asked`` is what was answered with 201; what was taken without an answer stands in the ledger alone."""

    def __init__(self, api: Callable[[], Api], kiosks: Sequence[str], seed: int) -> None:
        self.asked: list[Asked] = []
        self._api, self._kiosks, self._chance = api, kiosks, random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commander", daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        api = self._api()
        while not self._stopping.wait(self._chance.uniform(*PAUSE_S)):
            kiosk, name = self._chance.choice(self._kiosks), self._chance.choice(NAMES)
            try:
                made = api.post(f"/terminals/{kiosk}/commands", name=name, lasts_s=self._chance.choice(LASTS_S))
            except (httpx.HTTPError, WorldError):
                continue  # the cloud is away, or the kiosk is shut out
            self.asked.append(Asked(made["id"], kiosk, name, time.time_ns() // 1000))
        api.close()
