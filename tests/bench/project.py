"""How fast the projector writes the journal onward into DuckDB: the line fills a journal, then the projector runs alone.

Full batches, 90 % health of ten fields and 10 % check-ins, in the order in which groups of many terminals come in.
"""

from __future__ import annotations

import time
from contextlib import closing

from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.ingest.running import calm_the_collector
from cloud.ingest.slots import GROUP_BYTES
from cloud.journal.projector import project
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from tests.bench.payloads import Mix, Writer
from tests.bench.stage import Crowd, folder, occurrences, settled
from tests.pen import now_us
from tests.town import Town

CROWD = Crowd(terminals=100, members=5_000, mix=Mix(records=4_000))


def measure(crowd: Crowd = CROWD) -> dict[str, float | str]:
    """`project.records_per_s`."""
    with folder() as place:
        town = settled(f"sqlite:///{place}/ledger.db", crowd)
        fill(town, crowd)
        calm_the_collector()
        records = crowd.terminals * crowd.mix.records
        with closing(DuckDBTimeseries(place / "series.duckdb")) as store:
            began, cpu_began_s, more = time.perf_counter(), time.process_time(), True
            while more:
                more = project(town.engine, store).more
            seconds = time.perf_counter() - began
            cpu_s = time.process_time() - cpu_began_s
            written = sum(each.points for each in store.count_by_stream().values())
        town.engine.dispose()
        if written != records:
            raise RuntimeError(f"{written} points of {records} records")
        return {"project.records_per_s": records / seconds, "project.cpu_us_per_record": cpu_s / records * 1e6}


def fill(town: Town, crowd: Crowd) -> float:
    """Store everything by the line itself, in groups as the worker takes them; the seconds that it took."""
    line, told = Line(town.engine), occurrences(town.engine)
    writers = [
        Writer(name, place, twin, crowd.members, told, crowd.mix).batches()
        for place, (name, twin) in enumerate(town.twins.items())
    ]
    within_s = 0.0
    for round_of in zip(*writers, strict=True):
        deliveries = [Delivery(name, payload, now_us()) for name, payload in zip(town.twins, round_of, strict=True)]
        size = max(1, GROUP_BYTES // len(round_of[0]))
        for first in range(0, len(deliveries), size):
            began = time.perf_counter()
            result = line.ingest(deliveries[first : first + size])
            within_s += time.perf_counter() - began
            if result.batches != len(deliveries[first : first + size]):
                raise RuntimeError("a batch was not stored")
    return within_s
