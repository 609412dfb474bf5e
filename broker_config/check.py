"""Tries the broker's rules from outside, as a terminal would, and says of each whether it is kept and what to do if not.

Promises to write only to throw-away topics (`…/up/check-…`, `…/down/check-…`) of the terminals whose certificates it was given
and of a terminal that does not exist, and nothing, without a payload, to `…/up/state`, which everybody passes over; retains
nothing. Run by `python -m broker_config check`.
"""

import contextlib
import secrets
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker_config.probe import WITHIN_S, Ask, Probe, RefusedError
from firmware_specs.topics import PREFIX, Channel

MAX_PACKET_BYTES: Final = 1_048_576
MAX_KEEPALIVE_S: Final = 600


class CheckError(ValueError):
    """What was given does not do for a check, in one sentence."""


class Verdict(StrEnum):
    KEPT = "kept"
    BROKEN = "BROKEN"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Pair:
    """A terminal's certificate and its key, as files."""

    certificate: Path
    key: Path

    @cached_property
    def terminal(self) -> str:
        """The common name; CheckError where it has none."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        except OSError as error:
            raise CheckError(f"{self.certificate}: {error.strerror}.") from error
        except ValueError as error:
            raise CheckError(f"{self.certificate} is no certificate in PEM with one common name.") from error
        return str(name.value)


@dataclass(frozen=True)
class Broker:
    """The broker, and the terminals as which it is tried; all but `own` may be left out."""

    host: str
    port: int
    ca: Path
    own: Pair
    other: Pair | None = None
    revoked: Pair | None = None
    cloud_port: int | None = None

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        """TLS as a terminal speaks it; CheckError for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if pair is not None:
                context.load_cert_chain(pair.certificate, pair.key)
        except (OSError, ssl.SSLError) as error:
            raise CheckError(f"{self.ca} or {pair and pair.certificate} cannot be used: {error}.") from error
        return context

    def ask(self, pair: Pair | None = None) -> Ask:
        """To connect with this certificate, or with none, under the own terminal's name."""
        name = self.own.terminal if pair is None else pair.terminal
        return Ask(self.host, self.port, self.context(pair), client_id=name, user=name)

    def terminal(self, pair: Pair | None = None) -> Probe:
        return Probe(self.ask(pair or self.own))


@dataclass(frozen=True)
class Rule:
    """A promise, how to try it (True: kept, None: cannot be tried with what was given), and what to do where it is broken."""

    promise: str
    remedy: str
    holds: Callable[[Broker], bool | None]
    needed: bool = False
    """Without it no other rule can be tried."""


@dataclass(frozen=True)
class Finding:
    rule: Rule
    verdict: Verdict
    because: str = ""

    def __str__(self) -> str:
        if self.verdict is Verdict.KEPT:
            return f"{self.verdict:9}  {self.rule.promise}"
        said = self.rule.remedy if self.verdict is Verdict.BROKEN else ""
        return f"{self.verdict:9}  {self.rule.promise}: {' '.join(filter(None, [self.because, said]))}"


def check(broker: Broker, rules: tuple["Rule", ...]) -> Iterator[Finding]:
    """A finding per rule, as they are tried. OSError when nobody listens, CheckError when a given file does not do."""
    possible = True
    for rule in rules:
        if not possible:
            yield Finding(rule, Verdict.NOT_TRIED, "a rule above must be kept first.")
            continue
        finding = _try(rule, broker)
        possible = not (rule.needed and finding.verdict is Verdict.BROKEN)
        yield finding


def _try(rule: Rule, broker: Broker) -> Finding:
    try:
        kept = rule.holds(broker)
    except RefusedError as error:
        return Finding(rule, Verdict.BROKEN, f"{error}.")
    if kept is None:
        return Finding(rule, Verdict.NOT_TRIED, "it needs another option, see --help.")
    return Finding(rule, Verdict.KEPT if kept else Verdict.BROKEN)


def throwaway(terminal: str, direction: str) -> str:
    """A topic of this terminal that nobody else uses."""
    return f"{PREFIX}/{terminal}/{direction}/check-{secrets.token_hex(6)}"


def state_of(pair: Pair) -> str:
    """A topic that the terminal may write; without a payload, and not retained, it tells nobody anything."""
    return f"{PREFIX}/{pair.terminal}/{Channel.STATE}"


