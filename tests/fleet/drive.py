"""Drives a fleet through its phases: connect, steady, cut, return, drain; and gathers the figures of each.

Called by the command line and by a test at a small size.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.fleet.account import compare, read_ledger
from tests.fleet.actions import Actions
from tests.fleet.costs import Meter, Spent
from tests.fleet.crowds import Crowd, make_crowds
from tests.fleet.presence import Watch
from tests.fleet.service import Service
from tests.fleet.town import Town, settle
from tests.process import wait_until

CONNECT_WITHIN_S = 900.0
TWINS_WITHIN_S = 900.0
RETURN_WITHIN_S = 300.0
DRAIN_WITHIN_S = 300.0
CURVE_EVERY_S = 2.0


class Unfinished(RuntimeError):
    """The fleet did not get where it should; the message says how far it was."""


@dataclass(frozen=True)
class Plan:
    """How many, how fast, for how long. Rates per second over the whole fleet, times in seconds."""

    terminals: int
    claimed: int = 5
    members: int = 200
    rate_per_s: float = 100.0
    health_every_s: float = 30.0
    store: str = "sqlite"
    ingest_processes: int = 1
    steady_s: float = 120.0
    cut_s: float = 120.0
    keepalive_s: int = 30


@dataclass
class Drive:
    """One run; `run` gives its figures."""

    folder: Path
    plan: Plan
    say: Callable[[str], None]
    figures: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Everything, from an empty folder to the figures."""
        plan, disks = self.plan, self.folder / "disks"
        with Service(self.folder, plan.store, plan.terminals, plan.ingest_processes) as service:
            town = settle(service, disks, plan.terminals, plan.claimed, plan.members, plan.health_every_s, self.say)
            self._wait_for_twins(service)
            crowds = make_crowds(service, town, disks, plan.rate_per_s, plan.keepalive_s)
            try:
                self._run(service, town, crowds)
            finally:
                for crowd in crowds:
                    crowd.process.kill()
        return self.figures

    def _run(self, service: Service, town: Town, crowds: list[Crowd]) -> None:
        watch, actions = Watch(service.engine, crowds), Actions(service, town.terminals)
        before_mb = Meter({"mosquitto": [service.broker.process.pid]}).memory_mb()["mosquitto"]
        for crowd in crowds:
            crowd.start()
        meter = Meter(_pids(service, crowds))
        began = meter.spent()
        watch.start()
        actions.start()
        self._connect(watch, began.at_s)
        self._get_ready(watch, began.at_s)
        connected, batches, ledger = meter.spent(), _batches(service), _ledger_bytes(service)
        self._hold(watch, "steady", self.plan.steady_s)
        steady, batches = meter.spent(), _batches(service) - batches
        self._costs(meter, began, connected, steady)
        self._costs_each(before_mb, batches / (steady.at_s - connected.at_s))
        self.figures["costs"]["ledger_bytes_a_batch"] = (_ledger_bytes(service) - ledger) // max(1, batches)
        self._cut(service, watch, crowds[0])
        returned = meter.spent()
        self.figures["cpu"]["cut_and_return"] = returned.cores_since(steady)
        actions.stop()
        self._drain(watch, crowds)
        watch.stop()
        self._conclude(service, watch, actions, crowds)

    def _wait_for_twins(self, service: Service) -> None:
        def missing() -> int:
            query = text("SELECT count(*) FROM terminals WHERE id NOT IN (SELECT terminal_id FROM twins)")
            with service.engine.connect() as connection:
                return int(connection.execute(query).scalar_one())

        def none_missing() -> bool:
            left = missing()
            self.say(f"making twins: {self.plan.terminals - left} of {self.plan.terminals}")
            return left == 0

        if not wait_until(none_missing, TWINS_WITHIN_S, every_s=1.0):
            raise Unfinished(f"{missing()} terminals have no twin\n{service.cloud.process.log_tail(30)}")

    def _connect(self, watch: Watch, began_s: float) -> None:
        curve: list[tuple[float, int]] = []
        if not self._follow(watch, watch.is_whole, CONNECT_WITHIN_S, curve, began_s):
            raise Unfinished(f"{watch.connected} of {self.plan.terminals} connected, {watch.wrong} wrong\n")
        self.figures |= {
            "terminals": self.plan.terminals,
            "connected": watch.connected,
            "connect_all_s": next(at_s for at_s, count in curve if count == self.plan.terminals),
            "connect_curve": curve,
        }

    def _get_ready(self, watch: Watch, began_s: float) -> None:
        """Each has its twin, and the files that it names: in a fleet that was there before, nobody fetches them."""
        watch.phase = "files"
        if not self._follow(watch, lambda: watch.unready == 0, CONNECT_WITHIN_S, [], began_s):
            raise Unfinished(f"{watch.unready} of {self.plan.terminals} have not all that their twins name")
        self.figures["ready_all_s"] = round(time.monotonic() - began_s, 1)

    def _hold(self, watch: Watch, phase: str, seconds: float) -> None:
        watch.phase = phase
        end_s = time.monotonic() + seconds
        self._follow(watch, lambda: time.monotonic() >= end_s, seconds + 1.0, [], time.monotonic())

    def _cut(self, service: Service, watch: Watch, crowd: Crowd) -> None:
        service.cable.pull()
        watch.pulled = frozenset(crowd.terminals)
        self._hold(watch, "cut", self.plan.cut_s)
        watch.phase = "return"
        service.cable.plug()
        watch.pulled = frozenset()
        began_s, curve = time.monotonic(), list[tuple[float, int]]()
        whole = self._follow(watch, watch.is_whole, RETURN_WITHIN_S, curve, began_s)
        back = [at_s for at_s, count in curve if count == self.plan.terminals]
        self.figures |= {
            "cut_off": len(crowd.terminals),
            "reconnect_curve": curve,
            "reconnect_all_s": back[0] if back else None,
            "connected": watch.connected if not whole else self.figures["connected"],
        }

    def _drain(self, watch: Watch, crowds: list[Crowd]) -> None:
        watch.phase = "drain"
        for crowd in crowds:
            crowd.close_doors()
        drained = self._follow(watch, lambda: watch.closed and watch.waiting == 0, DRAIN_WITHIN_S, [], time.monotonic())
        self.figures["drained"] = drained

    def _follow(
        self, watch: Watch, holds: Callable[[], bool], within_s: float, curve: list[tuple[float, int]], began_s: float
    ) -> bool:
        """Wait for it, saying how it goes; the curve gets a point every so often, and one at the end."""

        def look() -> bool:
            now_s = round(time.monotonic() - began_s, 1)
            if not curve or now_s - curve[-1][0] >= CURVE_EVERY_S or holds():
                curve.append((now_s, watch.connected))
                self.say(
                    f"{watch.phase} {now_s:.0f} s: {watch.connected} connected, {watch.online} online, "
                    f"{watch.wrong} wrong, {watch.waiting} records wait, load {os.getloadavg()[0]:.1f}"
                )
            return holds()

        return wait_until(look, within_s, every_s=0.5)

    def _costs(self, meter: Meter, began: Spent, connected: Spent, steady: Spent) -> None:
        self.figures |= {
            "cpu": {"connect": connected.cores_since(began), "steady": steady.cores_since(connected)},
            "cpu_s_connect": {kind: round(connected.cpu_s[kind] - began.cpu_s[kind], 1) for kind in connected.cpu_s},
            "memory_mb": meter.memory_mb(),
            "open_files": meter.open_files(),
            "load_steady": round(os.getloadavg()[0], 1),
        }

    def _costs_each(self, before_mb: float, batches_per_s: float) -> None:
        """From which one can reckon what more terminals would need; the console's actions are in the cloud's share."""
        figures, count = self.figures, self.plan.terminals
        cores = figures["cpu"]["steady"]
        self.figures["costs"] = {
            "batches_per_s": round(batches_per_s, 1),
            "broker_kb_a_terminal": round((figures["memory_mb"]["mosquitto"] - before_mb) * 1024 / count, 1),
            "broker_ms_a_connection": round(figures["cpu_s_connect"]["mosquitto"] * 1000 / count, 2),
            "broker_us_a_batch": round(cores["mosquitto"] * 1e6 / batches_per_s),
            "cloud_ms_a_connection": round(figures["cpu_s_connect"]["cloud"] * 1000 / count, 1),
            "cloud_us_a_batch": round(cores["cloud"] * 1e6 / batches_per_s),
            "terminal_us_a_batch": round(cores["fleet"] * 1e6 / batches_per_s),
        }

    def _conclude(self, service: Service, watch: Watch, actions: Actions, crowds: list[Crowd]) -> None:
        account = compare((each for crowd in crowds for each in crowd.made()), read_ledger(service.engine))
        self.figures |= asdict(account) | {
            "presence_right_within_s": round(max(watch.wrong_s.values()), 1),
            "presence_wrong_s": {phase: round(longest_s, 1) for phase, longest_s in watch.wrong_s.items()},
            "console_action_ms": actions.figures(),
            "console_p95_ms": actions.by_action(),
            "console_refused": actions.refused[:20],
            "plan": asdict(self.plan),
        }


def _batches(service: Service) -> int:
    """How many the journal holds."""
    with service.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM journal")).scalar_one())


def _ledger_bytes(service: Service) -> int:
    """What the database takes on the disk."""
    with service.engine.connect() as connection:
        if service.postgres:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())


def _pids(service: Service, crowds: list[Crowd]) -> dict[str, list[int]]:
    postgres = [service.postgres.process.pid] if service.postgres else []
    return {
        "mosquitto": [service.broker.process.pid],
        "cloud": [service.cloud.process.pid],
        "haproxy": [service.cable.process.pid],
        "fleet": [crowd.process.pid for crowd in crowds],
        "driver": [os.getpid()],
    } | ({"postgresql": postgres} if postgres else {})
