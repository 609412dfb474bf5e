"""What a claimed terminal is to the cloud while its agent runs: its identity as it lies on the disk, asked for when it is needed.

Promises that what is damaged there costs the connection and never a check-in: it is an error of the moment, tried again with
the next connection, so that a renewal or another claim counts without a restart. Made by the agent.
"""

import logging
import ssl
from contextlib import suppress

from edge import identity
from edge.clock import Clock
from edge.errors import IdentityError, SettingsError
from edge.identity import Identity
from edge.renewal import Renewal
from edge.settings import Settings
from edge.tls import cloud_context
from edge.twin import TwinStore
from firmware_specs.errors import DecodeError
from firmware_specs.signing import BatchSigner

log = logging.getLogger(__name__)


class Membership:
    """Raises SettingsError where the settings name another terminal than the certificate: no connection could be right."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        try:
            known = identity.load(settings.identity_dir)
        except IdentityError as error:
            log.error("the terminal cannot sign in until this is mended: %s", error)  # noqa: TRY400 - a sentence says it
            return
        if known is not None and known.terminal != settings.terminal:
            raise SettingsError(
                f"Setting terminal is {settings.terminal}, and {settings.identity_dir} belongs to {known.terminal}. "
                "Leave the setting out, or move that folder away and claim again."
            )

    def present(self) -> Identity:
        """The identity now; raises IdentityError."""
        known = identity.load(self._settings.identity_dir)
        if known is None:
            raise IdentityError(f"{self._settings.identity_dir} is gone. {identity.AGAIN}")
        return known

    def signer(self) -> BatchSigner | None:
        """What signs batches before the first connection; None where the identity is damaged."""
        with suppress(IdentityError):
            return self.present().batch_signer()
        return None

    def password(self) -> str:
        """For files, as the newest claim told it; empty where that cannot be read."""
        with suppress(IdentityError):
            claim = identity.load_claim(self._settings.identity_dir)
            return "" if claim is None else claim.password
        return ""

    def cloud_context(self) -> ssl.SSLContext:
        """For HTTPS to the cloud; raises IdentityError, OSError."""
        return cloud_context(self._settings.cloud_ca_file, self.present(), self._clock)

    def renewal(self) -> Renewal:
        """What renews the certificate."""
        return Renewal(self._settings.identity_dir, self._settings.cloud_url, self.cloud_context, self._clock)

    def hand_over_twin(self, twin: TwinStore) -> None:
        """The first desired twin came with the claim; from then on twins come from the broker."""
        file = self._settings.identity_dir / identity.DESIRED
        try:
            twin.receive(file.read_bytes())
            file.unlink()
        except FileNotFoundError:
            return
        except (DecodeError, OSError) as error:
            log.warning("the twin that came with the claim cannot be used: %s", error)
