"""What was in quarantine is replayed after a fix, on both databases."""

import pytest
from sqlalchemy import select

from cloud.database import transaction
from cloud.errors import Conflict, NotFound
from cloud.ingest import replay
from cloud.ingest.models import CheckIn, Quarantine
from cloud.ingest.rebuild import rebuild_ledger
from cloud.journal.models import Stream
from tests.integration.town_journal import (
    CHANGE,
    everything,
    heads,
    held_ids,
    ingest,
    pen,
    project,
    series,
    unreadable,
)
from tests.town import Town, person


def test_replayed_record_counts_as_if_it_had_been_understood(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable(town, monkeypatch)
    store = series()
    project(town, store)
    assert heads(store, town) == {"accepted": 1.0}
    (held,) = held_ids(town)
    with transaction(town.engine) as session:
        assert replay.replay(session, CHANGE, held).state == "replayed"
    with transaction(town.engine, read_only=True) as session:
        rows = session.scalars(select(CheckIn).order_by(CheckIn.number)).all()
        stream = session.scalars(select(Stream)).one()
    assert [(row.number, row.member_id, row.occurrence_id) for row in rows] == [
        (1, person(1).member, town.occurrence),
        (2, person(2).member, town.occurrence),
    ]
    assert rows[1].effective_at == rows[1].said_at
    assert (stream.facts, stream.points) == (2, 3)
    project(town, store)
    assert heads(store, town) == {"accepted": 2.0}
    before = everything(town)
    rebuild_ledger(town.engine)
    assert everything(town) == before
    with transaction(town.engine) as session, pytest.raises(Conflict):
        replay.replay(session, CHANGE, held)


def test_record_in_quarantine_stays_out_of_a_rebuild_until_it_is_replayed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable(town, monkeypatch)
    before = everything(town)
    rebuild_ledger(town.engine)
    assert everything(town) == before


def test_replay_of_a_fact_that_came_again_meanwhile_is_a_repeat(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    kiosk = unreadable(town, monkeypatch)
    again = pen(town)
    again.lines = [kiosk.lines[1]]
    ingest(town, again)
    with transaction(town.engine) as session:
        replay.replay(session, CHANGE, held_ids(town)[0])
    with transaction(town.engine, read_only=True) as session:
        assert [(row.stream, row.number) for row in session.scalars(select(CheckIn).order_by(CheckIn.id))] == [
            (kiosk.stream, 1),
            (again.stream, 1),
        ]


def test_what_still_cannot_be_understood_stays_in_quarantine(town: Town) -> None:
    kiosk = pen(town)
    kiosk.write(b"rubbish")
    ingest(town, kiosk)
    (held,) = held_ids(town)
    with pytest.raises(Conflict, match="still cannot be understood"), transaction(town.engine) as session:
        replay.replay(session, CHANGE, held)
    with transaction(town.engine, read_only=True) as session:
        assert session.scalars(select(Quarantine.state)).one() == "open"


def test_what_is_not_there_cannot_be_replayed(town: Town) -> None:
    with transaction(town.engine) as session, pytest.raises(NotFound):
        replay.replay(session, CHANGE, 12345)
