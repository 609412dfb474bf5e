"""A settled ledger on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
