"""`python -m cloud ca` as people run it: root kept apart, intermediates rotated, terminals shut out, keys backed up."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import text
from typer.testing import CliRunner, Result

from cloud import backup as backups
from cloud import doctor
from cloud.audit.service import Change
from cloud.certificates import authority, commands, issuing, service, standing
from cloud.certificates.authorities import pem
from cloud.clock import utc_now
from cloud.credentials import issuer_keys
from cloud.database import create_engine_for, transaction
from cloud.errors import CloudError
from cloud.keybox import KeyBox
from cloud.scope import EVERYWHERE
from cloud.settings import load_settings
from tests.ledgers import migrated
from tests.town import settle

Run = Callable[..., Result]
PASSPHRASE = "eleven lamps in a row"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a cloud of its own, whose ledger has a terminal `kiosk-1`, and the passphrase in `secret`."""
    for name in [name for name in os.environ if name.startswith("ROOMLINK_")]:
        monkeypatch.delenv(name)
    own = {"ROOMLINK_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db", "ROOMLINK_DATA_DIR": str(tmp_path / "data")}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "secret").write_text(f"{PASSPHRASE}\n")
    engine = migrated(own["ROOMLINK_DATABASE_URL"])
    settle(engine)
    engine.dispose()
    return own


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in the folder of the test, and with this process's log."""
    monkeypatch.setattr(commands, "start", load_settings)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(commands.ca, arguments[1:], env=more)

    return command


def refused(done: Result, says: str) -> None:
    """One sentence, which `main` gives exit status 2."""
    assert isinstance(done.exception, CloudError), done.output
    assert says in done.exception.sentence


def good(done: Result) -> str:
    assert done.exit_code == 0, (done.output, done.exception)
    assert PASSPHRASE not in done.output
    return done.output


def test_a_mistake_is_one_sentence_and_exit_status_2(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cloud", "ca", "init", "--root", str(tmp_path / "root.p12")]
    done = subprocess.run(
        command, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "Type the passphrase at a terminal, or give it by --passphrase-file.\n"
    assert not (tmp_path / "root.p12").exists()


def init(run: Run) -> str:
    return good(run("ca", "init", "--root", "root.p12", "--passphrase-file", "secret", "--name", "Town"))


def test_an_authority_is_made_once_and_its_root_is_kept_apart(run: Run, tmp_path: Path) -> None:
    said = init(run)
    assert "keep both off this machine" in said
    assert stat.S_IMODE((tmp_path / "root.p12").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data/authority.key").stat().st_mode) == 0o600
    assert {each.name for each in (tmp_path / "data/authority").iterdir()} == {
        "ca.pem", "root.pem", "chain.pem", "revoked.pem",
    }  # fmt: skip
    root, intermediate = x509.load_pem_x509_certificates((tmp_path / "data/authority/ca.pem").read_bytes())
    assert authority.is_issued_by(intermediate, root)
    assert authority.terminal_of(root) == "Town root"
    again = run("ca", "init", "--root", "other.p12", "--passphrase-file", "secret")
    refused(again, "There is a certificate authority already")
    assert not (tmp_path / "other.p12").exists()


def test_mistakes_are_said_in_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "there").write_text("")
    refused(run("ca", "init", "--root", "root.p12"), "Type the passphrase at a terminal")
    refused(run("ca", "init", "--root", "root.p12", "--passphrase-file", "short"), "at least 12 characters")
    refused(run("ca", "init", "--root", "root.p12", "--passphrase-file", "nowhere"), "nowhere cannot be read")
    refused(run("ca", "init", "--root", "there", "--passphrase-file", "secret"), "there already")
    refused(run("ca", "init", "--root", "no/where/root.p12", "--passphrase-file", "secret"), "cannot be written")
    refused(run("ca", "rotate", "--root", "there", "--passphrase-file", "secret"), "cannot be opened")
    refused(run("ca", "server", "127.0.0.1", "--to", "broker"), "no certificate authority yet")
    refused(run("ca", "backup", "file", "--passphrase-file", "secret"), "no certificate authority yet")
    refused(run("ca", "revoke", "kiosk-9"), "There is no terminal kiosk-9")
    refused(run("ca", "revoke", "kiosk-1", "--reason", "x"), "--reason is a sentence")
    refused(run("ca", "init", "--root", "r", "--passphrase-file", "secret", "--name", "x" * 26), "1 to 25 characters")
    refused(
        run("ca", "init", "--root", "r", "--passphrase-file", "secret", "--name", "a\u202eb"), "--name is not right"
    )
    refused(run("ca", "list", ROOMLINK_REVOCATION_LIST_DAYS="1"), "ROOMLINK_REVOCATION_LIST_DAYS is not right")
    init(run)
    refused(run("ca", "server", "two words", "--to", "broker"), "no host name")
    refused(run("ca", "service", "kiosk-1", "--to", "broker"), "A terminal could be called 'kiosk-1'")
    refused(run("ca", "server", "127.0.0.1", "--to", "there"), "cannot be written")
    (tmp_path / "data/authority.key").chmod(0o644)
    refused(run("ca", "server", "127.0.0.1", "--to", "broker"), "chmod 600")


def test_broker_and_service_get_key_and_certificate(run: Run, tmp_path: Path) -> None:
    init(run)
    good(run("ca", "server", "broker.example.org", "192.0.2.7", "--to", "broker"))
    good(run("ca", "service", "roomlink-cloud", "--to", "cloud"))
    root, _ = x509.load_pem_x509_certificates((tmp_path / "data/authority/ca.pem").read_bytes())
    for folder, name in (("broker", "server"), ("cloud", "roomlink-cloud")):
        key_file = tmp_path / folder / f"{name}-key.pem"
        key = load_pem_private_key(key_file.read_bytes(), None)
        leaf, intermediate = x509.load_pem_x509_certificates((tmp_path / folder / f"{name}.pem").read_bytes())
        assert leaf.public_key() == key.public_key()
        assert authority.is_issued_by(leaf, intermediate)
        assert authority.is_issued_by(intermediate, root)
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    listed = good(run("ca", "list")).splitlines()
    assert [line.split("\t")[0] for line in listed] == ["root", "intermediate", "list", "server", "service"]
    assert "broker.example.org" in listed[3]


def test_no_certificate_is_handed_out_that_the_ledger_does_not_know(run: Run, tmp_path: Path) -> None:
    init(run)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'as if its disk was full'); END"
        )
    for command in (("server", "127.0.0.1"), ("service", "roomlink-cloud")):
        assert run("ca", *command, "--to", "broker").exit_code != 0
    assert not list((tmp_path / "broker").glob("*"))


