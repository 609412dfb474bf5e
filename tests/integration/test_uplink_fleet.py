"""A fleet of simulated kiosks over the embedded broker: all connect, and all that is kept is stored."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import SettingsError
from edge.fleet import Fleet
from edge.settings import FleetSettings, load_settings
from firmware_specs.messages import Desired
from firmware_specs.presence_messages import Birth
from firmware_specs.topics import Channel
from firmware_specs.wire import encode
from tests.cloud_behind_broker import CloudBehindBroker
from tests.servers import EmbeddedBroker, wait_until

NAMES = [f"kiosk-sim-{index:02d}" for index in range(1, 9)]


@pytest.fixture
def users_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker that knows the fleet's terminals."""
    with EmbeddedBroker(tmp_path / "broker", dict.fromkeys(NAMES, "secret")) as broker:
        yield broker


@pytest.fixture
def cloud(users_broker: EmbeddedBroker) -> Iterator[CloudBehindBroker]:
    with CloudBehindBroker(users_broker) as cloud:
        yield cloud


@pytest.fixture
def settings(users_broker: EmbeddedBroker, tmp_path: Path) -> FleetSettings:
    (tmp_path / "terminals.json").write_text(json.dumps(dict.fromkeys(NAMES, "secret")))
    (tmp_path / "cards.txt").write_text("RL1:NOT A CARD\nsomething else\n")
    config = tmp_path / "fleet.toml"
    config.write_text(
        f'data_dir = "{tmp_path}/fleet"\nterminals_file = "{tmp_path}/terminals.json"\nseed = 7\n'
        f'cards_file = "{tmp_path}/cards.txt"\ncheck_ins_per_s = 100\nclock_trusted = true\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {users_broker.port}\n'
    )
    return load_settings(config, FleetSettings)


def test_fleet_connects_shows_cards_and_drains(cloud: CloudBehindBroker, settings: FleetSettings) -> None:
    fleet = Fleet(settings)
    fleet.start()
    assert wait_until(lambda: fleet.status().connected == len(NAMES) and fleet.status().kept > 50)
    fleet.stop_people()
    assert wait_until(lambda: fleet.status().waiting == 0)
    done = fleet.status()
    fleet.stop()
    assert done.shown == done.kept == len(cloud.double.check_in_ids())
    assert {stream.terminal for stream in cloud.double.streams.values()} == set(NAMES)


def test_fleet_takes_its_twins_and_appears_again_with_what_it_had(
    cloud: CloudBehindBroker, settings: FleetSettings
) -> None:
    for name in NAMES:
        cloud.send(name, Channel.DESIRED, encode(Desired(version=(1, 3), health_every_s=5.0)), retain=True)
    fleet = Fleet(settings, count=3)
    fleet.start()
    assert wait_until(lambda: all(kiosk.twin.version == (1, 3) for kiosk in fleet.kiosks))
    assert all(kiosk.health_every_s() == 5.0 for kiosk in fleet.kiosks)
    streams = {kiosk.outbox.status().stream for kiosk in fleet.kiosks}
    fleet.stop()
    again = Fleet(settings, count=3)
    assert {kiosk.outbox.status().stream for kiosk in again.kiosks} == streams
    again.start()
    assert wait_until(lambda: again.status().connected == 3)
    again.stop()
    births = [state for state in cloud.states if isinstance(state, Birth)]
    assert {birth.incarnation for birth in births} == streams


@pytest.mark.parametrize(
    ("change", "name"),
    [({"terminals_file": Path("nothing")}, "terminals_file"), ({"cards_file": Path("nothing")}, "cards_file")],
)
def test_fleet_names_a_file_that_is_missing(change: dict[str, Path], name: str, settings: FleetSettings) -> None:
    with pytest.raises(SettingsError, match=f"Setting {name}: nothing"):
        Fleet(settings.model_copy(update=change))
