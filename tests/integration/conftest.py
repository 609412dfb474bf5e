"""A settled ledger on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.office import Office, open_office
from tests.servers import PostgresServer
from tests.town import Town, migrated, settle


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    address: str = request.getfixturevalue("postgres_url")
    return address


@pytest.fixture
def town(ledger_url: str) -> Iterator[Town]:
    """A settled ledger on each database."""
    engine = migrated(ledger_url)
    yield settle(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The HTTP API on each database, one for all tests of a module: each makes what it needs."""
    folder = tmp_path_factory.mktemp("office")
    if request.param == "sqlite":
        with open_office(folder, f"sqlite:///{folder}/ledger.db") as office:
            yield office
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create_database()
    with open_office(folder, url) as office:
        yield office
    postgres.drop_database(url.rpartition("/")[2])
