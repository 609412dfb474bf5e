"""What evaluating alarms costs: a fleet that sends a sample every 30 s, under the built-in rules, with a few hot terminals.

The fleet's samples are stored by the line in slices of one turn's time; only the evaluator's turns are counted, in processor
time, and divided by the time that those slices stand for. Then everything falls at once.
"""

from __future__ import annotations

import time
from datetime import timedelta

from cloud.alarms.evaluating import EVERY_S
from cloud.clock import to_us, utc_now
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from firmware_specs.messages import Health
from tests.alarming import Watch
from tests.bench.stage import folder
from tests.ledgers import migrated
from tests.pen import Pen
from tests.town import settle

TERMINALS, ROUNDS = 10_000, 3
SAMPLE_EVERY_S = 30.0
PER_ROOM = 4
HOT_EVERY = 50
"""One terminal in so many is beyond a threshold all the time, another in one round of so many: alarms come and go."""


def measure(terminals: int = TERMINALS, rounds: int = ROUNDS) -> dict[str, float | str]:
    """`alarms.core_share`, `alarms.all_gone_s`."""
    with folder() as place:
        engine = migrated(f"sqlite:///{place}/ledger.db")
        watch = Watch(settle(engine), utc_now())
        names = watch.add_terminals(terminals // PER_ROOM, PER_ROOM)
        watch.run("UPDATE alarm_rules SET for_s = ? WHERE metric = ?", [(0, "temperature_c")])
        pens = [Pen(terminal=name, config=(1, 1)) for name in names]
        slices = round(SAMPLE_EVERY_S / EVERY_S)
        size = -(-len(pens) // slices)
        line, spent_s, turns = Line(engine), 0.0, 0
        for turn in range((rounds + 1) * slices):
            first = turn % slices * size
            _store(watch, line, pens[first : first + size], turn // slices)
            cpu_s = _turn(watch)
            if turn >= slices:  # the first round reads everything for the first time
                spent_s, turns = spent_s + cpu_s, turns + 1
        active = watch.rows("SELECT COUNT(*) FROM alarms WHERE cleared_at IS NULL")[0][0]
        watch.present("suspect", *names)
        watch.now += timedelta(seconds=301)
        gone_s = _turn(watch)
        groups = [each for each in watch.active() if each[:2] == ("absence", "all")]
        engine.dispose()
        if not groups or groups[0][3] < len(names):
            raise RuntimeError(f"{len(names)} terminals fell, and the alarms are {groups}")
    return {
        "alarms.core_share": spent_s / (turns * EVERY_S),
        "alarms.cpu_us_per_sample": spent_s / (rounds * len(pens)) * 1e6,
        "alarms.all_gone_s": gone_s,
        "alarms.active": active,
    }


def _store(watch: Watch, line: Line, pens: list[Pen], round_: int) -> None:
    watch.now += timedelta(seconds=EVERY_S)
    at = to_us(watch.now)
    deliveries = []
    for index, pen in enumerate(pens):
        hot = index % HOT_EVERY == 0 or (index + round_) % HOT_EVERY == 1
        number = pen.write(Health(**pen.stamp(at=at - 1_000_000), metrics=_metrics(index + round_, hot)))
        deliveries.append(Delivery(pen.terminal, pen.batch(number, 1, sent_at=at), at))
    if line.ingest(deliveries).records != len(pens):
        raise RuntimeError("a sample was not stored")


def _metrics(number: int, hot: bool) -> dict[str, float]:
    return {
        "cpu_percent": number % 37 / 1.0, "memory_percent": 41.2, "memory_mb": 71.3, "temperature_c": 91.0 if hot else 48.1,
        "disk_percent": 23.1, "disk_free_bytes": 2e10 - number, "outbox_depth": float(number % 3), "outbox_age_s": 0.4,
        "uptime_s": number * 6.0, "camera_fps": 9.8, "page_alive": 1.0, "clock_offset_ms": 1.5,
    }  # fmt: skip


def _turn(watch: Watch) -> float:
    """Processor time, in seconds."""
    began = time.process_time()
    watch.turn()
    return time.process_time() - began
