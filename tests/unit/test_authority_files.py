"""What is kept apart opens under its passphrase only; what the broker reads is sound, whole, and readable by it."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.certificates import apart, authority, files, lists, publishing
from cloud.certificates.authorities import pem
from cloud.certificates.authority import Authority, Revoked
from cloud.certificates.lists import Published
from cloud.errors import StartError, Unavailable

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PASSPHRASE = "eleven lamps in a row"

ROOT = authority.make_root("Town", NOW)
FIRST = authority.make_intermediate(ROOT, "Town terminals 1", NOW)
SECOND = authority.make_intermediate(ROOT, "Town terminals 2", NOW)
CHAIN = pem(FIRST.certificate) + pem(SECOND.certificate)


def made(issuer: Authority, at: datetime = NOW, lasts: timedelta = 60 * DAY) -> str:
    found = authority.make_revocation_list(issuer, [Revoked(7, at)], 1, at, lasts)
    return found.public_bytes(Encoding.PEM).decode()


def published(revoked: str) -> Published:
    return Published(pem(ROOT.certificate), CHAIN, revoked, ())


def test_the_root_opens_under_its_passphrase_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "root.p12"
    apart.write_root(path, ROOT, PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    opened = apart.read_root(path, PASSPHRASE)
    assert opened.certificate == ROOT.certificate
    assert opened.key.private_numbers() == ROOT.key.private_numbers()
    with pytest.raises(StartError, match="passphrase is wrong"):
        apart.read_root(path, PASSPHRASE + "s")
    with pytest.raises(StartError, match="is there already"):
        apart.write_root(path, ROOT, PASSPHRASE)


def test_a_backup_opens_under_its_passphrase_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ca.backup"
    apart.write_backup(path, [apart.Kept(FIRST, ROOT.certificate)], PASSPHRASE)
    assert b"PRIVATE" not in path.read_bytes()
    (back,) = apart.read_backup(path, PASSPHRASE)
    assert back.authority.key.private_numbers() == FIRST.key.private_numbers()
    assert (back.authority.certificate, back.root) == (FIRST.certificate, ROOT.certificate)
    with pytest.raises(StartError, match="passphrase is wrong"):
        apart.read_backup(path, "another passphrase")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StartError, match="damaged"):
        apart.read_backup(path, PASSPHRASE)
    path.write_bytes(b"nothing of ours")
    with pytest.raises(StartError, match="is no backup"):
        apart.read_backup(path, PASSPHRASE)
    with pytest.raises(StartError, match="No such file"):
        apart.read_root(tmp_path / "nowhere", PASSPHRASE)


@pytest.mark.parametrize(
    "revoked",
    [
        "",
        made(FIRST),
        made(FIRST) + made(FIRST),
        made(FIRST) + made(SECOND) + made(SECOND),
        made(FIRST) + made(SECOND)[:-40],
        made(FIRST) + made(SECOND) + "more",
        made(FIRST) + made(Authority(SECOND.certificate, FIRST.key)),
        made(FIRST) + made(SECOND, NOW - 61 * DAY),
        made(FIRST) + made(SECOND, NOW + 2 * DAY),
        made(FIRST) + made(authority.make_intermediate(ROOT, "Town terminals 3", NOW)),
    ],
    ids=["empty", "one-misses", "twice", "one-twice", "cut", "more", "forged", "ended", "to-come", "stranger"],
)
def test_an_unsound_list_is_not_put_in_place(tmp_path: Path, revoked: str) -> None:
    good = made(FIRST) + made(SECOND)
    publishing.put(tmp_path, published(good), NOW)
    with pytest.raises(Unavailable) as refused:
        publishing.put(tmp_path, published(revoked), NOW)
    assert refused.value.code == "list_unsound"
    assert (tmp_path / publishing.REVOKED).read_text() == good
    assert not list(tmp_path.glob(".*"))


def test_what_the_broker_reads_is_whole_and_readable_by_everyone(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    assert publishing.put(folder, published(made(FIRST) + made(SECOND)), NOW)
    assert not publishing.put(folder, published((folder / publishing.REVOKED).read_text()), NOW)
    for name in (publishing.TRUSTED, publishing.ROOT, publishing.CHAIN, publishing.REVOKED):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o644
    assert (folder / publishing.TRUSTED).read_text() == pem(ROOT.certificate) + CHAIN
    assert lists.ends_at((folder / publishing.REVOKED).read_bytes()) == NOW + 60 * DAY


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "authority").write_text("a file")
    with pytest.raises(Unavailable) as refused:
        publishing.put(tmp_path / "authority", published(made(FIRST) + made(SECOND)), NOW)
    assert refused.value.code == "authority_folder"


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o700, 0o600), (0o2750, 0o640)])
def test_a_key_is_read_by_its_owner_and_where_the_folder_says_so_by_its_group(
    tmp_path: Path, folder_mode: int, mode: int
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    folder.chmod(folder_mode)
    files.replace(folder / "server-key.pem", b"key", secret=True)
    assert stat.S_IMODE((folder / "server-key.pem").stat().st_mode) == mode
