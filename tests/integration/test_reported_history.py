"""The history of reported twins in the ledger: a line where something new is said, bounded; on both databases."""

from typing import Any

import pytest
from sqlalchemy import select

from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.ingest import reported_log, state
from cloud.ingest.state import StateBoard
from cloud.terminals.models import ReportedTwin
from firmware_specs.messages import Reported
from firmware_specs.wire import encode
from tests.town import Town


def hear(town: Town, at: int, terminal: str = "kiosk-1", **says: Any) -> None:
    told: dict[str, Any] = {"version": (1, 1), "applied": True}
    board = StateBoard()
    board.hear_reported(terminal, encode(Reported(**told | says)), at)
    with transaction(town.engine) as session:
        state.write(Bulk.of(session), board.take())


def lines(town: Town, terminal: str = "kiosk-1") -> list[ReportedTwin]:
    query = select(ReportedTwin).where(ReportedTwin.terminal_id == terminal).order_by(ReportedTwin.number)
    with transaction(town.engine, read_only=True) as session:
        return list(session.scalars(query))


def test_only_what_is_new_is_a_line_with_the_settings_that_are_others_than_before(town: Town) -> None:
    hear(town, 1, settings={"language": "zh", "volume": "40"})
    hear(town, 2, settings={"language": "zh", "volume": "40"})
    hear(town, 3, version=(1, 2), settings={"language": "en", "volume": "40"})
    hear(town, 4, version=(1, 3), applied=False, problems=["no room"], settings={"language": "en", "volume": "40"})
    hear(town, 5, "kiosk-2")
    hear(town, 6, "stranger")
    found = [(each.number, each.twin_number, each.applied, each.problems, each.changed) for each in lines(town)]
    assert found == [(1, 1, True, [], []), (2, 2, True, [], ["language"]), (3, 3, False, ["no room"], [])]
    assert len(lines(town, "kiosk-2")) == 1
    assert lines(town, "stranger") == []


def test_only_the_newest_lines_are_kept(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported_log, "KEPT", 3)
    for number in range(1, 7):
        hear(town, number, version=(1, number))
    assert [each.number for each in lines(town)] == [4, 5, 6]
