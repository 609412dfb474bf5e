"""What the certificates of Roomlink look like: root, intermediate, terminal, server, and revocation list (RFC 5280).

Promises that a terminal's certificate is good for signing in as that terminal and for nothing else, and that a request which
asks for more, or whose key is weak, is refused with a sentence. Pure: no clock, no file, no database. Called by the service,
the commands, and the tests that need a broker with certificates.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.errors import Fault, Invalid

ROOT_LASTS: Final = timedelta(days=20 * 365)
INTERMEDIATE_LASTS: Final = timedelta(days=5 * 365)
SERVER_LASTS: Final = timedelta(days=365)
TERMINAL_LASTS: Final = timedelta(days=90)
CLOCKS_MAY_DIFFER: Final = timedelta(days=1)
"""A certificate is good from so long before it is made: the broker's clock may be slow."""
MAX_REQUEST_BYTES: Final = 8 * 1024


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that is worth nothing any more. `reason` is a CRL reason (RFC 5280, 5.3.1)."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


def new_key() -> ec.EllipticCurvePrivateKey:
    """P-256 (FIPS 186-5)."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(name: str, now: datetime) -> Authority:
    """A root that signs itself; it signs intermediates only, and is kept apart."""
    key = new_key()
    subject = _named(f"{name} root")
    builder = _authority(subject, key.public_key(), now, ROOT_LASTS, path_length=1).issuer_name(subject)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def make_intermediate(root: Authority, name: str, now: datetime) -> Authority:
    """The authority in use: it signs terminals, servers and revocation lists."""
    key = new_key()
    builder = _authority(_named(name), key.public_key(), now, INTERMEDIATE_LASTS, path_length=0)
    return Authority(_signed_by(root, builder), key)


def make_terminal(
    issuer: Authority, terminal: str, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta = TERMINAL_LASTS
) -> x509.Certificate:
    """The certificate of a terminal: its common name is the terminal's id, and it serves to sign in (RFC 5280, 4.2.1.12)."""
    return _signed_by(issuer, _leaf(_named(terminal), key, now, lasts, ExtendedKeyUsageOID.CLIENT_AUTH))


def make_service(
    issuer: Authority, name: str, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta = SERVER_LASTS
) -> x509.Certificate:
    """The certificate by which one of the cloud's own services signs in at the broker."""
    return _signed_by(issuer, _leaf(_named(name), key, now, lasts, ExtendedKeyUsageOID.CLIENT_AUTH))


def make_server(
    issuer: Authority,
    names: Sequence[str],
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lasts: timedelta = SERVER_LASTS,
) -> x509.Certificate:
    """The certificate of a broker: host names or addresses that terminals connect to, the first also as common name."""
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    builder = _leaf(_named(names[0][:64]), key, now, lasts, ExtendedKeyUsageOID.SERVER_AUTH)
    return _signed_by(issuer, builder.add_extension(alternatives, critical=False))


def make_revocation_list(
    issuer: Authority, revoked: Iterable[Revoked], number: int, now: datetime, lasts: timedelta
) -> x509.CertificateRevocationList:
    """The issuer's revocation list (RFC 5280, 5); `number` rises with each."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - CLOCKS_MAY_DIFFER)
        .next_update(now + lasts)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for each in revoked:
        builder = builder.add_revoked_certificate(_revoked(each))
    return builder.sign(issuer.key, hashes.SHA256())


def read_request(pem: bytes, terminal: str) -> ec.EllipticCurvePublicKey:
    """The key of a certificate signing request (RFC 2986) for `terminal`.

    Invalid with a sentence where it is no request, not signed by its own key, for another name, for more than a name, or
    its key is not P-256.
    """
    if len(pem) > MAX_REQUEST_BYTES:
        raise _unfit(f"is larger than {MAX_REQUEST_BYTES} bytes", "csr_too_large")
    try:
        request = x509.load_pem_x509_csr(pem)
        key, signed, names = request.public_key(), request.is_signature_valid, _common_names(request.subject)
        extensions = list(request.extensions)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InvalidSignature,
        x509.DuplicateExtension,
        x509.InvalidVersion,
    ):
        raise _unfit("is no certificate signing request in PEM", "csr_unreadable") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unfit("must be for a key on the curve P-256", "csr_weak_key")
    if not signed:
        raise _unfit("is not signed by the key that it names", "csr_not_signed")
    if names != [terminal] or len(list(request.subject)) != 1:
        raise _unfit(f"must be for the common name {terminal} and nothing else", "csr_other_name")
    if extensions:
        raise _unfit("must ask for no extensions", "csr_extensions")
    return key


def terminal_of(certificate: x509.Certificate) -> str | None:
    """The common name of a certificate; None where it has none or several."""
    names = _common_names(certificate.subject)
    return names[0] if len(names) == 1 else None


def is_client(certificate: x509.Certificate) -> bool:
    """Whether it serves to sign in (client authentication), as a terminal's does and a broker's does not."""
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in uses


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed it; says nothing of dates and revocation."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _authority(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta, *, path_length: int
) -> x509.CertificateBuilder:
    return (
        _dated(subject, key, now, lasts)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )


def _leaf(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta, use: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    return (
        _dated(subject, key, now, lasts)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )


def _dated(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_MAY_DIFFER)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed_by(issuer: Authority, builder: x509.CertificateBuilder) -> x509.Certificate:
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.issuer_name(issuer.certificate.subject).add_extension(known, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _revoked(each: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at)
    if each.reason is not x509.ReasonFlags.unspecified:  # "unspecified" should be absent (RFC 5280, 5.3.1)
        builder = builder.add_extension(x509.CRLReason(each.reason), critical=False)
    return builder.build()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_names(name: x509.Name) -> list[str]:
    return [str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _unfit(says: str, code: str) -> Invalid:
    return Invalid(f"The certificate signing request {says}.", [Fault("body.csr", says, code)], code=code)
