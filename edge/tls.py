"""TLS towards broker and cloud: certificates are checked, host names too, and a failed handshake leaves nothing open.

Promises that a terminal whose clock is wrong is not locked out: it checks chain and host name, and leaves dates aside
(docs/decisions/0010-certificates-and-claims.md). Called by the link, the fetcher, the renewal and the doctor.
"""

import ssl
from pathlib import Path
from typing import Final

from edge.clock import Clock
from edge.errors import IdentityError
from edge.identity import Identity
from edge.settings import FleetSettings, Settings
from firmware_specs.messages import Clock as Quality

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, for which Python's ssl has no name."""


class ClosingSocket(ssl.SSLSocket):
    """paho forgets a socket whose handshake fails; this one closes itself."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def client_context(ca_file: Path | None, *, check_dates: bool = True) -> ssl.SSLContext:
    """For connections outward; ``ca_file`` holds the certificates to trust instead of the system's.

    Raises OSError where the file cannot be read or holds none.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = ClosingSocket
    if not check_dates:
        context.verify_flags |= NO_CHECK_TIME
    return context


def broker_context(settings: Settings | FleetSettings, identity: Identity, clock: Clock) -> ssl.SSLContext:
    """Sign in at the broker with the certificate; only the root of the claim is trusted, unless the settings name another.

    Raises IdentityError, OSError.
    """
    trusted = settings.broker.ca_file or identity.root_file
    context = client_context(trusted, check_dates=dates_count(clock))
    identity.present(context)
    return context


def cloud_context(ca_file: Path | None, identity: Identity | None, clock: Clock) -> ssl.SSLContext:
    """For HTTPS to the cloud: ``ca_file`` or the system's certificates, and the root of the claim beside them.

    Raises IdentityError, OSError.
    """
    context = client_context(ca_file, check_dates=identity is None or dates_count(clock))
    if identity is not None:
        try:
            context.load_verify_locations(cafile=identity.root_file)
        except OSError as error:
            raise IdentityError(f"{identity.root_file} cannot be read: {error}") from None
    return context


def dates_count(clock: Clock) -> bool:
    """Whether the clock is right enough to hold a certificate's dates against it."""
    return clock.quality() is Quality.SYNCED
