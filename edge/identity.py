"""Who this terminal is: the folder `<data_dir>/identity/` with its key, its certificate, the root, and what its claim told.

Promises that each file is written whole or not at all and for one user only, that a key is never lost between two files, and
that whatever is damaged is one sentence (IdentityError). Used by claim, renewal, settings, agent and doctor.
"""

import contextlib
import fcntl
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Protocol, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import IdentityError
from firmware_specs.exported import is_rooted
from firmware_specs.signing import BatchSigner, key_id, sign_with

KEY: Final = "key.pem"
NEW_KEY: Final = "key.new.pem"
"""The key of a claim that has not come to its end; it becomes KEY when the certificate for it is there."""
CERTIFICATE: Final = "certificate.pem"
ROOT: Final = "root.pem"
CLAIM: Final = "claim.json"
DESIRED: Final = "desired.json"
"""The first desired twin, until the agent has taken it."""
PRIVATE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
AGAIN: Final = "Claim this terminal again: python -m edge claim URL CODE."


class BrokerAt(BaseModel):
    """Where the broker is that knows this terminal's certificate."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)]


class Claim(BaseModel):
    """`claim.json`: what the cloud told when the terminal was claimed. ``password`` is for files over HTTP only."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    terminal: str
    profile: str
    broker: BrokerAt
    cloud_url: str
    password: Annotated[str, Field(repr=False)]


class Signer(Protocol):
    """Holds the private key and never gives it away: a file here (FileKey). A TPM would be another, with the key in the chip,
    its own request, and OpenSSL's provider in ``present``."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, r || s."""
        ...

    def request(self, terminal: str) -> x509.CertificateSigningRequest:
        """A request for that name and nothing else (RFC 2986)."""
        ...

    def present(self, context: ssl.SSLContext, certificate_file: Path) -> None:
        """Let a TLS context sign in with this key and its certificate; raises OSError."""
        ...


