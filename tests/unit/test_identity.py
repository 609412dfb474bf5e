"""The identity on the disk: whole or not there, for one user only, and one sentence for whatever is damaged."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cloud.certificates.authority import make_root, make_terminal, new_key
from edge import identity
from edge.errors import IdentityError
from edge.identity import BrokerAt, Claim, FileKey, Identity
from firmware_specs.signing import is_signed_by, key_id
from tests.enrolment_double import TERMINAL, Pki, key_pem, pem

NOW = datetime(2026, 11, 27, tzinfo=UTC)
TOLD = Claim(
    terminal=TERMINAL,
    profile="kiosk",
    broker=BrokerAt(host="broker.example.org", port=8883),
    cloud_url="https://roomlink.example.org",
    password="for files",
)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki", NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "identity"


def claimed(folder: Path, pki: Pki, claim: Claim = TOLD) -> Identity:
    """A claim that went well."""
    key = identity.pending_key(folder)
    leaf = make_terminal(pki.issuer, TERMINAL, key.public_key, NOW)
    certificates = pem(leaf, pki.issuer.certificate).encode()
    identity.keep_claim(folder, claim, certificates, pem(pki.root.certificate).encode(), b"{}")
    known = identity.load(folder)
    assert known is not None
    return known


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_terminal_that_was_never_claimed_has_none(folder: Path) -> None:
    assert identity.load(folder) is None
    identity.pending_key(folder)
    assert identity.load(folder) is None
    assert not identity.is_claimed(folder)


def test_claim_is_whole_and_for_one_user_only(folder: Path, pki: Pki) -> None:
    known = claimed(folder, pki)
    assert known.claim == TOLD
    assert "for files" not in repr(known.claim)
    assert (known.renews_at, known.ends_at) == (
        NOW - timedelta(days=1) + timedelta(days=91) * 2 / 3,
        NOW + timedelta(days=90),
    )
    assert modes(folder) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir()} == {
        "key.pem",
        "certificate.pem",
        "root.pem",
        "claim.json",
        "desired.json",
    }


def test_batches_are_signed_by_the_key_of_the_certificate(folder: Path, pki: Pki) -> None:
    known = claimed(folder, pki)
    signer, key = known.batch_signer(), known.signer.public_key
    assert (signer.terminal, signer.key_id) == (TERMINAL, key_id(key))
    assert is_signed_by(key, b"x", signer.sign(b"x"))


def test_what_others_may_read_is_taken_from_them(folder: Path, pki: Pki) -> None:
    claimed(folder, pki)
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    assert identity.load(folder) is not None
    assert (modes(folder), stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)


def test_files_of_another_user_are_named(folder: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed(folder, pki)
    (folder / "key.pem").chmod(0o640)

    def refuse(file: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(file))

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(IdentityError, match=r"key.pem belongs to another user .* chown -R USER"):
        identity.load(folder)


def test_key_that_was_made_is_used_again(folder: Path) -> None:
    first = identity.pending_key(folder)
    assert identity.pending_key(folder).public_key == first.public_key
    (folder / "key.new.pem").write_bytes(b"-----BEGIN")
    assert identity.pending_key(folder).public_key != first.public_key


def test_another_claim_leaves_the_old_identity_whole_wherever_it_is_cut_off(
    folder: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th rename fails, for each n: what is in force is the old identity or the new one, and never a mixture."""
    old = claimed(folder, pki)
    real = identity.replace
    for cut_at in range(1, 6):
        renames = 0

        def replace(source: Path, target: Path, cut_at: int = cut_at) -> None:
            nonlocal renames
            renames += target.name != "key.new.pem"
            if renames == cut_at:
                raise OSError(28, "No space left on device")
            real(source, target)

        monkeypatch.setattr(identity, "replace", replace)
        with pytest.raises(OSError, match="No space"):
            claimed(folder, pki, TOLD.model_copy(update={"password": f"{cut_at}"}))
        monkeypatch.setattr(identity, "replace", real)
        known = identity.load(folder)
        assert known is not None
        assert known.signer.public_key == known.certificate.public_key()
        assert (known.certificate == old.certificate) == (cut_at < 5)
    assert not (folder / "key.new.pem").exists()


def test_renewed_certificate_takes_the_old_ones_place(folder: Path, pki: Pki) -> None:
    old = claimed(folder, pki)
    key = old.signer.public_key
    later = make_terminal(pki.issuer, TERMINAL, key, NOW + timedelta(days=60))
    identity.keep_renewal(old, pem(later, pki.issuer.certificate).encode(), old.claim.broker)
    known = identity.load(folder)
    assert known is not None
    assert (known.certificate, known.signer.public_key) == (later, key)


SPOILT: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "empty": lambda file: file.write_bytes(b""),
    "noise": lambda file: file.write_bytes(b"\xff" * 300),
}


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "root.pem", "claim.json"])
@pytest.mark.parametrize("how", SPOILT)
def test_damaged_or_missing_file_is_a_sentence(how: str, name: str, folder: Path, pki: Pki) -> None:
    claimed(folder, pki)
    SPOILT[how](folder / name)
    with pytest.raises(IdentityError) as damaged:
        identity.load(folder)
    assert str(folder / name) in str(damaged.value)
    assert str(damaged.value).endswith("Claim this terminal again: python -m edge claim URL CODE.")


def test_file_that_cannot_be_read_is_a_sentence(folder: Path, pki: Pki) -> None:
    claimed(folder, pki)
    (folder / "root.pem").unlink()
    (folder / "root.pem").mkdir()
    with pytest.raises(IdentityError, match=r"root\.pem cannot be read \(Is a directory\)"):
        identity.load(folder)


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    (tmp_path / "key.pem").write_bytes(key_pem(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(IdentityError, match="not a key on the curve P-256"):
        FileKey.load(tmp_path / "key.pem")


def test_certificate_of_another_terminal_is_refused(folder: Path, pki: Pki) -> None:
    claimed(folder, pki, TOLD.model_copy(update={"terminal": TERMINAL}))
    told = TOLD.model_copy(update={"terminal": "kiosk-1"})
    identity.write_private(folder / "claim.json", told.model_dump_json().encode())
    with pytest.raises(IdentityError, match="is not the certificate of kiosk-1"):
        identity.load(folder)


def test_what_came_is_checked_without_a_clock(pki: Pki) -> None:
    """Certificates of 2050, of another key, of another name, of another root."""
    key, other = new_key().public_key(), new_key().public_key()

    def check(certificate: x509.Certificate, root: x509.Certificate = pki.root.certificate) -> None:
        identity.check_certificates([certificate, pki.issuer.certificate], root, TERMINAL, key)

    check(make_terminal(pki.issuer, TERMINAL, key, NOW))
    check(make_terminal(pki.issuer, TERMINAL, key, NOW + timedelta(days=1000)))
    with pytest.raises(IdentityError, match="for another key"):
        check(make_terminal(pki.issuer, TERMINAL, other, NOW))
    with pytest.raises(IdentityError, match="a certificate for kiosk-9, and not for kiosk-302-a"):
        check(make_terminal(pki.issuer, "kiosk-9", key, NOW))
    with pytest.raises(IdentityError, match="does not lead to its root"):
        check(make_terminal(pki.issuer, TERMINAL, key, NOW), make_root("Test", NOW).certificate)


def test_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    left = tmp_path / "x.part"
    left.touch(0o666)
    left.chmod(0o666)
    identity.write_private(tmp_path / "x", b"secret")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
