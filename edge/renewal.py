"""Renews the terminal's certificate by itself, from two thirds of its life on, over HTTPS; a thread of the agent.

Promises that the terminal goes on with what it has until the new certificate is whole and checked, and that a clock that is
wrong, a cloud that is away, or a certificate that ended meanwhile are only reasons to try again. Started by the agent.

The key stays the same: a renewal is one rename then, never two, and a new key would shut out nobody, since whoever has
copied the old one could have renewed with it as well. A key that others may have is ended by revoking and claiming again.
"""

import base64
import hashlib
import logging
import random
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge import identity
from edge.clock import Clock
from edge.enrolment import Enrolment
from edge.errors import EnrolmentError, IdentityError
from edge.identity import Identity
from edge.tls import dates_count

log = logging.getLogger(__name__)

PURPOSE: Final = b"roomlink/v1 renewal"
LOOK_EVERY_S: Final = 6 * 3600.0
FIRST_RETRY_S: Final = 60.0
MOST_RETRY_S: Final = 2 * 3600.0
MOST_RETRY_ENDED_S: Final = 600.0
"""A terminal whose certificate ended stands apart until it is renewed."""
LEAST_LATER, MOST_LATER = 0.01, 0.06
"""Of a certificate's life: so much later than two thirds, by chance, do terminals renew that were claimed together."""


class Renewal:
    """The thread. ``context`` makes the TLS context for HTTPS to the cloud at ``url``."""

    def __init__(
        self,
        folder: Path,
        url: str,
        context: Callable[[], ssl.SSLContext],
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self.problem: str | None = None
        self._folder, self._url, self._context, self._clock = folder, url, context, clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not secrets
        self._later = self._chance.uniform(LEAST_LATER, MOST_LATER)
        self._failures = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="renewal", daemon=True)

    def start(self) -> None:
        """Look at once, and then as often as is worth it."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a request under way is left to end with the process."""
        self._stopping.set()
        self._thread.join(2.0)

    def _serve(self) -> None:
        wait_s = self._chance.uniform(0.0, 5.0)
        while not self._stopping.wait(wait_s):
            try:
                wait_s = self.turn()
            except Exception:  # the thread's outermost loop: the next turn is another one
                log.exception("the certificate could not be looked after")
                wait_s = MOST_RETRY_S

    def turn(self) -> float:
        """Renew if it is time; seconds until the next look."""
        ended = False
        try:
            present = identity.load(self._folder)
            if present is None:
                return LOOK_EVERY_S
            with Enrolment(self._url, self._context()) as cloud:
                now = self._now(cloud)
                ended = now >= present.ends_at
                due_s = (self._due_at(present) - now).total_seconds()
                if due_s > 0:
                    self._well()
                    return min(LOOK_EVERY_S, due_s)
                self._renew(present, cloud)
        except (EnrolmentError, IdentityError, OSError) as error:
            return self._later_s(error, ended=ended)
        self._well()
        return LOOK_EVERY_S

    def _now(self, cloud: Enrolment) -> datetime:
        """By the terminal's clock where that is right, else by the cloud's."""
        if dates_count(self._clock):
            return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        return cloud.now()

    def _due_at(self, present: Identity) -> datetime:
        life = present.ends_at - present.certificate.not_valid_before_utc
        return present.renews_at + timedelta(seconds=life.total_seconds() * self._later)

    def _renew(self, present: Identity, cloud: Enrolment) -> None:
        request = present.signer.request(present.terminal)
        signature = present.signer.sign(signed_bytes(present.certificate, request))
        text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        renewed = cloud.renew(present.certificate, request, text)
        certificates = renewed.certificates()
        identity.check_certificates(certificates, present.root, present.terminal, present.signer.public_key)
        if certificates[0].not_valid_after_utc <= present.ends_at:
            raise EnrolmentError("The cloud sent a certificate that ends no later than the old one.")
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
        identity.keep_renewal(present, pem, renewed.broker)
        log.info("the certificate was renewed: good until %s", f"{certificates[0].not_valid_after_utc:%Y-%m-%d}")
        if renewed.broker != present.claim.broker:
            log.info("from the next start on the broker is %s:%d", renewed.broker.host, renewed.broker.port)

    def _well(self) -> None:
        self._failures, self.problem = 0, None

    def _later_s(self, error: Exception, *, ended: bool) -> float:
        """Exponential, with full jitter over its upper half; not long where nothing works until it is renewed."""
        if str(error) != self.problem:
            log.warning("the certificate was not renewed: %s", error)
        self.problem = str(error)
        longest_s = MOST_RETRY_ENDED_S if ended else MOST_RETRY_S
        window_s = min(longest_s, FIRST_RETRY_S * 2.0 ** min(self._failures, 12))
        self._failures += 1
        return self._chance.uniform(window_s / 2, window_s)


def signed_bytes(certificate: x509.Certificate, request: x509.CertificateSigningRequest) -> bytes:
    """What the old key signs: ``"roomlink/v1 renewal" 00`` and the SHA-256 of the old certificate's and the request's DER."""
    parts = (certificate.public_bytes(Encoding.DER), request.public_bytes(Encoding.DER))
    return PURPOSE + b"\0" + b"".join(hashlib.sha256(part).digest() for part in parts)