class FileKey:
    """A P-256 key in a PEM file that only its user may read."""

    def __init__(self, file: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self._file, self._key = file, key

    @classmethod
    def make(cls, file: Path) -> Self:
        """A new key, on the disk before it is used; raises OSError."""
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cls(file, key)

    @classmethod
    def load(cls, file: Path) -> Self:
        """The key of a file; raises IdentityError."""
        try:
            key = load_pem_private_key(_read(file), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise IdentityError(f"{file} is damaged. {AGAIN}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise IdentityError(f"{file} is not a key on the curve P-256. {AGAIN}")
        return cls(file, key)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, r || s."""
        return sign_with(self._key, message)

    def request(self, terminal: str) -> x509.CertificateSigningRequest:
        """A request for that name and nothing else."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, terminal)])
        return x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())

    def present(self, context: ssl.SSLContext, certificate_file: Path) -> None:
        """Let a TLS context sign in with it."""
        context.load_cert_chain(certificate_file, self._file)


@dataclass(frozen=True, slots=True)
class Identity:
    """A whole identity, as it was on the disk at one moment."""

    folder: Path
    claim: Claim
    signer: Signer
    certificate: x509.Certificate
    root: x509.Certificate

    @property
    def terminal(self) -> str:
        """The terminal's id."""
        return self.claim.terminal

    @property
    def ends_at(self) -> datetime:
        """When the certificate is good no longer."""
        return self.certificate.not_valid_after_utc

    @property
    def renews_at(self) -> datetime:
        """Two thirds of the certificate's life."""
        begins_at = self.certificate.not_valid_before_utc
        return begins_at + (self.ends_at - begins_at) * 2 / 3

    @property
    def root_file(self) -> Path:
        """What is trusted."""
        return self.folder / ROOT

    def batch_signer(self) -> BatchSigner:
        """What signs this terminal's batches."""
        return BatchSigner(self.terminal, key_id(self.signer.public_key), self.signer.sign)

    def present(self, context: ssl.SSLContext) -> None:
        """Let a TLS context sign in as this terminal; raises IdentityError."""
        try:
            self.signer.present(context, self.folder / CERTIFICATE)
        except OSError as error:
            raise IdentityError(f"{self.folder / CERTIFICATE} cannot be used ({error}). {AGAIN}") from None


def is_claimed(folder: Path) -> bool:
    """Whether a claim left anything here that counts, whole or not."""
    return (folder / CLAIM).exists() or (folder / CERTIFICATE).exists()


def load_claim(folder: Path) -> Claim | None:
    """What the claim told; None where the terminal was never claimed. Raises IdentityError."""
    if not is_claimed(folder):
        return None
    tighten(folder)
    try:
        return Claim.model_validate_json(_read(folder / CLAIM))
    except ValidationError:
        raise IdentityError(f"{folder / CLAIM} is damaged. {AGAIN}") from None


def load(folder: Path) -> Identity | None:
    """The identity; None where the terminal was never claimed. Raises IdentityError where it is damaged or half written."""
    claim = load_claim(folder)
    if claim is None:
        return None
    leaf, *_ = read_certificates(folder / CERTIFICATE)
    root, *_ = read_certificates(folder / ROOT)
    signer = _key_of(folder, leaf)
    if common_name(leaf) != claim.terminal:
        raise IdentityError(f"{folder / CERTIFICATE} is not the certificate of {claim.terminal}. {AGAIN}")
    return Identity(folder, claim, signer, leaf, root)


def _key_of(folder: Path, leaf: x509.Certificate) -> Signer:
    """The key of the certificate; a claim that was cut off before its last rename is brought to its end here."""
    for name in (KEY, NEW_KEY):
        if not (folder / name).exists():
            continue
        key = FileKey.load(folder / name)
        if key.public_key == leaf.public_key():
            if name == NEW_KEY:
                with contextlib.suppress(OSError):  # on a disk that is read-only, it is used where it lies
                    replace(folder / NEW_KEY, folder / KEY)
                    return FileKey.load(folder / KEY)
            return key
    raise IdentityError(f"{folder / KEY} is missing, or not the key of the certificate beside it. {AGAIN}")


def pending_key(folder: Path) -> FileKey:
    """The key for a claim: one that was made before and not used up, or a new one. Raises OSError."""
    make_folder(folder)
    with contextlib.suppress(IdentityError):
        return FileKey.load(folder / NEW_KEY)
    return FileKey.make(folder / NEW_KEY)


def keep_claim(folder: Path, claim: Claim, certificates: bytes, root: bytes, desired: bytes | None) -> None:
    """Put a claim into force, the key last; raises OSError. Cut off anywhere, what was in force before is so still,
    or the new one is; only a first claim may be left half written, and then says so."""
    with _alone(folder):
        write_private(folder / ROOT, root)
        if desired is not None:
            write_private(folder / DESIRED, desired)
        write_private(folder / CLAIM, claim.model_dump_json().encode())
        write_private(folder / CERTIFICATE, certificates)
        with contextlib.suppress(FileNotFoundError):  # an agent that waits for the claim may have been quicker
            replace(folder / NEW_KEY, folder / KEY)


def keep_renewal(present: Identity, certificates: bytes, broker: BrokerAt) -> None:
    """Put a renewed certificate into force. The key is the same, so that one rename does it.

    Raises OSError; IdentityError where the terminal was claimed anew meanwhile: then that claim stays, whole.
    """
    with _alone(present.folder):
        leaf, *_ = read_certificates(present.folder / CERTIFICATE)
        if leaf.public_key() != present.signer.public_key:
            raise IdentityError("The terminal was claimed anew meanwhile: that claim's certificate stays.")
        write_private(present.folder / CERTIFICATE, certificates)
        if broker != present.claim.broker:
            moved = present.claim.model_copy(update={"broker": broker})
            write_private(present.folder / CLAIM, moved.model_dump_json().encode())


def check_certificates(
    certificates: Sequence[x509.Certificate], root: x509.Certificate, terminal: str, key: ec.EllipticCurvePublicKey
) -> None:
    """Raise IdentityError unless the first certificate is for this key and name, and leads over the others to the root.

    No clock is asked: it counts that the chain was good when the certificate began.
    """
    leaf, *issuers = certificates
    if leaf.public_key() != key:
        raise IdentityError("The cloud sent a certificate for another key.")
    if common_name(leaf) != terminal:
        raise IdentityError(f"The cloud sent a certificate for {common_name(leaf)}, and not for {terminal}.")
    if not is_rooted(leaf, issuers, root, int(leaf.not_valid_before_utc.timestamp() * 1e6)):
        raise IdentityError("The cloud sent a certificate that does not lead to its root.")


def read_certificates(file: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file, at least one; raises IdentityError."""
    try:
        return x509.load_pem_x509_certificates(_read(file))
    except (ValueError, UnsupportedAlgorithm):
        raise IdentityError(f"{file} is damaged. {AGAIN}") from None


def common_name(certificate: x509.Certificate) -> str | None:
    """The one common name of a certificate."""
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names[0] if len(names) == 1 else None


# --- files ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time: the command that claims, and the agent that renews."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def make_folder(folder: Path) -> None:
    """The folder, and the data folder where it is the first thing there, for one user only; raises OSError."""
    folder.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)


def tighten(folder: Path) -> None:
    """Take away what others may do; raises IdentityError where that cannot be done."""
    try:
        for file in (folder, *folder.iterdir()):
            if file.stat().st_mode & 0o077:
                file.chmod(PRIVATE_FOLDER if file.is_dir() else PRIVATE)
    except OSError as error:
        raise IdentityError(
            f"{error.filename or folder} belongs to another user or cannot be read ({error.strerror}). "
            f"Give it to the agent's user: chown -R USER {folder}"
        ) from None


def write_private(file: Path, content: bytes) -> None:
    """Write a file whole, 0600, by a rename that is on the disk; raises OSError."""
    part = file.with_name(f"{file.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE), "wb") as opened:
        os.fchmod(opened.fileno(), PRIVATE)
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    replace(part, file)


def replace(old: Path, new: Path) -> None:
    """Rename, durably; raises OSError."""
    old.replace(new)
    folder = os.open(new.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise IdentityError(f"{file} is missing. {AGAIN}") from None
    except OSError as error:
        raise IdentityError(f"{file} cannot be read ({error.strerror}).") from None
