"""Several processes that ingest: one has the subscription, others take over or store what it hears; backup beside them."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cloud.attendance.models import Attendance
from tests.cloud import CloudServer
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import count, kiosk_of
from tests.ledgers import migrated
from tests.process import ROOT
from tests.servers import MosquittoServer
from tests.town import TERMINALS, Town, person, settle


def test_of_several_processes_one_has_the_subscription_and_another_takes_over(
    town_broker: MosquittoServer, tmp_path: Path, postgres_url: str
) -> None:
    town = settle(migrated(postgres_url))
    first = CloudServer(tmp_path / "first", postgres_url, town_broker, command="worker")
    second = CloudServer(tmp_path / "second", postgres_url, town_broker, command="worker")
    with first, kiosk_of(town_broker, town) as kiosk:
        second.start_waiting()
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert second.connections() == 0
        first.kill()
        second.wait_for_broker(1)
        kiosk.pen.check_in(person(2), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 2
        assert count(town) == 2
    second.stop()
    town.engine.dispose()


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_lines_in_processes_of_their_own_store_what_one_subscription_hears(
    town_broker: MosquittoServer, tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgresql" else f"sqlite:///{tmp_path}/ledger.db"
    town = settle(migrated(url))
    settings = {"ROOMLINK_INGEST_PROCESSES": "2"}
    with CloudServer(tmp_path / "cloud", url, town_broker, settings, command="worker") as cloud:
        for terminal in TERMINALS:
            with kiosk_of(town_broker, town, terminal) as kiosk:
                kiosk.pen.check_in(person(1), town.occurrence)
                kiosk.send(kiosk.pen.batch())
                assert kiosk.answer().through == 1
        for child in psutil.Process(cloud.process.pid).children():
            child.kill()
        with kiosk_of(town_broker, town) as kiosk:
            kiosk.pen.check_in(person(2), town.occurrence)
            assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert count(town) == 3
    town.engine.dispose()


def test_restored_backup_makes_a_terminal_send_again_what_came_after_it(
    start: Start, town_broker: MosquittoServer, town: Town, tmp_path: Path
) -> None:
    cloud = start()

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "cloud", *arguments], env=os.environ | cloud.environment, cwd=ROOT, check=True
        )

    with kiosk_of(town_broker, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        before = kiosk.ask(kiosk.pen.batch())
        run("backup", str(tmp_path / "town.backup"))
        for number in (2, 3):
            kiosk.pen.check_in(person(number), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 3
        run("restore", "--yes", str(tmp_path / "town.backup"))
        after = kiosk.ask(kiosk.pen.batch(4, 0))
        assert (after.through, after.epoch > before.epoch) == (1, True)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 3
        assert (count(town), count(town, Attendance)) == (3, 3)
        run("rebuild", "ledger")
        assert (count(town), count(town, Attendance)) == (3, 3)
        run("rebuild", "series")