def test_rotation_takes_the_root_that_terminals_trust(run: Run, tmp_path: Path) -> None:
    init(run)
    (tmp_path / "wrong").write_text("another passphrase\n")
    refused(run("ca", "rotate", "--root", "root.p12", "--passphrase-file", "wrong"), "passphrase is wrong")
    before = x509.load_pem_x509_certificates((tmp_path / "data/authority/chain.pem").read_bytes())
    good(run("ca", "rotate", "--root", "root.p12", "--passphrase-file", "secret"))
    after = x509.load_pem_x509_certificates((tmp_path / "data/authority/chain.pem").read_bytes())
    assert after[: len(before)] == before
    assert len(after) == 2
    assert (tmp_path / "data/authority/revoked.pem").read_text().count("BEGIN X509 CRL") == 2
    states = [line.split("\t")[3] for line in good(run("ca", "list")).splitlines() if line.startswith("intermediate")]
    assert states == ["retired", "in use"]


def test_another_root_cannot_rotate(run: Run, tmp_path: Path) -> None:
    init(run)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE authorities SET root = ?", (pem(_stranger()),))
    refused(run("ca", "rotate", "--root", "root.p12", "--passphrase-file", "secret"), "another root")


def _stranger() -> x509.Certificate:
    return authority.make_root("Elsewhere", utc_now()).certificate


def test_a_terminal_is_shut_out_by_the_command_line(run: Run, tmp_path: Path) -> None:
    init(run)
    done = run("ca", "revoke", "kiosk-1", "--reason", "it was stolen", ROOMLINK_MQTT_PORT="1")
    assert "kiosk-1 is shut out" in good(done)
    assert "The service goes on trying." in done.output  # no broker is there
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert ledger.execute("SELECT enabled FROM terminals WHERE id = 'kiosk-1'").fetchone() == (0,)
        assert ledger.execute("SELECT terminal_id FROM session_cuts").fetchall() == [("kiosk-1",)]


def test_a_service_that_lost_its_key_is_in_the_list(run: Run, tmp_path: Path) -> None:
    init(run)
    good(run("ca", "service", "roomlink-cloud", "--to", "cloud"))
    leaf, _ = x509.load_pem_x509_certificates((tmp_path / "cloud/roomlink-cloud.pem").read_bytes())
    assert "1 of its certificates" in good(run("ca", "revoke", "roomlink-cloud", "--reason", "its key was seen"))
    found = x509.load_pem_x509_crl((tmp_path / "data/authority/revoked.pem").read_bytes())
    assert [each.serial_number for each in found] == [leaf.serial_number]
    assert "service" not in good(run("ca", "list"))


