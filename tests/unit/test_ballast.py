"""Space held back on the disk, and given up when it is full."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge import ballast
from edge.ballast import Ballast
from edge.clock import SteppedClock
from edge.errors import OutboxFull
from edge.outbox import Limits, Outbox
from firmware_specs.messages import CheckIn, Method, Outcome

SIZE = 1024 * 1024


@pytest.fixture
def held(tmp_path: Path) -> Ballast:
    return Ballast(tmp_path / "ballast", SIZE)


def test_space_is_held_and_given_back(held: Ballast, tmp_path: Path) -> None:
    assert not held.is_held()
    assert held.take()
    assert held.is_held()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= SIZE
    assert held.drop()
    assert list(tmp_path.iterdir()) == []
    assert not held.drop()


def test_nothing_is_held_where_there_is_not_plenty(held: Ballast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballast, "PLENTY", 10**12)
    assert not held.take()
    assert not held.is_held()


def test_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    held = Ballast(tmp_path / "not" / "there", SIZE)
    assert not held.take()
    assert not held.drop()


def test_no_ballast_holds_nothing(tmp_path: Path) -> None:
    held = Ballast(tmp_path / "ballast", 0)
    assert held.take()
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """Every commit fails while the ballast lies on the disk, and the file may not grow after."""

    def __init__(self, outbox: Outbox, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = file
        self._transaction = outbox._store.database.transaction
        monkeypatch.setattr(outbox._store.database, "transaction", self.transaction)

    @contextmanager
    def transaction(self, **how: Any) -> Iterator[Any]:
        with self._transaction(**how) as connection:
            yield connection
            if self.file.exists():
                raise OutboxFull("There is no space left for the outbox.")


def test_full_disk_is_lived_with_in_the_space_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedClock()
    limits = Limits(64 * SIZE, 32 * SIZE, ballast_bytes=SIZE)
    outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1", clock=clock, limits=limits)
    file = tmp_path / "outbox.db.ballast"
    assert file.exists()
    records = [CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT) for _ in range(1000)]
    outbox.append(records)
    monkeypatch.setattr(ballast, "PLENTY", 10**12)
    FullDisk(outbox, file, monkeypatch)
    batch = outbox.next_batch(200, 65_536)
    assert batch is not None
    assert not file.exists()
    outbox.stored(batch.stream, batch.last, 1)
    pages = outbox._store.database.max_pages
    with pytest.raises(OutboxFull):
        outbox.append(records)
    assert outbox.status().state == "full"
    while (batch := outbox.next_batch(200, 65_536)) is not None:
        outbox.stored(batch.stream, batch.last, 1)
    outbox.append(records[:500])
    assert outbox.status().state == "ok"
    assert outbox._store.database.max_pages == pages
    monkeypatch.undo()
    outbox.probe()
    assert file.exists()
    assert outbox._store.database.max_pages > pages
    outbox.close()
