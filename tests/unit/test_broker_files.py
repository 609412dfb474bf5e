"""Which certificate files Mosquitto may be given, and which would let everyone in or shut everyone out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker_config.certificates import UnfitError, check_revocations, check_server, read_authorities
from broker_config.watch import SAY_EVERY_S, Places, Watch, say
from tests.authorities import Authorities, pem

NOW = datetime.now(UTC)
Make = Callable[[Authorities], bytes]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Of the same names, with other keys."""
    return Authorities(tmp_path_factory.mktemp("strangers"))


def test_sound_list_passes_with_and_without_entries(authorities: Authorities) -> None:
    check_revocations(authorities.revocations(), read_authorities(authorities.ca()), NOW)
    authorities.revoke(authorities.terminal("kiosk-1"))
    check_revocations(authorities.revocations(), read_authorities(authorities.ca()), NOW)


BAD_LISTS: dict[str, tuple[Make, str]] = {
    "empty": (lambda a: b"", "it is empty"),
    "blank": (lambda a: b"\n\n", "it is empty"),
    "no PEM": (lambda a: b"no list", "holds no revocation list"),
    "binary": (lambda a: bytes(range(256)), "holds no revocation list"),
    "a certificate": (lambda a: a.ca(), "holds no revocation list"),
    "cut in the middle": (lambda a: a.revocations()[:200], "it is cut"),
    "cut before its end": (lambda a: a.revocations()[:-20], "it is cut"),
    "sound, then cut": (lambda a: a.revocations() + a.revocations()[:200], "it is cut"),
    "a changed letter": (lambda a: _changed(a.revocations()), "cannot be read|is signed by none"),
    "expired": (lambda a: a.revocations(begins=-timedelta(days=30), lasts=timedelta(days=20)), "it ended on"),
    "of tomorrow": (lambda a: a.revocations(begins=timedelta(days=2)), "it is good only from"),
    "of the root alone": (lambda a: a.revocations(signer=a.root), "it has no list of Test intermediate"),
}


def _changed(sound: bytes) -> bytes:
    at = len(sound) // 2
    return sound[:at] + (b"A" if sound[at : at + 1] != b"A" else b"B") + sound[at + 1 :]


@pytest.mark.parametrize(("make", "why"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_bad_list_is_refused_with_the_reason(authorities: Authorities, make: Make, why: str) -> None:
    with pytest.raises(UnfitError, match=why):
        check_revocations(make(authorities), read_authorities(authorities.ca()), NOW)


def test_list_of_another_authority_of_the_same_name_is_refused(
    authorities: Authorities, strangers: Authorities
) -> None:
    with pytest.raises(UnfitError, match="is signed by none of the authorities"):
        check_revocations(strangers.revocations(), read_authorities(authorities.ca()), NOW)


def test_after_a_rotation_each_intermediate_needs_its_list(tmp_path: Path) -> None:
    made = Authorities(tmp_path)
    before, old_list = pem(made.intermediate.certificate), made.revocations()
    made.rotate()
    both = read_authorities(made.ca() + before)
    with pytest.raises(UnfitError, match="it has no list of Test intermediate, whose"):
        check_revocations(made.revocations(), both, NOW)
    check_revocations(made.revocations() + old_list, both, NOW)


def test_server_certificate_passes_with_its_own_key_only(authorities: Authorities, strangers: Authorities) -> None:
    one, two, foreign = (each.server("broker.example") for each in (authorities, authorities, strangers))
    known = read_authorities(authorities.ca())
    check_server(one.certificate.read_bytes(), one.key.read_bytes(), known, NOW)
    with pytest.raises(UnfitError, match="do not belong together"):
        check_server(one.certificate.read_bytes(), two.key.read_bytes(), known, NOW)
    with pytest.raises(UnfitError, match="key cannot be read"):
        check_server(one.certificate.read_bytes(), b"", known, NOW)
    with pytest.raises(UnfitError, match="it ended on"):
        check_server(one.certificate.read_bytes(), one.key.read_bytes(), known, NOW + timedelta(days=400))
    with pytest.raises(UnfitError, match="is not signed by one of the authorities"):
        check_server(foreign.certificate.read_bytes(), foreign.key.read_bytes(), known, NOW)


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_unreadable_authorities_are_refused(content: bytes) -> None:
    with pytest.raises(UnfitError):
        read_authorities(content)


def test_leaf_is_no_authority(authorities: Authorities) -> None:
    with pytest.raises(UnfitError, match="kiosk-1 is no certificate authority"):
        read_authorities(authorities.terminal("kiosk-1").certificate.read_bytes())


def test_file_that_cannot_be_read_is_said_and_ends_no_watcher(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")  # EIO, for root as well
    watching = Watch(Places(tmp_path, tmp_path / "into", unreadable, tmp_path / "mosquitto.pid"))
    assert any(said.startswith("NOT TOLD to the broker: ") for said in watching.look(NOW))


def test_what_is_wrong_is_said_at_once_and_then_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    said: dict[str, float] = {}
    for second in range(int(2 * SAY_EVERY_S)):
        said = say(["the list has ended"], said, 1000.0 + second)
    assert capsys.readouterr().err.count("the list has ended") == 2
    said = say([], said, 1200.0)
    say(["the list has ended"], said, 1201.0)
    assert capsys.readouterr().err.count("the list has ended") == 1
