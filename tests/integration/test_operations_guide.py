"""The operations guide, tried by somebody who types what it says: every command of it, with real processes and real files.

Installs, founds the authority, enrols, puts another machine in a terminal's place, shuts it out, brings in what it held, rotates,
backs up, loses the machine, restores into an empty folder, upgrades; at the end no command of the page is left.
"""

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select

from cloud.alarms import saying
from cloud.alarms.models import AlarmRule
from cloud.console.words import Language, Words
from cloud.database import transaction
from demo.world import Api, make_world
from tests.bench.service import write_toml
from tests.guide import OPERATIONS, block, fenced, rows
from tests.ledgers import migrated
from tests.newcomer import Newcomer
from tests.process import HOST, Process, accepts, free_port, wait_until
from tests.servers import CLOUD_USER, PublishedTlsMosquitto

STOLEN, MENDED = "kiosk-1", "kiosk-2"
DATA = "/var/lib/roomlink"
HEAD = "python -m cloud audit verify  "
"""The command without an option."""
LISTS = ("organisations", "rooms", "members", "terminals", "activities", "accounts", "alarm-rules", "check-ins")


@dataclass
class Site:
    """The machine of the guide: its folders, the broker beside the cloud, and who types."""

    folder: Path
    port: int = field(default_factory=free_port)
    token: str = ""

    def __post_init__(self) -> None:
        for name in ("stick", "backup", "etc"):
            (self.folder / name).mkdir()
        (self.folder / "passphrase").write_text("a passphrase of a test\n")
        self.data = self.folder / "data"
        self.broker = PublishedTlsMosquitto(self.folder / "broker", self.data / "authority")
        self.broker.set_user(CLOUD_USER)
        self.cloud, self.agent = Process(self.folder / "cloud.log"), Process(self.folder / "agent.log")
        self.guide = Newcomer(self.folder, fenced(OPERATIONS), self.places(self.data), self.folder / "passphrase")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def places(self, data: Path) -> dict[str, str]:
        """On each machine the data folder is another one."""
        return {
            "/media/stick": str(self.folder / "stick"), "/media/backup": str(self.folder / "backup"),
            "/etc/roomlink": str(self.folder / "etc"), DATA: str(data), "broker.example.org": HOST,
            "https://roomlink.example.org": self.url,
        }  # fmt: skip

    def write_settings(self) -> None:
        """The guide's file, with this test's ports and secret in it."""
        said = tomllib.loads(block(OPERATIONS, "toml").replace(DATA, str(self.data)))
        here = {
            "port": self.port, "public_url": self.url, "mqtt_port": self.broker.cloud_port,
            "mqtt_password": self.broker.password(), "terminals_mqtt_host": HOST,
            "terminals_mqtt_port": self.broker.port, "mosquitto_pid_file": str(self.broker.pid_file),
        }  # fmt: skip
        assert here.keys() <= said.keys()
        write_toml(self.folder / "etc" / "cloud.toml", said | here)

    def serve(self) -> None:
        self.guide.start("python -m cloud serve", self.cloud, ready=lambda: accepts(self.port))

    def start_broker(self) -> None:
        """Once the cloud has published what it reads, as run.sh does."""
        before = self.cloud.log().count('"broker_connected"')
        published = [self.broker.certificates / name for name in ("ca.pem", "revoked.pem", "server.pem")]
        assert wait_until(lambda: all(file.exists() for file in published))
        self.broker.start()
        assert wait_until(lambda: self.cloud.log().count('"broker_connected"') > before)

    def close(self) -> None:
        self.agent.kill()
        self.cloud.kill()
        self.broker.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


def test_every_command_of_the_guide_does_what_the_guide_says(site: Site) -> None:
    install(site)
    found_the_authority(site)
    api = Api(site.url, site.token)
    make_world(api, [STOLEN, MENDED], 2, lambda _line: None)
    put_another_machine_in_a_terminals_place(site, api)
    shut_one_out_and_bring_in_what_it_held(site, api)
    rotate(site)
    look_at_the_audit(site)
    exchange_the_issuer_key(site)
    before = what_there_is(api)
    head = back_up(site)
    lose_the_machine_and_restore(site, head)
    assert what_there_is(api) == before
    upgrade(site)
    assert what_there_is(api) == before
    api.close()
    assert site.guide.left == []


def install(site: Site) -> None:
    guide = site.guide
    guide.note("make install")  # tests/unit/test_documented_commands.py looks at what it would do
    guide.note(". .venv/bin/activate")
    guide.export("ROOMLINK_CONFIG")
    site.write_settings()
    assert "up to date" in guide.type("python -m cloud migrate")
    assert guide.type("python -m cloud user add", {"NAME": "anna"}).strip()
    site.serve()
    assert "BAD  broker" in guide.type("python -m cloud doctor", status=1)
    site.token = guide.type("python -m cloud token add", {"NAME": "anna", "operator": "admin"}).split()[-1]


def found_the_authority(site: Site) -> None:
    guide = site.guide
    assert "keep both off this machine" in guide.type("python -m cloud ca init")
    guide.type("python -m cloud ca server")
    guide.type("python -m cloud ca service")
    guide.type("python -m cloud ca backup")
    site.start_broker()


