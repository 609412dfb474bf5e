"""Mutual TLS for the fault tests: an authority made by `ca init`, kiosks claimed by code over HTTPS, and what befalls both.

Promises real certificates of the cloud's own authority everywhere: at the broker, before the cloud's HTTP, on the kiosks.
Made by the stack; what faults do with it is in draws_of_certificates.py.
"""

import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from cloud.certificates import authorities, authority, issuing
from cloud.certificates.issuing import CertificateKind
from cloud.clock import utc_now
from cloud.database import create_engine_for, transaction
from cloud.keybox import KeyBox
from cloud.schema import import_models
from demo.world import Api
from edge import identity
from edge.claim import claim
from edge.errors import IdentityError
from edge.identity import Identity
from tests.faults.kiosks import Kiosk
from tests.faults.proxy import Proxy
from tests.faults.transport import RunCommand
from tests.process import HOST, free_port
from tests.servers import CLOUD_USER, PublishedTlsMosquitto

A_DAY: Final = timedelta(days=1)
A_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Ledger:
    """Where the authority's rows are, and the key that opens them."""

    database_url: str
    key_file: Path


class ByCertificate:
    """Terminals sign in with certificates; the proxy sees bytes. HTTPS ends in a proxy before the cloud, as at a site."""

    def __init__(self, folder: Path, cloud_port: int, seed: int) -> None:
        self.published = folder / "authority"
        self.broker = PublishedTlsMosquitto(folder / "broker", self.published)
        self.broker.set_user(CLOUD_USER)
        self.uplink = Proxy(free_port(), self.broker.port, seed, framed=False)
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.https = Proxy(free_port(), cloud_port, seed + 2, framed=False, tls=self._tls)
        self._folder = folder
        self._passphrase = folder / "passphrase"
        self._backup: Path | None = None

    @property
    def cloud_url(self) -> str:
        """Where kiosks claim and renew."""
        return f"https://{HOST}:{self.https.port}"

    def cloud_settings(self) -> dict[str, object]:
        return {
            "authority_dir": str(self.published),
            "terminals_mqtt_host": HOST,
            "terminals_mqtt_port": self.uplink.port,
            "mosquitto_pid_file": str(self.broker.pid_file),
        }

    def start(self, run: RunCommand) -> None:
        """With an authority first: the broker cannot start without its files."""
        self._passphrase.write_text("a passphrase of a test\n")
        run("ca", "init", *self._root(), "--name", "Faults")
        self._make_server(run)
        self.broker.start()
        self.uplink.start()
        self.https.start()

    def kiosk_settings(self, kiosk: Kiosk, passwords: Mapping[str, str]) -> dict[str, object]:
        """All else its claim tells."""
        return {"broker": {"keepalive_s": 5}}

    def let_in(self, kiosk: Kiosk, api: Api) -> None:
        """Claim it anew unless the cloud knows its key: a restored ledger does not know those that came after its backup."""
        key = self.key_of(kiosk)
        known = api.get(f"/terminals/{kiosk.name}/certificates", limit=200)["items"]
        if key is None or key not in {each["key_id"] for each in known if each["revoked_at"] is None}:
            self.claim(kiosk, api)

    def claim(self, kiosk: Kiosk, api: Api) -> None:
        """As `python -m edge claim` does, with a code of the console's."""
        code = api.post(f"/terminals/{kiosk.name}/claim-code")["code"]
        claim(self.cloud_url, code, kiosk.identity, self.published / "root.pem")

    def restored(self, run: RunCommand) -> None:
        """Intermediates that came after the backup are put back, or what they gave is refused."""
        if self._backup is not None:
            run("ca", "restore", str(self._backup), *self._phrase())

    def rotate(self, run: RunCommand) -> None:
        """Another intermediate gives certificates from now on, the servers' first; the intermediates are backed up."""
        run("ca", "rotate", *self._root())
        self._make_server(run)
        backup = self._folder / f"authorities-{secrets.token_hex(4)}.p12"
        run("ca", "backup", str(backup), *self._phrase())
        self._backup = backup
        if self.broker.process.running:
            self.broker.reload()

    def revoke(self, kiosk: Kiosk, api: Api) -> None:
        """An administrator shuts it out."""
        api.post(f"/terminals/{kiosk.name}/revoke", reason="a fault is tried")

    def enrol_again(self, kiosk: Kiosk, api: Api) -> None:
        """It may come back: enabled, and claimed with a new code and a new key, on the disk that it has."""
        version = api.get(f"/terminals/{kiosk.name}")["version"]
        api.post_version(f"/terminals/{kiosk.name}/enable", version)
        self.claim(kiosk, api)

    def give_short(self, kiosk: Kiosk, ledger: Ledger, *, ended: bool) -> int:
        """Put a certificate on its disk that it must renew at once, or that has ended; its serial. The kiosk must not run.

        What it was given so far counts as given a day earlier: the cloud gives ten a day, and here is more life in an hour.
        """
        import_models()
        known = identity.load(kiosk.identity)
        assert known is not None
        engine, now = create_engine_for(ledger.database_url), utc_now()
        lasts = A_DAY - timedelta(hours=1) if ended else A_DAY + timedelta(minutes=30)
        with transaction(engine) as session:
            older = text("UPDATE certificates SET created_at = created_at - :day WHERE terminal_id = :terminal")
            session.execute(older, {"day": A_DAY_US, "terminal": kiosk.name})
            issuer = authorities.needed(session, now)
            opened = authorities.opened(issuer, KeyBox(ledger.key_file))
            made = authority.make_terminal(opened, kiosk.name, known.signer.public_key, now - A_DAY, lasts)
            issuing.keep(session, issuer, made, CertificateKind.TERMINAL, now, kiosk.name)
            pem = made.public_bytes(Encoding.PEM) + issuer.certificate.encode()
        engine.dispose()
        identity.keep_renewal(known, pem, known.claim.broker)
        return made.serial_number

    @staticmethod
    def serial_of(kiosk: Kiosk) -> int | None:
        """Of the certificate on its disk; None where there is none."""
        found = _identity_of(kiosk)
        return None if found is None else found.certificate.serial_number

    @staticmethod
    def key_of(kiosk: Kiosk) -> str | None:
        """The id of the key on its disk; None where there is none."""
        found = _identity_of(kiosk)
        return None if found is None else found.batch_signer().key_id

    def stop(self) -> None:
        self.https.stop()
        self.uplink.stop()
        self.broker.close()

    def _make_server(self, run: RunCommand) -> None:
        """For broker and HTTPS: what connects from now on is shown it."""
        run("ca", "server", HOST, "--to", str(self.published))
        self._tls.load_cert_chain(self.published / "server.pem", self.published / "server-key.pem")

    def _root(self) -> tuple[str, ...]:
        return ("--root", str(self._folder / "root.p12"), *self._phrase())

    def _phrase(self) -> tuple[str, str]:
        return ("--passphrase-file", str(self._passphrase))


def _identity_of(kiosk: Kiosk) -> Identity | None:
    try:
        return identity.load(kiosk.identity)
    except IdentityError:
        return None
