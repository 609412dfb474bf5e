"""A terminal that another has replaced may still send what it holds, and is asked for nothing more; on both databases."""

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from cloud.clock import to_us
from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.journal.models import Stream
from cloud.overview.service import Overview
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import files, service
from cloud.terminals.models import Terminal
from cloud.terminals.reported import know_issuer_key
from tests.integration.town_line import ingest, pen
from tests.town import KEY, ORGANISATION, TERMINALS, Town, person

OLD, NEW = TERMINALS
ROSTER = files.roster_name(ORGANISATION)


def replace(session: Session) -> None:
    """The first kiosk broke; the second took its place."""
    session.execute(update(Terminal).where(Terminal.id == OLD).values(replaced_by=NEW))


def test_commands_to_many_leave_it_out(town: Town) -> None:
    with transaction(town.engine) as session:
        assert service.ids_for_commands(session, EVERYWHERE, 10) == [OLD, NEW]
        replace(session)
        assert service.ids_for_commands(session, EVERYWHERE, 10) == [NEW]


def test_a_new_issuer_key_does_not_wait_for_its_word(town: Town) -> None:
    with transaction(town.engine) as session:
        session.execute(
            text("UPDATE twins SET document = :said"), {"said": f'{{"issuer_keys":[{{"key_id":"{KEY}"}}]}}'}
        )
        epoch, number = town.twins[NEW]
        told = {"version": [epoch, number], "applied": True}
        session.execute(update(Terminal).where(Terminal.id == NEW).values(reported=told))
        assert not know_issuer_key(session, KEY)
        replace(session)
        assert know_issuer_key(session, KEY)


def test_no_roster_is_made_for_it_alone(town: Town) -> None:
    with transaction(town.engine) as session:
        if not files.has_key(session):
            files.draw_key(session, town.now)
        session.execute(update(Terminal).where(Terminal.id == NEW).values(room_id=None))
        advance(session, Counts.ROSTER)
        assert ROSTER in {draft.name for draft in files.due_drafts(session, 1, town.now)}
        replace(session)
        assert ROSTER not in {draft.name for draft in files.due_drafts(session, 1, town.now)}


def test_what_it_still_holds_is_no_trouble_that_needs_a_hand_and_none_of_another_branch(town: Town) -> None:
    kiosk = pen(town, OLD)
    kiosk.check_in(person(1), town.occurrence)
    ingest(town, kiosk.delivery())
    with transaction(town.engine) as session:
        session.execute(update(Stream).values(said_through=9, last_stored_at=to_us(town.now) - 86_400_000_000))

    def stuck(scope: Scope) -> list[str]:
        with transaction(town.engine, read_only=True) as session:
            troubles = Overview().pulse(session, scope, town.now).troubles
        return [each.terminal_id for each in troubles if each.kind == "nothing_stored"]

    assert stuck(EVERYWHERE) == stuck(Scope(f"/{ORGANISATION}/")) == [OLD]
    assert stuck(Scope("/org_elsewhere/")) == []
    with transaction(town.engine) as session:
        replace(session)
    assert stuck(EVERYWHERE) == []
