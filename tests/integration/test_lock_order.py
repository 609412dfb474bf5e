"""On PostgreSQL, who writes terminals beside somebody else waits for them, and neither is refused (a deadlock)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from cloud.audit.service import Change
from cloud.bulk import Bulk
from cloud.certificates import authority, issuing
from cloud.certificates import service as certificates
from cloud.clock import to_us, utc_now
from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.ingest import state
from cloud.ingest.state import Heard
from cloud.keybox import KeyBox
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from cloud.terminals import enabling, importing, locks, replacing, service
from cloud.terminals.replacing import ReplaceForm
from cloud.terminals.twin import current_twin, renew_twins
from firmware_specs.messages import Reported
from firmware_specs.wire import encode
from tests.enrolment import found_authority
from tests.ledgers import migrated
from tests.office import settings_for
from tests.process import wait_until
from tests.town import Town, settle

FIRST, SECOND = "kiosk-1", "kiosk-2"
EPOCH = 1


@pytest.fixture
def town(postgres_url: str) -> Iterator[Town]:
    engine = migrated(postgres_url)
    yield settle(engine)
    engine.dispose()


@pytest.fixture
def certified(town: Town, tmp_path: Path) -> Settings:
    """Both terminals have a certificate of the one authority."""
    settings = settings_for(tmp_path / "cloud")
    found_authority(town.engine, settings, utc_now())
    with transaction(town.engine) as session:
        for terminal in (FIRST, SECOND):
            key = authority.new_key().public_key()
            issuing.give_terminal(session, KeyBox(settings.authority_key()), terminal, key, utc_now())
    return settings


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


def lock(*terminals: str) -> Callable[[Session], object]:
    return lambda session: locks.lock(Bulk.of(session), terminals)


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


def test_an_import_locks_its_terminals_in_order_whatever_the_order_of_its_rows(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 1)
    path = tmp_path / "terminals.csv"
    path.write_text(f"id,health_every_s\n{SECOND},60\nkiosk-3,60\n{FIRST},60\n")

    def bring_in() -> tuple[int, int]:
        with transaction(town.engine) as session:
            report = importing.apply(session, Change("test", town.now), EVERYWHERE, path)
        return report.created, report.updated

    beside(town.engine, lock(FIRST), lambda: _same(bring_in(), (1, 2)), lock(SECOND))


def test_what_terminals_say_is_written_beside_somebody_who_writes_both(town: Town) -> None:
    at, report = to_us(town.now), encode(Reported(version=(1, 1), applied=True))
    heard = Heard(reported={SECOND: (report, at), FIRST: (report, at)}, live={SECOND: at})

    def write() -> set[str]:
        with transaction(town.engine) as session:
            return set(state.write(Bulk.of(session), heard).reported)

    beside(town.engine, lock(FIRST), lambda: _same(write(), {FIRST, SECOND}), lock(SECOND))


def test_a_terminal_is_replaced_and_shut_out_beside_another_that_is_disabled(town: Town, certified: Settings) -> None:
    assert certified.authority_key().exists()
    form = ReplaceForm(by="kiosk-3", reason="its screen is broken", disable=True)

    def disable(session: Session) -> None:
        terminal = service.get(session, EVERYWHERE, SECOND, to_edit=True)
        enabling.put(session, Change("test", town.now), terminal, enabled=False)

    def replace() -> str:
        with transaction(town.engine) as session:
            return replacing.replace(session, Change("test", town.now), EVERYWHERE, FIRST, 1, form).new.id

    beside(town.engine, disable, lambda: _same(replace(), "kiosk-3"), count_inputs)


def test_a_replacement_locks_both_terminals_in_order(town: Town) -> None:
    with transaction(town.engine) as session:
        session.execute(text("UPDATE terminals SET room_id = NULL WHERE id = :id"), {"id": FIRST})
    form = ReplaceForm(by=FIRST, reason="its screen is broken")

    def replace() -> str:
        with transaction(town.engine) as session:
            return replacing.replace(session, Change("test", town.now), EVERYWHERE, SECOND, 1, form).new.id

    beside(town.engine, lock(FIRST), lambda: _same(replace(), FIRST), lock(SECOND))


def test_a_session_is_to_be_cut_again_though_the_cut_before_is_done_at_that_moment(town: Town) -> None:
    asked = "INSERT INTO session_cuts (terminal_id, asked_at) VALUES (:id, 1)"
    with transaction(town.engine) as session:
        session.execute(text(asked), {"id": FIRST})

    def revoke() -> None:
        with transaction(town.engine) as session:
            certificates.revoke(session, Change("test", town.now), EVERYWHERE, FIRST, "it was stolen")

    beside(town.engine, lambda session: session.execute(text("DELETE FROM session_cuts")), revoke, lambda _: None)
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(text("SELECT asked_at FROM session_cuts")) == to_us(town.now)


def _same(found: object, wanted: object) -> None:
    assert found == wanted