def test_a_backup_brings_the_intermediates_back_under_another_key_file(run: Run, tmp_path: Path) -> None:
    init(run)
    said = good(run("ca", "backup", "ca.backup", "--passphrase-file", "secret"))
    assert "Not in it: the root's key" in said
    assert stat.S_IMODE((tmp_path / "ca.backup").stat().st_mode) == 0o600
    refused(run("ca", "backup", "ca.backup", "--passphrase-file", "secret"), "there already")
    (tmp_path / "data/authority.key").unlink()
    refused(run("ca", "server", "127.0.0.1", "--to", "broker"), "cannot be read; put it back")
    good(run("ca", "restore", "ca.backup", "--passphrase-file", "secret"))
    good(run("ca", "server", "127.0.0.1", "--to", "broker"))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.executescript("DELETE FROM certificates; DELETE FROM authorities;")
    good(run("ca", "restore", "ca.backup", "--passphrase-file", "secret"))
    good(run("ca", "rotate", "--root", "root.p12", "--passphrase-file", "secret"))


def test_the_doctor_looks_at_authority_and_list(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says() -> list[tuple[bool, str]]:
        found = doctor.examine(load_settings())
        return [(each.ok, each.says) for each in found if each.what == "authority"]

    assert says() == [(True, "there is none yet; python -m cloud ca init makes one")]
    init(run)
    key, intermediate, revoked = says()
    assert (key[0], intermediate[0], revoked[0]) == (True, True, True)
    assert intermediate[1].startswith("the intermediate lasts 18")
    assert revoked[1].startswith("the revocation list lasts ")
    monkeypatch.setenv("ROOMLINK_REVOCATION_LIST_DAYS", "365")
    assert not says()[2][0]
    monkeypatch.delenv("ROOMLINK_REVOCATION_LIST_DAYS")
    path = tmp_path / "data/authority/revoked.pem"
    path.write_bytes(path.read_bytes()[:200])
    assert "The broker must not be told to read it" in says()[2][1]
    path.unlink()
    assert "is the service running?" in says()[2][1]
    (tmp_path / "data/authority.key").chmod(0o640)
    assert not says()[0][0]
    (tmp_path / "data/authority.key").unlink()
    lost = f"no list can be signed: The key file {tmp_path}/data/authority.key cannot be read; put it back."
    assert says()[0] == (False, f"{lost} Or: python -m cloud ca restore FILE")


def test_the_doctor_says_when_the_key_file_of_the_issuer_keys_is_lost_or_another_one(run: Run, tmp_path: Path) -> None:
    def says() -> list[tuple[bool, str]]:
        return [(each.ok, each.says) for each in doctor.examine(load_settings()) if each.what == "key file"]

    box = KeyBox(load_settings().key_file())
    engine = create_engine_for(load_settings().ledger_url())
    with transaction(engine) as session:
        issuer_keys.create(session, Change("test", utc_now()), "TOWN", box)
    engine.dispose()
    assert [ok for ok, _ in says()] == [True]
    box.path.unlink()
    assert says() == [(False, f"no card can be signed: The key file {box.path} cannot be read; put it back.")]
    box.make()
    assert [ok for ok, _ in says()] == [True, False]
    assert "is not the one that this key was encrypted under" in says()[1][1]


def test_a_restore_names_who_was_shut_out_after_the_backup(run: Run, tmp_path: Path) -> None:
    settings = load_settings()
    init(run)
    engine = create_engine_for(settings.ledger_url())
    box, change = KeyBox(settings.authority_key()), Change("test", utc_now())
    with transaction(engine) as session:
        for terminal in ("kiosk-1", "kiosk-2"):
            issuing.give_terminal(session, box, terminal, authority.new_key().public_key(), change.at)
        service.revoke(session, change, EVERYWHERE, "kiosk-2", "it was stolen")
    backups.backup(engine, tmp_path / "town.backup")
    good(run("ca", "revoke", "kiosk-1"))
    backups.restore(engine, tmp_path / "town.backup")
    with transaction(engine, read_only=True) as session:
        assert standing.shut_out_since(session, settings.authority_folder()) == (["kiosk-1"], 0)
    good(run("ca", "revoke", "kiosk-1"))
    with transaction(engine, read_only=True) as session:
        assert standing.shut_out_since(session, settings.authority_folder()) == ([], 0)
        assert standing.shut_out_since(session, tmp_path / "nowhere") == ([], 0)
    with transaction(engine) as session:
        session.execute(text("DELETE FROM certificates WHERE name = 'kiosk-1'"))
        assert standing.shut_out_since(session, settings.authority_folder()) == ([], 1)
    (settings.authority_folder() / "revoked.pem").write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    with transaction(engine, read_only=True) as session:
        assert standing.shut_out_since(session, settings.authority_folder()) == ([], 0)
    engine.dispose()
