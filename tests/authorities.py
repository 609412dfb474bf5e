"""A certificate authority of its own for a test: root, intermediate, certificates as files, and the revocation list.

Promises the certificates that the cloud makes (cloud.certificates.authority): a broker is tried with what it will meet.
Used by the brokers of tests/servers.py and by tests that need a certificate which must be refused.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud.certificates import authority
from cloud.certificates.authority import Authority, Revoked

LISTS_LAST = timedelta(days=60)


@dataclass(frozen=True)
class Identity:
    """A certificate with its chain, and its key, as files."""

    certificate: Path
    key: Path
    serial: int


class Authorities:
    """Root and intermediate, in files below `directory`; `ca.pem` holds both, `root.pem` what a terminal trusts."""

    def __init__(self, directory: Path, name: str = "Test") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.root = authority.make_root(name, now())
        self.intermediate = authority.make_intermediate(self.root, f"{name} intermediate", now())
        self.root_file = directory / "root.pem"
        self.root_file.write_bytes(pem(self.root.certificate))
        self._revoked: list[Revoked] = []
        self._lists = 0

    def rotate(self) -> None:
        """A new intermediate; the old one is known no more."""
        self.intermediate = authority.make_intermediate(self.root, "Test intermediate, the next", now())

    def ca(self) -> bytes:
        """All that may sign, for the broker's `cafile`."""
        return pem(self.root.certificate) + pem(self.intermediate.certificate)

    def terminal(
        self, name: str, *, begins: timedelta = timedelta(), lasts: timedelta = timedelta(days=90)
    ) -> Identity:
        """A terminal's certificate that is good from a day before now + `begins`."""
        key = authority.new_key()
        made = authority.make_terminal(self.intermediate, name, key.public_key(), now() + begins, lasts)
        return self._write(made, key)

    def server(self, *names: str, lasts: timedelta = timedelta(days=365)) -> Identity:
        """A broker's certificate for these names and addresses."""
        key = authority.new_key()
        return self._write(authority.make_server(self.intermediate, names, key.public_key(), now(), lasts), key)

    def revoke(self, identity: Identity) -> None:
        """Put it on every list from here on."""
        self._revoked.append(Revoked(identity.serial, now()))

    def revocations(
        self, *, begins: timedelta = timedelta(), lasts: timedelta = LISTS_LAST, signer: Authority | None = None
    ) -> bytes:
        """The next revocation list."""
        self._lists += 1
        signer = signer or self.intermediate
        made = authority.make_revocation_list(signer, self._revoked, self._lists, now() + begins, lasts)
        return made.public_bytes(Encoding.PEM)

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        """How a terminal connects: it trusts the root, and shows this certificate, or none."""
        context = ssl.create_default_context(cafile=self.root_file)
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def _write(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Identity:
        stem = self.directory / f"{certificate.serial_number:x}"  # not the name: tests make some with a slash
        identity = Identity(stem.with_suffix(".pem"), stem.with_suffix(".key"), certificate.serial_number)
        identity.certificate.write_bytes(pem(certificate) + pem(self.intermediate.certificate))
        identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        identity.key.chmod(0o600)
        return identity


def write_broker_files(authorities: Authorities, folder: Path, *names: str) -> None:
    """What mosquitto.conf names: `ca.pem`, `server.pem`, `server-key.pem`, `revoked.pem`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = authorities.server(*names)
    (folder / "ca.pem").write_bytes(authorities.ca())
    (folder / "server.pem").write_bytes(server.certificate.read_bytes())
    (folder / "server-key.pem").write_bytes(server.key.read_bytes())
    (folder / "revoked.pem").write_bytes(authorities.revocations())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def now() -> datetime:
    return datetime.now(UTC)
