"""How many records a second the cloud takes from real terminals' connections, until each terminal was told "stored".

`single`: one record in a batch, over what a bare paho subscriber receives and answers in the same run. `backlog`: full batches
after an outage, on SQLite or PostgreSQL. Always `serve`, with console and projector; what is heard is stored by a process of its
own (`backlog`: by two), and for `in_a_thread_ratio` in a thread of the service, which is the default.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from statistics import mean

from tests.bench.payloads import Mix
from tests.bench.stage import (
    Crowd,
    Run,
    check_stored,
    drive,
    folder,
    heard,
    open_broker,
    settle_down,
    settled,
    spoken_to,
)
from tests.cloud import CloudServer
from tests.servers import PostgresServer

SINGLE = Crowd(terminals=1_000, members=5_000, mix=Mix(records=40, per_batch=1, check_in_every=1))
BACKLOG = Crowd(terminals=200, members=5_000, mix=Mix(records=3_000))
Figures = dict[str, float | str]


def measure_single(crowd: Crowd = SINGLE) -> Figures:
    """`ingest_single.ratio` and what it is made of: the bare subscriber before and after the cloud."""
    bare = [_bare(crowd)]
    thread = _through_cloud(crowd, None, 0)
    cloud = _through_cloud(crowd, None, 1)
    bare.append(_bare(crowd))
    bare_per_s = mean(run.answers / run.seconds for run in bare)
    cloud_per_s = cloud.answers / cloud.seconds
    return {
        "ingest_single.ratio": cloud_per_s / bare_per_s,
        "ingest_single.records_per_s": cloud_per_s,
        "ingest_single.bare_per_s": bare_per_s,
        "ingest_single.in_a_thread_ratio": thread.answers / thread.seconds / bare_per_s,
        "ingest_single.bottleneck": cloud.bottleneck,
        "ingest_single.bare_bottleneck": bare[0].bottleneck,
        **_shares("ingest_single", cloud),
    }


def measure_backlog(crowd: Crowd = BACKLOG) -> Figures:
    """`ingest_backlog.records_per_s`, on SQLite."""
    return _backlog("ingest_backlog", _through_cloud(crowd, None, 2), crowd)


def measure_postgres(crowd: Crowd = BACKLOG) -> Figures:
    """`ingest_postgres.records_per_s`."""
    postgres = PostgresServer()
    try:
        postgres.start()
        return _backlog("ingest_postgres", _through_cloud(crowd, postgres, 2), crowd)
    finally:
        postgres.close()


def _backlog(key: str, run: Run, crowd: Crowd) -> Figures:
    return {
        f"{key}.records_per_s": crowd.terminals * crowd.mix.records / run.seconds,
        f"{key}.bottleneck": run.bottleneck,
        **_shares(key, run),
    }


def _shares(key: str, run: Run) -> dict[str, float]:
    shares = run.shares()
    publishers = sum(share for name, share in shares.items() if name.startswith("publisher"))
    own = {name: share for name, share in shares.items() if not name.startswith("publisher")}
    return {f"{key}.cores.{name}": share for name, share in (own | {"publishers": publishers}).items()}


def _bare(crowd: Crowd) -> Run:
    password = secrets.token_urlsafe(12)
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        broker = stack.enter_context(open_broker(place / "broker", crowd, password))
        town = settled(f"sqlite:///{place}/ledger.db", crowd)
        told = {"port": broker.cloud_port, "password": broker.password()}
        bare = stack.enter_context(spoken_to("tests.bench.bare", told))
        heard(bare)
        watched = {"bare subscriber": bare.pid, "broker": broker.process.pid}
        run = drive(broker, town, crowd, password, watched, trusting=True)
        town.engine.dispose()
        return run


def _through_cloud(crowd: Crowd, postgres: PostgresServer | None, processes: int) -> Run:
    password = secrets.token_urlsafe(12)
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        broker = stack.enter_context(open_broker(place / "broker", crowd, password))
        url = postgres.create_database() if postgres else f"sqlite:///{place}/ledger.db"
        town = settled(url, crowd)
        settings = {"ROOMLINK_INGEST_PROCESSES": str(processes)}
        cloud = stack.enter_context(CloudServer(place / "cloud", url, broker, settings))
        settle_down(cloud.process.pid)
        watched = {"cloud": cloud.process.pid, "broker": broker.process.pid}
        if postgres:
            watched["postgresql"] = postgres.process.pid
        run = drive(broker, town, crowd, password, watched, trusting=False)
        check_stored(town.engine, crowd)
        town.engine.dispose()
        return run
