"""Fixtures over the real servers of tests/servers.py: databases for a session, a broker for each test.

Hypothesis never fails an example for being slow: the machines are shared.
"""

import atexit
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import BrokerServer, EmbeddedBroker, MosquittoServer, MutualTlsMosquitto, PostgresServer

settings.register_profile("roomlink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roomlink")

WITH_PASSWORDS: dict[str, type[BrokerServer]] = {"mosquitto": MosquittoServer, "embedded": EmbeddedBroker}
BROKERS = WITH_PASSWORDS | {"mosquitto by certificate": MutualTlsMosquitto}


def pytest_unconfigure() -> None:
    """Let pytest's summary stand last: DuckDB's binding lists what it has not freed when the interpreter ends."""
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))  # later than pytest's own hold on it


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL; make a database of your own in it with `create_database`.

    It waits for no disk: here processes are killed and never machines, and what a process wrote outlives it.
    """
    server = PostgresServer({"fsync": "off", "full_page_writes": "off"})
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """SQLAlchemy address of an empty PostgreSQL database, gone after the test."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A running Mosquitto by passwords, and no terminal yet."""
    with MosquittoServer(tmp_path / "mosquitto") as server:
        yield server


@pytest.fixture
def mutual_tls(tmp_path: Path) -> Iterator[MutualTlsMosquitto]:
    """A running Mosquitto with the production configuration by certificates, and no terminal yet."""
    with MutualTlsMosquitto(tmp_path / "mutual-tls") as server:
        yield server


@pytest.fixture
def embedded_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A running embedded broker with the cloud's user only."""
    with EmbeddedBroker(tmp_path / "embedded") as server:
        yield server


@pytest.fixture(params=sorted(WITH_PASSWORDS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerServer]:
    """Every broker to which terminals come with passwords, running; `broker.capabilities` says what it can do."""
    with WITH_PASSWORDS[request.param](tmp_path / request.param) as server:
        yield server


@pytest.fixture(params=sorted(BROKERS))
def every_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerServer]:
    """Every broker in turn, that by certificates among them; `tls` of it secures a terminal's connection."""
    with BROKERS[request.param](tmp_path / "broker") as server:
        yield server
