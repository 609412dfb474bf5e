"""What was under way when the cloud died is made good as soon as it is back: nobody waits for the resend timeout.

The real uplink at the real broker, with a resend timeout that no test lives to see.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import Clock
from edge.link import Address, Link
from edge.links import Links
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, Method, Outcome
from tests.cloud import CloudServer
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import count
from tests.process import HOST
from tests.servers import MosquittoServer, wait_until
from tests.town import TERMINALS, Town

AN_HOUR_S = 3600.0


class Terminal:
    """Outbox, uplink and link, which repeat nothing by themselves within an hour."""

    def __init__(self, name: str, broker: MosquittoServer, folder: Path, town: Town) -> None:
        self.clock, self.config = Clock(), town.twins[name]
        self.outbox = Outbox.open(folder / f"{name}.db", terminal=name, clock=self.clock)
        self.uplink = Uplink(self.outbox, resend_timeout_s=AN_HOUR_S)
        address = Address(HOST, broker.port, name, broker.password(name), keepalive_s=5)
        birth = {"boot": self.clock.boot, "profile": "kiosk", "versions": {"agent": "test"}}
        self.link = Link(address, self.outbox, self.uplink, birth=birth)
        self.links = Links([self.link])
        self.outbox.on_append = lambda: self.links.wake(self.link)
        self.links.start()

    def check_in(self) -> None:
        self.outbox.append([CheckIn(**self.clock.stamp(self.config), method=Method.GUEST, outcome=Outcome.VISIT)])

    def all_stored(self) -> bool:
        return self.outbox.status().depth == 0

    def stop(self) -> None:
        self.links.stop()
        self.outbox.close()


@pytest.fixture
def terminals(town_broker: MosquittoServer, tmp_path: Path, town: Town) -> Iterator[list[Terminal]]:
    made = [Terminal(name, town_broker, tmp_path, town) for name in TERMINALS]
    yield made
    for each in made:
        each.stop()


def settled(cloud: CloudServer, terminals: list[Terminal]) -> None:
    """Everybody is connected, and everything that was made is stored."""
    assert wait_until(lambda: all(each.link.is_connected and each.all_stored() for each in terminals))
    assert wait_until(lambda: not any(each.uplink.in_flight for each in terminals))
    assert cloud.process.running


def lose_a_batch(terminals: list[Terminal]) -> None:
    """Sent while nobody listens: the broker takes it and has nobody to give it to."""
    for each in terminals:
        each.check_in()
    assert wait_until(lambda: all(each.uplink.in_flight for each in terminals))


def test_batch_that_was_stored_when_the_cloud_died_is_known_to_be_once_it_is_back(
    start: Start, terminals: list[Terminal], town: Town
) -> None:
    dying = start(program="tests.integration.dying_cloud")
    assert wait_until(lambda: all(each.link.is_connected for each in terminals))
    first = terminals[0]
    first.check_in()
    assert wait_until(lambda: not dying.process.running)
    assert not first.all_stored()
    start()
    assert wait_until(first.all_stored)
    assert count(town) == 1


def test_batch_that_nobody_heard_goes_again_once_the_cloud_is_back(
    start: Start, terminals: list[Terminal], town: Town
) -> None:
    cloud = start()
    for each in terminals:
        each.check_in()
    settled(cloud, terminals)
    cloud.kill()
    lose_a_batch(terminals)
    cloud.start()
    assert wait_until(lambda: all(each.all_stored() for each in terminals))
    assert count(town) == 4


def test_question_that_nobody_heard_is_answered_once_the_cloud_is_there(
    start: Start, terminals: list[Terminal], town: Town
) -> None:
    for each in terminals:
        each.check_in()
    assert wait_until(lambda: all(each.link.is_connected for each in terminals))
    start()
    assert wait_until(lambda: all(each.all_stored() for each in terminals))
    assert count(town) == 2


def test_restored_cloud_is_sent_what_came_after_the_backup_without_a_word_from_the_terminals(
    start: Start, terminals: list[Terminal], town: Town, tmp_path: Path
) -> None:
    cloud = start()
    for each in terminals:
        each.check_in()
    settled(cloud, terminals)
    cloud.run("backup", str(tmp_path / "town.backup"))
    for each in terminals:
        each.check_in()
    settled(cloud, terminals)
    assert count(town) == 4
    cloud.kill()
    cloud.run("restore", "--yes", str(tmp_path / "town.backup"))
    assert count(town) == 2
    cloud.start()
    assert wait_until(lambda: count(town) == 4)
    assert wait_until(lambda: all(each.all_stored() for each in terminals))


def test_terminal_that_went_while_the_cloud_was_away_is_told_nothing(
    start: Start, terminals: list[Terminal], town: Town
) -> None:
    cloud = start()
    settled(cloud, terminals)
    cloud.kill()
    gone, stays = terminals
    gone.links.stop()
    lose_a_batch([stays])
    cloud.start()
    assert wait_until(stays.all_stored)
    assert count(town) == 1
