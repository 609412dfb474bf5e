"""What the cloud says of a terminal's connection, and what it sends it: births, wills, desired and reported twins."""

from typing import Any

from sqlalchemy import select, update

from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.terminals.models import Terminal
from firmware_specs.topics import Channel
from firmware_specs.wire import decode_desired
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import kiosk_of, presence
from tests.servers import MosquittoServer, wait_until
from tests.town import Town


def test_presence_follows_births_wills_and_what_is_heard(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    cloud = start()
    kiosk = kiosk_of(town_broker, town, will=True)
    kiosk.born()
    assert wait_until(lambda: presence(town) == "online")
    cloud.stop()
    cloud.start()
    assert wait_until(lambda: presence(town) == "suspect")
    kiosk.send(kiosk.pen.batch())
    assert wait_until(lambda: presence(town) == "online")
    kiosk.client.cut()
    assert wait_until(lambda: presence(town) == "offline")
    with kiosk_of(town_broker, town, connection=2) as again:
        again.send(again.pen.batch())
        assert again.answer().through == 0
        assert presence(town) == "offline"
        again.born()
        assert wait_until(lambda: presence(town) == "online")


def test_will_that_fired_while_the_cloud_was_away_counts(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    cloud = start()
    kiosk = kiosk_of(town_broker, town, will=True)
    kiosk.born()
    assert wait_until(lambda: presence(town) == "online")
    cloud.stop()
    kiosk.client.cut()
    cloud.start()
    assert wait_until(lambda: presence(town) == "offline")


def test_twin_is_pushed_when_something_changed_and_again_at_every_birth(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(town_broker, town) as kiosk:
        first = decode_desired(kiosk.next(Channel.DESIRED))
        assert first.version > town.twins["kiosk-1"]
        assert first.room is not None
        with transaction(town.engine) as session:
            session.execute(update(Terminal).where(Terminal.id == "kiosk-1").values(settings={"language": "en"}))
            advance(session, Counts.TWIN_INPUTS)
        second = decode_desired(kiosk.next(Channel.DESIRED))
        assert (second.version > first.version, second.language) == (True, "en")
        kiosk.born()
        assert decode_desired(kiosk.next(Channel.DESIRED)).version == second.version
        kiosk.report(second.version)
    with kiosk_of(town_broker, town) as later:
        assert decode_desired(later.next(Channel.DESIRED)).version == second.version
    assert wait_until(lambda: reported(town) == list(second.version))


def test_terminal_that_reports_an_older_twin_is_given_the_present_one(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    cloud = start()
    with kiosk_of(town_broker, town) as kiosk:
        present = decode_desired(kiosk.next(Channel.DESIRED))
        cloud.stop()
        kiosk.report((1, 1))
        cloud.start()
        assert decode_desired(kiosk.next(Channel.DESIRED)).version == present.version


def reported(town: Town) -> Any:
    with transaction(town.engine, read_only=True) as session:
        found = session.scalars(select(Terminal.reported).where(Terminal.id == "kiosk-1")).one()
    return found and found["version"]
