"""A town that loses its machine: cloud under certificates, a kiosk that went on, a backup, and an empty folder to restore into.

Real processes on both ledgers: every table and every measurement is compared; then the same kiosk comes back by its certificate
and sends again what came after the backup, and who was shut out before or after it stays so.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography import x509
from PIL import Image
from sqlalchemy import inspect, text

from cloud.database import create_engine_for
from cloud.timeseries.port import Measurement
from demo.world import Api, Card, make_world
from tests.bench.service import write_toml
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.process import HOST, Process, ServerError, free_port, wait_until
from tests.servers import CLOUD_USER, PublishedTlsMosquitto

KIOSK, GONE_BEFORE, GONE_AFTER = "kiosk-1", "kiosk-2", "kiosk-3"
MEMBERS = 5
SOON_S = 90.0
BEGUN_ANEW = {"epoch", "projector_cursor"}
"""Tables whose one row a restore changes, on purpose."""


@dataclass
class Machine:
    """One machine with its cloud; `said` is what a command of it printed."""

    folder: Path
    ledger: str
    cloud: CloudServer

    @property
    def series(self) -> Path:
        return self.folder / "timeseries.duckdb"

    def said(self, *arguments: str) -> list[str]:
        log = self.folder / "command.log"
        log.unlink(missing_ok=True)
        self.cloud.run(*arguments)
        return log.read_text().strip().splitlines()

    def rows(self) -> dict[str, list[str]]:
        """All rows of all tables, in order."""
        engine = create_engine_for(self.ledger)
        with engine.connect().execution_options(read_only=True) as connection:
            names = inspect(connection).get_table_names()
            found = {name: sorted(map(str, connection.execute(text(f"SELECT * FROM {name}")))) for name in names}
        engine.dispose()
        return found

    def points(self) -> dict[str, int]:
        """How many there are by measurement, while nobody has the file open."""
        with duckdb.connect(str(self.series), read_only=True) as store:
            count = "SELECT COUNT(*) FROM "
            return {each.value: store.execute(count + each).fetchall()[0][0] for each in Measurement}


@dataclass
class Site:
    """Everything that is not lost: the kiosks, the stick, the broker's port."""

    folder: Path
    broker: PublishedTlsMosquitto
    old: Machine
    token: str = ""
    cards: tuple[Card, ...] = ()
    agents: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.camera = self.folder / "camera"
        self.camera.mkdir()
        self.stick = self.folder / "stick"
        self.stick.mkdir()
        (self.stick / "passphrase").write_text("a passphrase of a test\n")
        Image.new("L", (1280, 720), 190).save(self.camera / "empty-room.png")

    @property
    def phrase(self) -> tuple[str, str]:
        return "--passphrase-file", str(self.stick / "passphrase")

    def api(self) -> Api:
        return Api(self.old.cloud.url, self.token)

    def config(self, terminal: str) -> Path:
        return self.folder / f"{terminal}.toml"

    def claim(self, api: Api, terminal: str) -> None:
        camera = str(self.camera) if terminal == KIOSK else ""
        kiosk: dict[str, object] = {"camera": camera, "page_port": free_port()}
        write_toml(self.config(terminal), {"data_dir": str(self.folder / terminal), "kiosk": kiosk})
        code = api.post(f"/terminals/{terminal}/claim-code")["code"]
        command = [
            sys.executable,
            "-m",
            "edge",
            "claim",
            self.old.cloud.url,
            code,
            "--config",
            str(self.config(terminal)),
        ]
        Process(self.folder / "claims.log").run(command)

    def start_agent(self, terminal: str) -> Process:
        agent = self.agents.setdefault(terminal, Process(self.folder / f"{terminal}.log"))
        before = agent.log().count("is running")
        command = [sys.executable, "-m", "edge", "run", "--config", str(self.config(terminal))]
        agent.spawn(command, ready=lambda: agent.log().count("is running") > before)
        return agent

    def show(self, api: Api, number: int) -> None:
        """A member's card before the camera until it is stored, and the empty room again."""
        card, kept = self.cards[number - 1], len(check_ins(api))
        draft = self.camera / "card.new"
        draft.write_bytes(api.get_bytes(f"/credentials/{card.credential_id}/card.png"))
        draft.rename(self.camera / "card.png")
        assert wait_until(lambda: len(check_ins(api)) > kept, SOON_S)
        (self.camera / "card.png").unlink()

    def close(self) -> None:
        for agent in self.agents.values():
            agent.kill()
        self.old.cloud.kill()
        self.broker.close()


def check_ins(api: Api) -> list[dict[str, Any]]:
    """Those that are linked to a member."""
    return [each for each in api.pages("/check-ins") if each["member_id"] is not None]


