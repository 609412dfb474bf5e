"""The whole line with real parts: Mosquitto, `python -m cloud`, terminals that are nothing but MQTT clients."""

from pathlib import Path

from sqlalchemy import select

from cloud.attendance.models import Attendance
from cloud.clock import utc_now
from cloud.counters import Counts, advance
from cloud.database import transaction
from firmware_specs.messages import StoredError
from tests.cloud import CloudServer
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import count, kiosk_of
from tests.ledgers import migrated
from tests.servers import MosquittoServer, PostgresServer, wait_until
from tests.town import Town, add_member, person, settle


def test_card_shown_at_a_kiosk_is_attendance_when_the_kiosk_is_told_it_is_stored(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start(command="serve")
    with kiosk_of(town_broker, town) as kiosk:
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        kiosk.pen.check_in(person(2), town.occurrence)
        stored = kiosk.ask(kiosk.pen.batch())
        assert (stored.through, stored.chain, stored.error) == (1, kiosk.pen.chain(1), None)
        with transaction(town.engine, read_only=True) as session:
            assert session.scalars(select(Attendance.member_id)).all() == [person(2).member]


def test_stranger_is_not_answered_and_hurts_nobody(start: Start, town_broker: MosquittoServer, town: Town) -> None:
    cloud = start()
    with kiosk_of(town_broker, town, "stranger") as stranger, kiosk_of(town_broker, town) as kiosk:
        stranger.send(stranger.pen.batch())
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        assert wait_until(lambda: "unknown_terminals" in cloud.process.log())
        assert stranger.client.messages.empty()


def test_rubbish_is_answered_and_the_next_batch_is_stored(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(town_broker, town) as kiosk:
        assert kiosk.ask(b"rubbish").error == StoredError.BROKEN
        assert kiosk.ask(b"x" * 500_000).error == StoredError.TOO_LARGE
        kiosk.pen.health()
        assert kiosk.ask(kiosk.pen.batch()).through == 1


def test_killed_between_commit_and_answer_everything_is_there_once(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start(program="tests.integration.dying_cloud")
    with kiosk_of(town_broker, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        kiosk.send(kiosk.pen.batch())
        assert wait_until(lambda: count(town) == 1)
        start()
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert (count(town), count(town, Attendance)) == (1, 1)


def test_stopped_cloud_stores_and_answers_what_it_has_heard(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    cloud = start()
    with kiosk_of(town_broker, town) as kiosk:
        for number in range(1, 21):
            kiosk.pen.check_in(person(1), town.occurrence)
            assert kiosk.ask(kiosk.pen.batch(number)).through == number
        kiosk.pen.check_in(person(2), town.occurrence)
        kiosk.send(kiosk.pen.batch(21))
        cloud.process.stop()
        assert count(town) in {20, 21}
        if count(town) == 21:
            assert kiosk.answer().through == 21


def test_broker_that_comes_back_is_found_again(start: Start, town_broker: MosquittoServer, town: Town) -> None:
    cloud = start()
    town_broker.kill()
    assert wait_until(lambda: "broker_lost" in cloud.process.log())
    town_broker.start()
    cloud.wait_for_broker(2)
    with kiosk_of(town_broker, town) as kiosk:
        assert kiosk.ask(kiosk.pen.batch()).through == 0


def test_time_series_that_is_away_delays_nothing_else(start: Start, town_broker: MosquittoServer, town: Town) -> None:
    cloud = start(
        command="serve", ROOMLINK_TIMESERIES_URL="influx+http://127.0.0.1:1/town/town", ROOMLINK_TIMESERIES_TOKEN="x"
    )
    with kiosk_of(town_broker, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert count(town, Attendance) == 1
        assert wait_until(lambda: '"projector"' in cloud.process.log())
    cloud.stop()
    again = start(command="serve")
    assert wait_until(lambda: series_points(again) == 1)


def series_points(cloud: CloudServer) -> int:
    """What the stopped cloud's DuckDB file holds; the service owns it while it runs."""
    cloud.process.stop()
    from cloud.timeseries.stores import open_store

    store = open_store(f"duckdb:///{cloud.environment['ROOMLINK_DATA_DIR']}/timeseries.duckdb")
    points = sum(stream.points for stream in store.count_by_stream().values())
    store.close()
    cloud.start()
    return points


def test_database_that_goes_away_delays_and_loses_nothing(
    town_broker: MosquittoServer, postgres: PostgresServer, tmp_path: Path, postgres_url: str
) -> None:
    town = settle(migrated(postgres_url))
    with CloudServer(tmp_path / "cloud", postgres_url, town_broker) as cloud, kiosk_of(town_broker, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        postgres.stop()
        try:
            kiosk.pen.check_in(person(2), town.occurrence)
            kiosk.send(kiosk.pen.batch(2))
            assert wait_until(lambda: "ledger_away" in cloud.process.log())
            assert kiosk.client.messages.empty()
        finally:
            postgres.start()
        assert kiosk.answer().through == 2
        assert count(town) == 2
        assert cloud.connections() == 1
    town.engine.dispose()


def test_member_who_is_registered_later_is_linked_by_itself(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(town_broker, town) as kiosk:
        kiosk.pen.check_in(person(9), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        with transaction(town.engine) as session:
            add_member(session, person(9), utc_now())
            advance(session, Counts.ROSTER)
        assert wait_until(lambda: count(town, Attendance) == 1)
