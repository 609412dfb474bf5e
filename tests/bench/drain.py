"""A kiosk that was offline for a week comes back: 100,000 records, until the cloud has stored the last one.

The outbox is filled through the real outbox code under a clock that walks through the week; then the real agent is started
before a real Mosquitto and the real cloud. Measured from the agent's start.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from edge.clock import SteppedClock
from edge.outbox import Outbox
from firmware_specs.messages import CheckIn, CredentialReference, Health, Method, Outcome, Record
from tests.bench.service import Service, agent, service, until
from tests.bench.stage import folder, scalar

RECORDS, MEMBERS = 100_000, 40
WEEK_S = 7 * 86_400
AT_ONCE = 500
CHECK_IN_EVERY = 10
TERMINAL = "kiosk-302-a"


def measure(records: int = RECORDS, members: int = MEMBERS) -> dict[str, float | str]:
    """`drain_week_s`."""
    with folder() as place, service(place, [TERMINAL], members) as whole:
        disk = place / "kiosk"
        config = whole.write_kiosk(TERMINAL, disk, None)
        until("the terminal has a twin", 30, lambda: scalar(whole.engine, "SELECT COUNT(*) FROM twins") > 0)
        last = fill(whole, disk / "outbox.db", records)
        began = time.perf_counter()
        with agent(config):
            until("everything is stored", 180, lambda: _through(whole) > last)  # one more: `started` of this run
            seconds = time.perf_counter() - began
        check_ins = scalar(whole.engine, "SELECT COUNT(*) FROM check_ins WHERE member_id IS NOT NULL")
        if check_ins != records // CHECK_IN_EVERY:
            raise RuntimeError(f"{check_ins} of {records // CHECK_IN_EVERY} check-ins are linked")
        return {"drain_week_s": seconds, "drain.records_per_s": last / seconds}


def fill(whole: Service, file: Path, records: int) -> int:
    """Keep a week's records in an outbox; the number of the last one."""
    clock = SteppedClock(time.time_ns() // 1000 - WEEK_S * 1_000_000)
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    outbox.config = _twin(whole)
    references = _references(whole)
    last = 0
    for first in range(1, records + 1, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, records + 1))
        last = outbox.append([_record(outbox, clock, number, references, records) for number in numbers])
    outbox.close()
    return last


def _record(
    outbox: Outbox, clock: SteppedClock, number: int, references: list[CredentialReference], records: int
) -> Record:
    clock.step(WEEK_S / records)
    stamp = clock.stamp(outbox.config)
    if number % CHECK_IN_EVERY == 0:
        card = references[number // CHECK_IN_EVERY % len(references)]
        return CheckIn(**stamp, method=Method.QR, outcome=Outcome.VISIT, credential=card)
    metrics = {"cpu_percent": number % 37 / 1.0, "memory_percent": 41.2, "memory_mb": 71.3, "temperature_c": 48.1}
    metrics |= {"disk_percent": 23.1, "disk_free_bytes": 2e10 - number, "outbox_depth": float(number)}
    metrics |= {"uptime_s": number * 6.0, "camera_fps": 9.8, "page_alive": 1.0}
    return Health(**stamp, metrics=metrics)


def _references(whole: Service) -> list[CredentialReference]:
    with whole.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT c.issuer, m.subject, c.id, c.key_id FROM credentials c JOIN members m ON m.id = c.member_id"
        ).fetchall()
    return [CredentialReference(issuer=row[0], subject=row[1], id=row[2], key_id=row[3]) for row in rows]


def _twin(whole: Service) -> tuple[int, int]:
    with whole.engine.connect() as connection:
        query = "SELECT epoch, number FROM twins ORDER BY epoch DESC, number DESC LIMIT 1"
        epoch, number = next(itertools.chain(connection.exec_driver_sql(query).fetchall()))
    return int(epoch), int(number)


def _through(whole: Service) -> int:
    return scalar(whole.engine, "SELECT MAX(through) FROM streams")