def machine(folder: Path, ledger: str, broker: PublishedTlsMosquitto, port: int) -> Machine:
    settings = {
        "ROOMLINK_AUTHORITY_DIR": str(broker.certificates), "ROOMLINK_TERMINALS_MQTT_HOST": HOST,
        "ROOMLINK_TERMINALS_MQTT_PORT": str(broker.port), "ROOMLINK_MOSQUITTO_PID_FILE": str(broker.pid_file),
        "ROOMLINK_PORT": str(port),
    }  # fmt: skip
    cloud = CloudServer(folder, ledger, broker, settings)
    cloud.port = port
    return Machine(folder, ledger, cloud)


@pytest.fixture
def site(tmp_path: Path, ledger_url: str) -> Iterator[Site]:
    broker = PublishedTlsMosquitto(tmp_path / "broker", tmp_path / "authority")
    broker.set_user(CLOUD_USER)
    migrated(ledger_url).dispose()
    site = Site(tmp_path, broker, machine(tmp_path / "old", ledger_url, broker, free_port()))
    try:
        old, root = site.old, str(site.stick / "root.p12")
        old.said("ca", "init", "--root", root, "--name", "Town", *site.phrase)
        old.said("ca", "server", HOST, "--to", str(broker.certificates))
        broker.start()
        old.cloud.start()
        old.said("user", "add", "anna", "--role", "admin")
        site.token = old.said("token", "add", "anna", "--name", "test", "--role", "admin")[-1]
        yield site
    finally:
        site.close()