def claim(site: Site, api: Api, terminal: str, machine: str) -> None:
    code = api.post(f"/terminals/{terminal}/claim-code")["code"]
    site.guide.places = site.places(site.folder / machine)
    said = site.guide.type("python -m edge claim", {"CODE": code})
    site.guide.places = site.places(site.data)
    assert terminal in said


def put_another_machine_in_a_terminals_place(site: Site, api: Api) -> None:
    claim(site, api, MENDED, "broken")
    claim(site, api, MENDED, "new")
    newest, oldest = api.get(f"/terminals/{MENDED}/certificates")["items"]
    assert (newest["revoked_at"], oldest["revoke_reason"]) == (None, "claimed anew")


def shut_one_out_and_bring_in_what_it_held(site: Site, api: Api) -> None:
    guide = site.guide
    claim(site, api, STOLEN, "stolen")
    guide.places = site.places(site.folder / "stolen")
    guide.start("python -m edge run", site.agent, ready=lambda: "is running" in site.agent.log())
    assert wait_until(lambda: api.get(f"/terminals/{STOLEN}")["presence"] == "online", 60)
    found = guide.type("python -m edge doctor", status=None)  # this machine's clock and disk are as they are
    assert all(f"ok    {what}: " in found for what in ("outbox", "identity", "broker", "certificate", "cloud")), found
    site.agent.stop()
    guide.type("python -m cloud ca revoke", {"ID": STOLEN})
    assert not api.get(f"/terminals/{STOLEN}")["enabled"]
    guide.type("python -m edge export outbox")
    assert STOLEN in guide.type("python -m cloud import outbox")
    guide.places = site.places(site.data)


def rotate(site: Site) -> None:
    guide = site.guide
    guide.type("python -m cloud ca rotate")
    guide.type("python -m cloud ca server")
    guide.type("python -m cloud ca service")
    listed = [line.split("\t") for line in guide.type("python -m cloud ca list").splitlines()]
    assert [each[3] for each in listed if each[0] == "intermediate"] == ["retired", "in use"]
    guide.type("python -m cloud ca backup")


def look_at_the_audit(site: Site) -> None:
    guide = site.guide
    head = guide.type(HEAD).split()[-1]
    assert head in guide.type("python -m cloud audit verify --expect", {"NUMBER:HASH": head})
    guide.type("python -m cloud audit export")
    assert (site.folder / "november.jsonl").exists()


def exchange_the_issuer_key(site: Site) -> None:
    _, _, method, _, header, address = site.guide.note("curl")
    name, _, value = header.partition(": ")
    answer = httpx.request(method, address, headers={name: value.replace("$TOKEN", site.token)})
    assert answer.status_code == 201, answer.text


def back_up(site: Site) -> str:
    """The head of the audit that was kept with it."""
    head = site.guide.type(HEAD).split()[-1]
    site.guide.type("python -m cloud backup")
    site.guide.type("cp -p /var/lib/roomlink/issuer.key")
    return head


def lose_the_machine_and_restore(site: Site, head: str) -> None:
    guide = site.guide
    site.cloud.kill()
    site.broker.kill()
    shutil.rmtree(site.data)
    guide.type("mkdir")
    guide.type("cp -p /media/stick")
    assert "epoch" in guide.type("python -m cloud restore")
    guide.type("python -m cloud audit verify --expect", {"NUMBER:HASH": head})
    guide.type("python -m cloud ca server")
    assert "made anew" in guide.type("python -m cloud rebuild series")
    site.serve()
    site.start_broker()
    assert "BAD" not in guide.type("python -m cloud doctor")


def upgrade(site: Site) -> None:
    site.cloud.stop()
    site.guide.note("make install")
    assert "up to date" in site.guide.type("python -m cloud migrate")
    site.serve()
    assert "BAD" not in site.guide.type("python -m cloud doctor")


def what_there_is(api: Api) -> dict[str, Any]:
    """The ids in every list that people look at."""
    found: dict[str, Any] = {name: sorted(str(each["id"]) for each in api.pages(f"/{name}")) for name in LISTS}
    return found | {"keys": api.get("/issuer-keys")}


def test_guide_tells_of_every_alarm_that_comes_with_the_schema_in_the_rules_own_words(tmp_path: Path) -> None:
    words = Words(Language.ENGLISH, ZoneInfo("UTC"))
    engine = migrated(f"sqlite:///{tmp_path}/ledger.db")
    with transaction(engine, read_only=True) as session:
        built_in = session.scalars(select(AlarmRule).order_by(AlarmRule.id)).all()
        want = [[saying.name(words, rule), words(f"alarm.{rule.severity}"), saying.condition(words, rule),
                 saying.todo(words, rule)] for rule in built_in]  # fmt: skip
    engine.dispose()
    told = rows(OPERATIONS, "alarm", "severity", "raised when", "means", "do")
    assert [[row[0], row[1], row[2], row[4]] for row in told] == want
    assert all(row[3] for row in told)
