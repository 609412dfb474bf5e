"""How many records still wait on a room's kiosks at one date of an activity: on replaced kiosks, too, and as far as is known."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text, update

from cloud.activities import occurrence_page
from cloud.activities.models import Occurrence
from cloud.database import transaction
from cloud.terminals.models import Terminal
from tests.integration.town_journal import busy_day
from tests.town import ROOM, Town


def starts_at(town: Town) -> datetime:
    with transaction(town.engine, read_only=True) as session:
        occurrence = session.get(Occurrence, town.occurrence)
    assert occurrence is not None
    return occurrence.starts_at


def waiting(town: Town, said: int, **values: Any) -> tuple[int, bool]:
    """With so many records known to wait on the second kiosk, which is that way; the first is online and has sent all."""
    in_order = {"enabled": True, "replaced_by": None, "replaced_at": None, "presence": "offline"}
    with transaction(town.engine) as session:
        session.execute(update(Terminal).where(Terminal.id == "kiosk-1").values(presence="online"))
        session.execute(update(Terminal).where(Terminal.id == "kiosk-2").values(in_order | values))
        session.execute(text(f"UPDATE streams SET said_through = through + {said} WHERE terminal_id = 'kiosk-2'"))
    with transaction(town.engine, read_only=True) as session:
        return occurrence_page._on_kiosks(session, ROOM, starts_at(town))


def test_what_waits_on_a_kiosk_that_was_replaced_waits_for_the_room(town: Town) -> None:
    busy_day(town)
    begins = starts_at(town)
    later = {"replaced_by": "kiosk-1", "replaced_at": begins + timedelta(hours=1)}
    before = {"replaced_by": "kiosk-1", "replaced_at": begins - timedelta(days=1)}
    assert waiting(town, 3, **later) == (3, True)
    assert waiting(town, 0, **later, enabled=False) == (0, True)
    assert waiting(town, 3, **before) == (3, True)
    assert waiting(town, 0, **before) == (0, False)


def test_only_a_kiosk_in_service_that_has_sent_something_leaves_unknown_what_waits(town: Town) -> None:
    busy_day(town)
    with transaction(town.engine) as session:
        for terminal, kind in (("kiosk-3", "kiosk"), ("tv-1", "tv")):
            made = Terminal(
                id=terminal, kind=kind, profile=kind, room_id=ROOM, password_hash="", mqtt_password_hash="",
                created_at=town.now,
            )  # fmt: skip
            session.add(made)
    assert waiting(town, 0, presence="online") == (0, False)
    assert waiting(town, 2, presence="maintenance") == (2, False)
    assert waiting(town, 0, presence="offline") == (0, True)
    assert waiting(town, 0, presence="offline", enabled=False) == (0, False)