@pytest.fixture
def another_ledger(tmp_path: Path, ledger_url: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database of the same kind."""
    if ledger_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/new/ledger.db"
    url: str = request.getfixturevalue("postgres").create_database()
    return url


def test_town_is_restored_into_an_empty_folder_and_loses_nothing_that_a_kiosk_still_keeps(
    site: Site, another_ledger: str
) -> None:
    with closing(site.api()) as api:
        settle(site, api)
        at_backup, points, head = back_up(site)
        after = live_on(site, api)
        new = lose_and_restore(site, another_ledger, head)
        assert_all_is_there(new, at_backup, points)
        shut_out_again_and_serve(site, new)
        assert_the_kiosk_comes_back_and_nothing_is_lost_or_doubled(site, api, after)
        assert_who_was_shut_out_stays_out(site, api)
        assert_people_find_what_they_left(api)
    site.agents[KIOSK].stop()
    new.cloud.stop()
    assert new.points()["attendance"] == MEMBERS


def settle(site: Site, api: Api) -> None:
    """Two check-ins of the real kiosk, a command, an alarm that somebody knows of, a terminal that was shut out."""
    site.cards = make_world(api, [KIOSK, GONE_BEFORE, GONE_AFTER], MEMBERS, lambda _line: None).cards
    api.post("/templates", settings={"health_every_s": 5.0})
    api.post("/accounts", name="beate", role="viewer", password="correct-horse-9")
    above = {"metric": "memory_percent", "compare": "above", "level": 0.01}
    rule = api.post("/alarm-rules", name="示例", kind="threshold", everywhere=True, **above)["id"]
    for terminal in (KIOSK, GONE_BEFORE, GONE_AFTER):
        site.claim(api, terminal)
    api.post(f"/terminals/{GONE_BEFORE}/revoke", reason="it was stolen")
    site.start_agent(KIOSK)
    assert wait_until(lambda: bool((api.get(f"/terminals/{KIOSK}")["reported"] or {}).get("applied")), SOON_S)
    site.show(api, 1)
    site.show(api, 2)
    asked = api.post(f"/terminals/{KIOSK}/commands", name="sync_now", arguments={}, lasts_s=300)
    assert wait_until(lambda: api.get(f"/commands/{asked['id']}")["settled_at"] is not None, SOON_S)
    assert wait_until(lambda: bool(alarms(api, rule_id=rule)), SOON_S)
    api.post(f"/alarms/{alarms(api, rule_id=rule)[0]}/acknowledgement", comment="Anna looks at it")


def alarms(api: Api, **which: Any) -> list[str]:
    """The active ones."""
    return [each["id"] for each in api.pages("/alarms", state="active", **which)]


def back_up(site: Site) -> tuple[dict[str, list[str]], dict[str, int], str]:
    """All rows, all points and the audit's head of a moment of rest; and the files on the stick."""
    old = site.old
    site.agents[KIOSK].stop()
    old.cloud.stop()
    head = old.said("audit", "verify")[-1]
    old.said("ca", "backup", str(site.stick / "authority.backup"), *site.phrase)
    old.said("backup", str(site.stick / "roomlink.backup"))
    shutil.copy2(old.folder / "issuer.key", site.stick)
    return old.rows(), old.points(), head


def live_on(site: Site, api: Api) -> list[str]:
    """After the backup: two more check-ins, and another terminal is shut out. The record ids of all check-ins so far."""
    site.old.cloud.start()
    site.start_agent(KIOSK)
    site.show(api, 3)
    site.show(api, 4)
    api.post(f"/terminals/{GONE_AFTER}/revoke", reason="it was stolen, too")
    assert wait_until(lambda: shut_out(site) == 2, SOON_S)
    return sorted(each["record_id"] for each in check_ins(api))


def shut_out(site: Site) -> int:
    """How many certificates the broker's list names."""
    return len(x509.load_pem_x509_crl((site.broker.certificates / "revoked.pem").read_bytes()))


def lose_and_restore(site: Site, ledger: str, head: str) -> Machine:
    """What is left: the kiosks, the stick, and the broker's last list. The kiosk goes on meanwhile."""
    site.old.cloud.kill()
    site.broker.kill()
    shutil.copy2(site.broker.certificates / "revoked.pem", site.stick)
    shutil.rmtree(site.broker.certificates)
    site.broker.wipe()
    new = machine(site.folder / "new", ledger, site.broker, site.old.cloud.port)
    site.broker.certificates.mkdir()
    shutil.copy2(site.stick / "revoked.pem", site.broker.certificates)
    shutil.copy2(site.stick / "issuer.key", new.folder)
    said = new.said("restore", str(site.stick / "roomlink.backup"), "--yes")
    assert [line.split()[0] for line in said if "python -m cloud ca revoke" in line] == [GONE_AFTER]
    new.said("audit", "verify", "--expect", head)
    return new


def assert_all_is_there(new: Machine, at_backup: dict[str, list[str]], points: dict[str, int]) -> None:
    """Every row of every table; the audit's chain was looked at; the epoch has risen; and every measurement, made anew."""
    restored = new.rows()
    assert {name: len(rows) for name, rows in restored.items()} == {name: len(rows) for name, rows in at_backup.items()}
    assert {name for name in restored if restored[name] != at_backup[name]} == BEGUN_ANEW
    assert restored["epoch"] > at_backup["epoch"]  # numbers of as many digits for the next 260 years
    new.said("rebuild", "series")
    assert new.points() == points


def shut_out_again_and_serve(site: Site, new: Machine) -> None:
    """Without `authority.key`, which is lost: the intermediates come out of their own backup."""
    with pytest.raises(ServerError, match="put it back"):
        new.said("ca", "server", HOST, "--to", str(site.broker.certificates))
    new.said("ca", "restore", str(site.stick / "authority.backup"), *site.phrase)
    new.said("ca", "revoke", GONE_AFTER, "--reason", "shut out after the backup")
    new.said("ca", "server", HOST, "--to", str(site.broker.certificates))
    assert shut_out(site) == 2
    site.broker.start()
    new.cloud.start()
    site.old = new


def assert_the_kiosk_comes_back_and_nothing_is_lost_or_doubled(site: Site, api: Api, before: list[str]) -> None:
    assert wait_until(lambda: len(check_ins(api)) >= len(before), SOON_S)
    assert sorted(each["record_id"] for each in check_ins(api)) == before
    site.show(api, 5)
    found = check_ins(api)
    assert (
        len({each["member_id"] for each in found})
        == len({each["record_id"] for each in found})
        == MEMBERS
        == len(found)
    )
    assert len(site.old.rows()["attendance"]) == MEMBERS
    assert len(list(api.pages("/streams", terminal_id=KIOSK))) == 1
    assert api.get(f"/terminals/{KIOSK}")["marks"] == []
    assert wait_until(lambda: api.get(f"/terminals/{KIOSK}")["presence"] == "online", SOON_S)


def assert_who_was_shut_out_stays_out(site: Site, api: Api) -> None:
    for terminal in (GONE_BEFORE, GONE_AFTER):
        before = refused(site)
        agent = site.start_agent(terminal)
        assert wait_until(partial(refused_again, site, before), SOON_S)
        agent.stop()
        shown = api.get(f"/terminals/{terminal}")
        assert (shown["enabled"], shown["presence"]) == (False, "never")
        assert all(each["revoked_at"] for each in api.get(f"/terminals/{terminal}/certificates")["items"])


def refused(site: Site) -> int:
    """How many certificates the broker would not take so far."""
    return site.broker.process.log().count("certificate verify failed")


def refused_again(site: Site, before: int) -> bool:
    return refused(site) > before


def assert_people_find_what_they_left(api: Api) -> None:
    """Accounts, the command's end, the alarm with who knows of it."""
    assert {each["name"] for each in api.pages("/accounts")} == {"anna", "beate"}
    commands = [(each["name"], each["state"]) for each in api.pages("/commands", terminal_id=KIOSK)]
    assert commands == [("sync_now", "done")]
    assert len(alarms(api, acknowledged=True)) == 1
