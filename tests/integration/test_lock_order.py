"""On PostgreSQL, who writes terminals beside somebody else waits for them, and neither is refused (a deadlock)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.scope import EVERYWHERE
from cloud.terminals import service
from cloud.terminals.twin import current_twin, renew_twins
from tests.ledgers import migrated
from tests.process import wait_until
from tests.town import Town, settle

FIRST = "kiosk-1"
EPOCH = 1


@pytest.fixture
def town(postgres_url: str) -> Iterator[Town]:
    engine = migrated(postgres_url)
    yield settle(engine)
    engine.dispose()


def beside(
    engine: Engine, begin: Callable[[Session], object], other: Callable[[], object], go_on: Callable[[Session], object]
) -> None:
    """One begins, another waits for it, and the one goes on: both must come to their end."""
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as session:
            begin(session)
            waiting = pool.submit(other)
            assert wait_until(lambda: _waits(engine) or waiting.done())
            assert not waiting.done(), "it waited for nobody, so this shows nothing"
            go_on(session)
        waiting.result(30)


def _waits(engine: Engine) -> bool:
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with transaction(engine, read_only=True) as session:
        return bool(session.scalar(text(query)))


def count_inputs(session: Session) -> object:
    return advance(session, Counts.TWIN_INPUTS)


def test_twins_are_renewed_with_new_files_beside_somebody_who_edits_a_terminal(town: Town) -> None:
    def edit(session: Session) -> object:
        return service.get(session, EVERYWHERE, FIRST, to_edit=True)

    beside(town.engine, edit, lambda: renew_twins(town.engine, EPOCH, town.now), count_inputs)
    with transaction(town.engine, read_only=True) as session:
        twin = current_twin(session, FIRST)
    assert twin is not None
    assert '"revocations":{' in twin.document  # there was a file to keep
