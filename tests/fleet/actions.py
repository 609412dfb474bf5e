"""What an operator does meanwhile: real requests of a signed-in session, one after the other, each with its time.

A page of the console here is its HTML from the service, without a browser. A thread of the driver.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles

import httpx

from tests.fleet.service import ACCOUNT, Service

PAUSE_S = 0.5
GETS = (
    "/",
    "/terminals",
    "/terminals/{terminal}",
    "/api/v1/terminals?limit=100",
    "/api/v1/terminals?limit=50&presence=offline",
    "/api/v1/terminals/{terminal}",
    "/api/v1/streams?terminal_id={terminal}",
    "/api/v1/check-ins?limit=50",
)
COMMAND = "/api/v1/terminals/{terminal}/commands"


@dataclass
class Actions:
    """Starts with `start`; `stop` ends it. Bounded by the time that it runs: two a second."""

    service: Service
    terminals: Sequence[str]
    took_ms: dict[str, list[float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    def start(self) -> None:
        """Sign in and go on."""
        self._thread.start()

    def stop(self) -> None:
        """After the present action."""
        self._stopping.set()
        self._thread.join()

    def figures(self) -> dict[str, float]:
        """Over all actions, milliseconds."""
        everything = sorted(each for times in self.took_ms.values() for each in times)
        if len(everything) < 2:
            return {"p50": 0.0, "p95": 0.0, "max": 0.0, "actions": len(everything)}
        cuts = quantiles(everything, n=100, method="inclusive")
        figures = {"p50": cuts[49], "p95": cuts[94], "max": everything[-1]}
        return {name: round(each, 1) for name, each in figures.items()} | {"actions": len(everything)}

    def by_action(self) -> dict[str, float]:
        """The 95th percentile of each, milliseconds."""
        return {
            name: round(quantiles(times, n=20, method="inclusive")[18], 1)
            for name, times in self.took_ms.items()
            if len(times) > 1
        }

    def _run(self) -> None:
        headers = {"Origin": self.service.cloud.url}  # as a browser sends it with whatever changes something
        with httpx.Client(base_url=self.service.cloud.url, headers=headers, timeout=30) as client:
            signed = {"name": ACCOUNT, "password": self.service.password}
            client.post("/api/v1/session", json=signed).raise_for_status()
            number = 0
            while not self._stopping.wait(PAUSE_S):
                terminal = self.terminals[number * 7 % len(self.terminals)]
                self._act(client, number % (len(GETS) + 1), terminal)
                number += 1

    def _act(self, client: httpx.Client, which: int, terminal: str) -> None:
        path = GETS[which] if which < len(GETS) else COMMAND
        url, began = path.format(terminal=terminal), time.monotonic()
        try:
            if which < len(GETS):
                answer = client.get(url, follow_redirects=True)
            else:
                answer = client.post(url, json={"name": "sync_now", "lasts_s": 60})
        except httpx.HTTPError as error:
            self.refused.append(f"{path}: {error}")
            return
        if not answer.is_success:
            self.refused.append(f"{path}: {answer.status_code}")
        self.took_ms.setdefault(path, []).append((time.monotonic() - began) * 1000)
