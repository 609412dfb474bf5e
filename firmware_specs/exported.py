"""An exported journal of one terminal, checked without the cloud: what `python -m firmware_specs verify` runs.

Promises that what passes is unbroken in every stream from its first record on, and signed by keys that the terminal's own
certificates name. Reads line by line; raises ExportError with the line. It cannot know of batches cut off at the end.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID
from pydantic import Field, StringConstraints

from firmware_specs import signing, wire
from firmware_specs.errors import ContractError, DecodeError, ExportError
from firmware_specs.fields import MAX_BATCH_BYTES, Major, Number, TimeUs, Uuid
from firmware_specs.messages import Clock, Header, Message, Parent
from firmware_specs.strict import json_object, validated
from firmware_specs.topics import check_terminal_id

MAX_HEAD_BYTES: Final = 4 * 1024 * 1024
MAX_ENTRY_BYTES: Final = 2 * MAX_BATCH_BYTES
CHAIN_BYTES: Final = 32


class ExportHead(Message):
    """The first line: whose journal it is, and the certificates (PEM) of the terminal and of who issued them.

    ``of``: what the cloud has stored, or what an outbox still holds.
    """

    v: Major
    terminal: str
    of: Literal["journal", "outbox"] = "journal"
    certificates: Annotated[list[str], Field(max_length=1000)]


class ExportedBatch(Message):
    """One line for each batch, in the order in which they were stored. ``received_at``: of an outbox, when it was written."""

    stream: Uuid
    first: Number
    payload: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$"), Field(description="base64")]
    received_at: TimeUs


@dataclass(slots=True)
class _Stream:
    """``chains``: the chain at every number, 32 bytes each, so that a later stream's parent can be held against it."""

    parent: Parent | None
    last: int = 0
    chains: bytearray = field(default_factory=bytearray)

    def chain_at(self, number: int, start: bytes) -> bytes:
        return bytes(self.chains[CHAIN_BYTES * (number - 1) : CHAIN_BYTES * number]) if number else start


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found good. ``signed_by``: key ids; ``parents_elsewhere``: streams that continue one that is not in the file.

    ``brought_in``: batches that were received when their certificate had ended, and signed before.
    """

    terminal: str
    batches: int
    records: int
    streams: int
    signed_by: tuple[str, ...]
    parents_elsewhere: int
    rooted: bool
    brought_in: int = 0

    def __str__(self) -> str:
        said = f"ok: {self.batches} batches, {self.records} records, {self.streams} streams"
        said += f", signed by {', '.join(self.signed_by)} of {self.terminal}" if self.signed_by else ""
        if self.parents_elsewhere:
            said += f"; {self.parents_elsewhere} of the streams continue one that is not in this file"
        if self.brought_in:
            said += f"; {self.brought_in} of the batches were brought in after their certificate had ended"
        return said if self.rooted else f"{said}; who issued the certificates was not checked: give --root"


def verify(lines: Iterable[bytes], root: x509.Certificate | None) -> Verified:
    """Check a whole file; its certificates too where there is a root to trust. Raises ExportError at the first fault."""
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, b""))
    with _at(1):
        head = head_of(first, "journal")
        journal = _Journal(head.terminal, _Certificates(head, root))
    for number, line in numbered:
        with _at(number):
            journal.add(line)
    return journal.verified()


def bounded_lines(file: Any) -> Iterator[bytes]:
    """The lines of an open binary file, none longer than can be right by more than a little."""
    limit = MAX_HEAD_BYTES
    while line := file.readline(limit + 1):
        yield line
        limit = MAX_ENTRY_BYTES


class _Journal:
    def __init__(self, terminal: str, certificates: "_Certificates") -> None:
        self._terminal, self._certificates = terminal, certificates
        self._streams: dict[str, _Stream] = {}
        self._batches = self._records = self._brought_in = 0
        self._signed_by: dict[str, None] = {}

    def add(self, line: bytes) -> None:
        entry, payload = entry_of(line)
        batch = wire.decode_batch(payload)
        if (batch.header.stream, batch.header.first) != (entry.stream, entry.first):
            raise ValueError("stream and first are not those of the batch itself")
        self._continue(batch)
        key = signing.verify(self._terminal, payload.partition(b"\n")[0], self._certificates.keys)
        self._brought_in += self._certificates.check(key, entry.received_at, batch.header)
        self._signed_by[key] = None
        self._batches += 1
        self._records += batch.header.count

    def verified(self) -> Verified:
        parents = [stream.parent for stream in self._streams.values() if stream.parent is not None]
        elsewhere = sum(parent.stream not in self._streams for parent in parents)
        rooted, signed_by = self._certificates.rooted, tuple(self._signed_by)
        counted = self._batches, self._records, len(self._streams)
        return Verified(self._terminal, *counted, signed_by, elsewhere, rooted, self._brought_in)

    def _continue(self, batch: wire.Batch) -> None:
        header = batch.header
        stream = self._streams.get(header.stream)
        where = f"stream {header.stream}, number {header.first}"
        if stream is None:
            self._check_parent(where, header.parent)
            stream = _Stream(header.parent)
        elif stream.parent != header.parent:
            raise ValueError(f"{where}: names another parent than the batches before")
        if header.first != stream.last + 1:
            raise ValueError(f"{where}: {stream.last + 1} comes next, so batches are missing, twice, or out of order")
        chain = stream.chain_at(stream.last, wire.chain_start(self._terminal, header.stream))
        if header.prev != chain.hex():
            raise ValueError(f"{where}: does not continue the chain before it")
        for record in batch.lines:
            chain = wire.chain_next(chain, record)
            stream.chains += chain
        stream.last = batch.last
        self._streams[header.stream] = stream

    def _check_parent(self, where: str, parent: Parent | None) -> None:
        before = None if parent is None else self._streams.get(parent.stream)
        if parent is None or before is None:
            return
        if parent.through > before.last:
            raise ValueError(
                f"{where}: continues stream {parent.stream} from {parent.through}, which is here through {before.last}"
            )
        start = wire.chain_start(self._terminal, parent.stream)
        if before.chain_at(parent.through, start).hex() != parent.chain:
            raise ValueError(f"{where}: its parent {parent.stream} has another chain at {parent.through}")


class _Certificates:
    """The terminal's certificates by key id, and who issued them."""

    def __init__(self, head: ExportHead, root: x509.Certificate | None) -> None:
        check_terminal_id(head.terminal)
        self.rooted = root is not None
        self._root = root
        self.keys: dict[str, ec.EllipticCurvePublicKey] = {}
        self._of_key: dict[str, list[x509.Certificate]] = {}
        self._issuers: list[x509.Certificate] = []
        self._good: dict[x509.Certificate, tuple[int, int]] = {}
        for place, text in enumerate(head.certificates, 1):
            for certificate in _certificates(place, text):
                self._sort(place, certificate, head.terminal)

    def check(self, key: str, received_at: int, header: Header) -> bool:
        """Whether the batch was brought in later: it was received when no certificate of the key led to the root any more, and
        one did when a synced clock says that it was signed. Nothing is asked where there is no root."""
        if self._root is None or self._any_is_good(key, received_at):
            return False
        if header.clock is Clock.SYNCED and header.sent_at < received_at and self._any_is_good(key, header.sent_at):
            return True
        at = datetime.fromtimestamp(received_at / 1e6, UTC)
        raise ValueError(f"no certificate of key {key} leads to the root on {at:%Y-%m-%d at %H:%M:%S} UTC")

    def _any_is_good(self, key: str, at_us: int) -> bool:
        return any(self._is_good(each, at_us) for each in self._of_key[key])

    def _sort(self, place: int, certificate: x509.Certificate, terminal: str) -> None:
        if _may_issue(certificate):
            self._issuers.append(certificate)
            return
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        key = certificate.public_key()
        if names != [terminal] or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError(f"certificate {place} is of {', '.join(names) or 'nobody'}, and not of {terminal}")
        name = signing.key_id(key)
        self.keys[name] = key
        self._of_key.setdefault(name, []).append(certificate)

    def _is_good(self, certificate: x509.Certificate, at_us: int) -> bool:
        """What was good at two times was so between them."""
        first, last = self._good.get(certificate, (at_us, at_us - 1))
        if first <= at_us <= last:
            return True
        good = self._root is not None and is_rooted(certificate, self._issuers, self._root, at_us)
        if good:
            self._good[certificate] = (min(first, at_us), max(last, at_us))
        return good