def is_refused(ask: Ask) -> bool:
    """Whether nobody gets in so."""
    try:
        Probe(ask).close()
    except RefusedError:
        return True
    return False


def refuses_other_authority(broker: Broker) -> bool:
    """With the terminal's own name, in a certificate that signed itself."""
    with _self_signed(broker.own.terminal) as pair:
        return is_refused(broker.ask(pair))


def refuses_old_tls(broker: Broker) -> bool:
    """Offers TLS 1.0 and 1.1 only, with every cipher that this machine has."""
    context = broker.context(broker.own)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():  # Python calls these versions what they are
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return is_refused(replace(broker.ask(broker.own), tls=context))


def ties_client_ids(broker: Broker) -> bool:
    """Under two client ids with one certificate: where they are tied to it, the second takes over the first."""
    ask = broker.ask(broker.own)
    with Probe(replace(ask, client_id="check-1")) as first, Probe(replace(ask, client_id="check-2")):
        return first.ended.wait(2)


def writes_only_below_its_own_up(broker: Broker) -> bool:
    """By the reason codes of its publishes; and by delivery, where there is another terminal to look."""
    own, other = broker.own.terminal, broker.other.terminal if broker.other else "no-such-terminal"
    foreign = [
        throwaway(other, "up"),
        throwaway(other, "down"),
        throwaway(own, "down"),
        f"{PREFIX}/{own}",
        "check/roomlink",
    ]
    with broker.terminal() as probe:
        taken = [topic for topic in foreign if probe.may_publish(topic)]
    return not taken and not _delivers_to_the_other(broker)


def writes_named_topics_only(broker: Broker) -> bool:
    """Beside those of the contract, and below them."""
    others = [throwaway(broker.own.terminal, "up"), f"{state_of(broker.own)}/check"]
    with broker.terminal() as probe:
        return not any(probe.may_publish(topic) for topic in others)


def reads_only_below_its_own_down(broker: Broker) -> bool:
    """Subscribes to all that is not its own, and listens while it and the other terminal speak."""
    own = broker.own.terminal
    with broker.terminal() as probe:
        for topic in ("#", "$SYS/#", f"{PREFIX}/+/up/#", f"{PREFIX}/{own}/up/#", f"$share/check/{PREFIX}/+/up/#"):
            probe.subscribe(topic)
        probe.may_publish(state_of(broker.own), b"")
        if broker.other is not None:
            with broker.terminal(broker.other) as speaker:
                speaker.may_publish(state_of(broker.other), b"")
        return not probe.receives()


def drops_foreign_wills(broker: Broker) -> bool | None:
    """The other terminal listens where a will falls that is none of this one's business."""
    if broker.other is None:
        return None
    topic = throwaway(broker.other.terminal, "down")
    with broker.terminal(broker.other) as listener:
        listener.subscribe(topic)
        Probe(replace(broker.ask(broker.own), will=topic)).cut()
        return not listener.receives()


def refuses_larger_packets(broker: Broker) -> bool:
    """The limit is announced, at most 1 MiB, and costs who passes it the connection."""
    with broker.terminal() as probe:
        announced = probe.limit("MaximumPacketSize")
        if announced is None or announced > MAX_PACKET_BYTES:
            return False
        taken = probe.may_publish(throwaway(broker.own.terminal, "up"), bytes(announced + 1))
        return not taken and probe.ended.wait(WITHIN_S)


def bounds_keepalive(broker: Broker) -> bool:
    """A terminal that asks for 18 hours is told less, so that its death is noticed."""
    with broker.terminal() as probe:
        told = probe.limit("ServerKeepAlive")
    return told is not None and 0 < told <= MAX_KEEPALIVE_S


def _delivers_to_the_other(broker: Broker) -> bool:
    if broker.other is None:
        return False
    topic = throwaway(broker.other.terminal, "down")
    with broker.terminal(broker.other) as listener, broker.terminal() as writer:
        listener.subscribe(topic)
        writer.may_publish(topic)
        return listener.receives()


@contextlib.contextmanager
def _self_signed(name: str) -> Iterator[Pair]:
    """A certificate that no authority of ours has seen, in a folder that goes again."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder, "certificate.pem"), Path(folder, "key.pem"))
        pair.certificate.write_bytes(made.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield pair
