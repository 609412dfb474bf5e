"""From a kiosk's decision to the linked row that the HTTP API shows, while 300 check-ins a second come in.

A fleet of kiosks (real outboxes, uplinks and decisions on signed cards) in a process of its own; somebody who follows
`/api/v1/check-ins` as a screen would. The time is from the record's own `said_at`, on the same machine's clock, to the end of
the answer that first holds the row with its member.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from demo.world import Api
from tests.bench.service import Service, agent, service, until, write_toml
from tests.bench.stage import folder
from tests.process import HOST

KIOSKS, MEMBERS, RATE_PER_S = 60, 40, 300.0
WARM_UP_S, MEASURED_S = 8.0, 25.0
POLL_S, OVERLAP_US = 0.05, 300_000


@dataclass
class Follower:
    """Asks for what came since, over and over."""

    api: Api
    since_at: int
    latencies_ms: list[float] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)

    def look(self, *, counted: bool) -> None:
        """One round: every page there is."""
        query = {"since_at": max(0, self.since_at - OVERLAP_US), "limit": 200}
        while True:
            page = self.api.get("/check-ins", **query)
            now_us = time.time_ns() // 1000
            for row in page["items"]:
                self.since_at = max(self.since_at, row["received_at"])
                if row["member_id"] is not None and row["record_id"] not in self.linked:
                    self.linked.add(row["record_id"])
                    if counted:
                        self.latencies_ms.append((now_us - row["said_at"]) / 1000)
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]


def measure(
    kiosks: int = KIOSKS,
    members: int = MEMBERS,
    rate_per_s: float = RATE_PER_S,
    seconds: float = MEASURED_S,
    *,
    warm_up_s: float = WARM_UP_S,
) -> dict[str, float | str]:
    """`checkin_to_linked_ms.p50`, `.p95`, `.p99`, `.max`, and the rate that was really there."""
    names = [f"kiosk-{number:03d}" for number in range(1, kiosks + 1)]
    with folder() as place, service(place, names, members) as whole:
        config = write_fleet(whole, place / "fleet", rate_per_s)
        with agent(config, "fleet"):
            return _follow(whole, kiosks, seconds, warm_up_s)


def _follow(whole: Service, kiosks: int, seconds: float, warm_up_s: float) -> dict[str, float | str]:
    api = whole.api()
    try:
        until("every kiosk is online", 60, lambda: _online(api) == kiosks)
        follower = Follower(api, time.time_ns() // 1000)
        _look_for(follower, warm_up_s, counted=False)
        before, began = len(follower.linked), time.monotonic()
        _look_for(follower, seconds, counted=True)
        rate = (len(follower.linked) - before) / (time.monotonic() - began)
    finally:
        api.close()
    cuts = quantiles(follower.latencies_ms, n=100, method="inclusive")
    return {
        "checkin_to_linked_ms.p50": cuts[49],
        "checkin_to_linked_ms.p95": cuts[94],
        "checkin_to_linked_ms.p99": cuts[98],
        "checkin_to_linked_ms.max": max(follower.latencies_ms),
        "checkin_to_linked_ms.records_per_s": rate,
    }


def _look_for(follower: Follower, seconds: float, *, counted: bool) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        follower.look(counted=counted)
        time.sleep(POLL_S)


def _online(api: Api) -> int:
    return sum(each["presence"] == "online" for each in api.pages("/terminals"))


def write_fleet(whole: Service, disk: Path, rate_per_s: float, skipped: Collection[str] = ()) -> Path:
    """The settings of a fleet of all terminals but some; the file's path."""
    disk.mkdir()
    terminals = {each.id: each.password for each in whole.world.terminals if each.id not in skipped}
    (disk / "terminals.json").write_text(json.dumps(terminals))
    (disk / "cards.txt").write_text("\n".join(card.text for card in whole.world.cards))
    settings = {
        "data_dir": str(disk / "disks"),
        "terminals_file": str(disk / "terminals.json"),
        "cards_file": str(disk / "cards.txt"),
        "cloud_url": whole.cloud.url,
        "check_ins_per_s": rate_per_s,
        "clock_trusted": True,
        "seed": 1,
        "broker": {"host": HOST, "port": whole.broker.port},
    }
    return write_toml(disk / "fleet.toml", settings)