def is_rooted(
    certificate: x509.Certificate, issuers: Sequence[x509.Certificate], root: x509.Certificate, at_us: int
) -> bool:
    """Whether a certificate is for signing in, and leads over ``issuers`` to ``root``, at a time (RFC 5280, 6)."""
    policy = (
        verification.PolicyBuilder().store(verification.Store([root])).time(datetime.fromtimestamp(at_us / 1e6, UTC))
    )
    policy = policy.extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
        ee_policy=verification.ExtensionPolicy.permit_all(),
    )
    try:
        policy.build_client_verifier().verify(certificate, list(issuers))
    except verification.VerificationError:
        return False
    return True


def head_line(terminal: str, of: Literal["journal", "outbox"], certificates: Sequence[str]) -> bytes:
    """The first line of a file, with its newline."""
    return wire.encode(ExportHead(v=1, terminal=terminal, of=of, certificates=list(certificates))) + b"\n"


def entry_line(stream: str, first: int, payload: bytes, received_at: int) -> bytes:
    """A batch's line, with its newline."""
    text = base64.b64encode(payload).decode()
    return wire.encode(ExportedBatch(stream=stream, first=first, payload=text, received_at=received_at)) + b"\n"


def head_of(line: bytes, of: Literal["journal", "outbox"]) -> ExportHead:
    """The first line; raises ValueError and ContractError where it is none of such a file."""
    fields = json_object("head", _whole(line, MAX_HEAD_BYTES))
    if fields.get("v") != 1:
        raise ValueError(f"is not the head of an exported {of} of version 1")
    head = validated("head", ExportHead.model_validate_json, line)
    if head.of != of:
        raise ValueError(f"is the head of an exported {head.of}, not of an exported {of}")
    return head


def entry_of(line: bytes) -> tuple[ExportedBatch, bytes]:
    """A batch's line, and the batch; raises ValueError and ContractError."""
    json_object("batch", _whole(line, MAX_ENTRY_BYTES))
    entry = validated("batch", ExportedBatch.model_validate_json, line)
    try:
        return entry, base64.b64decode(entry.payload, validate=True)
    except binascii.Error:
        raise DecodeError("batch.payload", "is not base64") from None


def _whole(line: bytes, limit: int) -> bytes:
    if not line.endswith(b"\n") or len(line) > limit:
        raise ValueError("is cut, or no line of an exported journal or outbox")
    return line


def _certificates(place: int, text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"certificate {place} is no certificate in PEM") from None


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


@contextmanager
def _at(line: int) -> Iterator[None]:
    try:
        yield
    except (ContractError, ValueError) as error:
        raise ExportError(line, str(error)) from None
