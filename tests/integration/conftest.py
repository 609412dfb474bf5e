"""A settled ledger on either database, and clouds over it behind a broker that knows its terminals."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from cloud.certificates import authority
from cloud.database import transaction
from tests.alarming import Watch
from tests.cloud import CloudServer
from tests.enrolment import Device, found_authority
from tests.ledgers import migrated
from tests.mail_server import Mailbox
from tests.notifying import Told
from tests.office import Office, open_office
from tests.servers import MosquittoServer, PostgresServer
from tests.town import TERMINALS, Town, settle

Start = Callable[..., CloudServer]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    address: str = request.getfixturevalue("postgres_url")
    return address


@pytest.fixture
def town(ledger_url: str) -> Iterator[Town]:
    """A settled ledger on each database."""
    engine = migrated(ledger_url)
    yield settle(engine)
    engine.dispose()


@pytest.fixture
def town_broker(mosquitto: MosquittoServer) -> MosquittoServer:
    """Mosquitto, which knows the town's terminals and one that the town does not know."""
    for terminal in (*TERMINALS, "stranger"):
        mosquitto.set_user(terminal)
    mosquitto.apply_users()
    return mosquitto


@pytest.fixture
def start(tmp_path: Path, ledger_url: str, town: Town, town_broker: MosquittoServer) -> Iterator[Start]:
    """Starts clouds over the same ledger and broker, without a console where none is needed; all are stopped in the end."""
    clouds: list[CloudServer] = []

    def start(*, command: str = "worker", program: str = "cloud", **settings: str) -> CloudServer:
        cloud = CloudServer(tmp_path / f"cloud-{len(clouds)}", ledger_url, town_broker, settings, command, program)
        clouds.append(cloud)
        cloud.start()
        return cloud

    yield start
    for cloud in clouds:
        cloud.kill()


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The HTTP API on each database, one for all tests of a module: each makes what it needs."""
    folder = tmp_path_factory.mktemp("office")
    if request.param == "sqlite":
        with open_office(folder, f"sqlite:///{folder}/ledger.db") as office:
            yield office
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create_database()
    with open_office(folder, url) as office:
        yield office
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def enrolling(office: Office) -> Iterator[None]:
    """An authority for the module's ledger, nobody's guesses, and the real time afterwards."""
    with transaction(office.engine) as session:
        missing = session.scalar(text("SELECT COUNT(*) FROM authorities")) == 0
        session.execute(text("DELETE FROM wrong_claims"))
    if missing:
        found_authority(office.engine, office.settings, office.now())
    yield
    office.shift = timedelta(0)


@pytest.fixture
def device(office: Office) -> Device:
    """A registered kiosk that was not claimed yet."""
    room = office.room(office.organisation()["id"])
    return Device(office.terminal(room["id"])["terminal"]["id"], authority.new_key())


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server."""
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def told(town: Town, mailbox: Mailbox, tmp_path: Path) -> Told:
    """The town with its terminals online, whose alarms are told by mail."""
    watch = Watch(town, town.now)
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn()
    return Told(watch, tmp_path, mailbox.server())
