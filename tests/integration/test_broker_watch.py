"""`python -m broker_config watch` beside a real Mosquitto: a good list shuts the revoked one out, a bad one changes nothing."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from broker_config.watch import FILES
from tests.authorities import Authorities, Identity, write_broker_files
from tests.mqtt import MqttClient, RefusedError
from tests.process import Process
from tests.servers import CLOUD_USER, HOST, MutualTlsMosquitto, wait_until

GOOD, STOLEN = "kiosk-1", "kiosk-2"
Make = Callable[[Authorities], bytes]


class Watched:
    """A broker whose files come through the watcher alone; `incoming` is where the cloud would write."""

    def __init__(self, folder: Path, *, by_run_sh: bool) -> None:
        self.server = MutualTlsMosquitto(folder / "broker", by_run_sh=by_run_sh)
        self.incoming = folder / "incoming"
        self.authorities = self.server.authorities
        write_broker_files(self.authorities, self.incoming, HOST)
        for name in FILES:
            (self.server.certificates / name).unlink()
        self.watcher = Process(folder / "watch.log")
        self._signals = [] if by_run_sh else ["--pid-file", str(self.server.pid_file)]
        self.identities = {name: self.authorities.terminal(name) for name in (GOOD, STOLEN)}

    def start(self) -> None:
        users = ["--users", str(self.server.cloud_password_file)] if self._signals else []
        places = ["--incoming", str(self.incoming), "--into", str(self.server.certificates)]
        self.watcher.spawn(
            [sys.executable, "-m", "broker_config", "watch", *places, *users, *self._signals],
            ready=lambda: all((self.server.certificates / name).exists() for name in FILES),
        )
        self.server.start()
        if self._signals:  # told once that it is there
            assert wait_until(lambda: self.reloads() > 0)

    def close(self) -> None:
        self.server.close()
        self.watcher.stop()

    def reloads(self) -> int:
        return self.server.process.log().count("Reloading config")

    def give(self, revocations: bytes) -> None:
        """As the cloud does: a whole file, renamed into place."""
        new = self.incoming / "new"
        new.write_bytes(revocations)
        new.replace(self.incoming / "revoked.pem")

    def admits(self, identity: Identity) -> bool:
        try:
            MqttClient(self.server.port, None, None, client_id="any", tls=self.authorities.context(identity)).close()
        except RefusedError:
            return False
        return True

    def revoke_stolen(self) -> None:
        self.authorities.revoke(self.identities[STOLEN])
        self.give(self.authorities.revocations())
        assert wait_until(lambda: not self.admits(self.identities[STOLEN]))


@pytest.fixture(params=[False, True], ids=["signals by the pid file", "signals by run.sh"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path, by_run_sh=request.param)
    try:
        watched.start()
        yield watched
    finally:
        watched.close()


@pytest.fixture
def by_pid_file(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path, by_run_sh=False)
    try:
        watched.start()
        yield watched
    finally:
        watched.close()


def test_good_list_shuts_the_revoked_one_out_at_its_next_handshake_and_cuts_nobody(watched: Watched) -> None:
    assert watched.admits(watched.identities[STOLEN])
    tls = watched.authorities.context(watched.identities[GOOD])
    with MqttClient(watched.server.port, GOOD, None, tls=tls) as good:
        watched.revoke_stolen()
        assert not good.ended.is_set()
    assert watched.admits(watched.identities[GOOD])


def expired(made: Authorities) -> bytes:
    return made.revocations(begins=-timedelta(days=30), lasts=timedelta(days=20))


def of_another_authority(made: Authorities) -> bytes:
    return Authorities(made.directory / "another").revocations()


BAD: dict[str, tuple[Make, str]] = {
    "empty": (lambda made: b"", "it is empty"),
    "unreadable": (lambda made: b"no list at all", "holds no revocation list"),
    "cut": (lambda made: made.revocations()[:300], "it is cut"),
    "expired": (expired, "it ended on"),
    "of another authority": (of_another_authority, "is signed by none of the authorities"),
}


@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD.keys())
def test_bad_list_changes_nothing_and_stderr_says_why(by_pid_file: Watched, make: Make, why: str) -> None:
    watched = by_pid_file
    watched.revoke_stolen()
    told, in_force = watched.reloads(), watched.server.revocations.read_bytes()
    watched.give(make(watched.authorities))
    assert wait_until(lambda: why in watched.watcher.log())
    assert "NOT APPLIED" in watched.watcher.log()
    assert watched.server.revocations.read_bytes() == in_force
    assert watched.reloads() == told
    assert watched.admits(watched.identities[GOOD])
    assert not watched.admits(watched.identities[STOLEN])


def test_reload_by_anybody_while_a_bad_list_waits_opens_no_door(watched: Watched) -> None:
    """Mosquitto reads only what was checked: not even an operator's own SIGHUP lets the revoked one in."""
    watched.revoke_stolen()
    watched.give(b"no list at all")
    assert wait_until(lambda: "NOT APPLIED" in watched.watcher.log())
    watched.server.reload()
    assert not watched.admits(watched.identities[STOLEN])
    assert watched.admits(watched.identities[GOOD])


def test_sound_list_after_a_bad_one_is_applied(watched: Watched) -> None:
    watched.give(b"")
    assert wait_until(lambda: "NOT APPLIED" in watched.watcher.log())
    watched.revoke_stolen()


def test_missing_list_changes_nothing(watched: Watched) -> None:
    watched.revoke_stolen()
    (watched.incoming / "revoked.pem").unlink()
    assert wait_until(lambda: "revoked.pem is missing" in watched.watcher.log())
    assert not watched.admits(watched.identities[STOLEN])


def test_new_server_certificate_is_shown_from_the_next_handshake_on(watched: Watched) -> None:
    server = watched.authorities.server(HOST)
    (watched.incoming / "server-key.pem").write_bytes(server.key.read_bytes())
    (watched.incoming / "server.pem").write_bytes(server.certificate.read_bytes())

    def shown() -> bool:
        tls = watched.authorities.context(watched.identities[GOOD])
        with MqttClient(watched.server.port, GOOD, None, tls=tls) as client:
            return client.peer_serial() == server.serial

    assert wait_until(shown)


def test_changed_password_of_the_cloud_is_told(watched: Watched) -> None:
    password = watched.server.set_user(CLOUD_USER)

    def admitted() -> bool:
        try:
            MqttClient(watched.server.cloud_port, CLOUD_USER, password).close()
        except RefusedError:
            return False
        return True

    assert wait_until(admitted)


def test_bad_list_in_the_brokers_own_folder_holds_every_signal_back(by_pid_file: Watched) -> None:
    """Where somebody wrote past the watcher, and nothing sound is at hand: better no new password than an open door."""
    watched = by_pid_file
    watched.revoke_stolen()
    told = watched.reloads()
    watched.give(b"")
    watched.server.revocations.write_bytes(b"")
    watched.server.set_user(CLOUD_USER)
    assert wait_until(lambda: "NOT TOLD to the broker" in watched.watcher.log())
    assert watched.reloads() == told
    assert not watched.admits(watched.identities[STOLEN])
