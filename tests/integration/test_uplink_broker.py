"""The uplink over real brokers, with a small cloud behind them: presence, delivery, loss, restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import Clock
from edge.link import Address, Link
from edge.links import Links
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, Method, Outcome
from firmware_specs.presence_messages import Birth, Death
from tests.cloud_behind_broker import CloudBehindBroker
from tests.servers import BrokerServer, wait_until

TERMINAL = "kiosk-1"


class Terminal:
    """Outbox, uplink and link of one terminal."""

    def __init__(self, broker: BrokerServer, directory: Path) -> None:
        self.clock = Clock()
        self.outbox = Outbox.open(directory / "outbox.db", terminal=TERMINAL, clock=self.clock)
        address = Address("127.0.0.1", broker.port, TERMINAL, broker.password(TERMINAL), keepalive_s=5)
        birth = {"boot": self.clock.boot, "profile": "kiosk", "versions": {"agent": "test"}}
        self.link = Link(address, self.outbox, Uplink(self.outbox, resend_timeout_s=1.0), birth=birth)
        self.links = Links([self.link])
        self.outbox.on_append = lambda: self.links.wake(self.link)
        self.made: list[str] = []

    def check_in(self) -> None:
        record = CheckIn(**self.clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT)
        self.outbox.append([record])
        self.made.append(record.id)

    def stop(self) -> None:
        self.links.stop()
        self.outbox.close()


@pytest.fixture
def broker(broker: BrokerServer) -> BrokerServer:
    """With one terminal registered."""
    broker.set_user(TERMINAL)
    broker.apply_users()
    return broker


@pytest.fixture
def cloud(broker: BrokerServer) -> Iterator[CloudBehindBroker]:
    with CloudBehindBroker(broker) as cloud:
        yield cloud


@pytest.fixture
def terminal(broker: BrokerServer, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(broker, tmp_path)
    yield terminal
    terminal.stop()


def all_there(cloud: CloudBehindBroker, terminal: Terminal) -> bool:
    return terminal.outbox.status().depth == 0 and cloud.double.check_in_ids() == terminal.made


def test_record_reaches_the_cloud_and_is_marked_stored(cloud: CloudBehindBroker, terminal: Terminal) -> None:
    terminal.links.start()
    terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))
    terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))


def test_backlog_is_sent_in_full_batches_in_order(cloud: CloudBehindBroker, terminal: Terminal) -> None:
    for _ in range(450):
        terminal.check_in()
    terminal.links.start()
    assert wait_until(lambda: all_there(cloud, terminal))
    assert len(cloud.double.payloads) <= 1 + 4
    assert len(cloud.double.streams) == 1


def test_birth_comes_after_subscription_and_death_at_an_orderly_end(
    cloud: CloudBehindBroker, broker: BrokerServer, tmp_path: Path
) -> None:
    terminal = Terminal(broker, tmp_path)
    terminal.links.start()
    assert wait_until(lambda: len(cloud.states) == 1)
    terminal.stop()
    assert wait_until(lambda: len(cloud.states) == 2)
    birth, death = cloud.states
    assert isinstance(birth, Birth)
    assert isinstance(death, Death)
    assert death.reason == "stopped"
    assert (birth.incarnation, birth.connection) == (death.incarnation, death.connection)


def test_broker_restart_loses_nothing(cloud: CloudBehindBroker, terminal: Terminal, broker: BrokerServer) -> None:
    terminal.links.start()
    terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))
    cloud.leave()
    broker.kill()
    broker.wipe()
    for _ in range(5):
        terminal.check_in()
    broker.start()
    cloud.come_back()
    assert wait_until(lambda: all_there(cloud, terminal))
    births = [state for state in cloud.states if isinstance(state, Birth)]
    assert births[-1].connection > births[0].connection


def test_restored_cloud_gets_back_what_came_after_the_backup(cloud: CloudBehindBroker, terminal: Terminal) -> None:
    terminal.links.start()
    terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))
    backup = cloud.double.backup()
    for _ in range(20):
        terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))
    cloud.double.restore(backup)
    terminal.check_in()
    assert wait_until(lambda: all_there(cloud, terminal))
    assert len(cloud.double.streams) == 1
