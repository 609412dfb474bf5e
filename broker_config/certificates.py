"""What of the broker's certificate files Mosquitto may be given, and what would let everyone in or shut everyone out.

Promises that a file which passes is one that Mosquitto reads as meant; why another does not is one sentence (UnfitError).
Pure: bytes and an instant in. Called by broker_config/watch.py before it puts a file into place.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_BEGIN_LIST = b"-----BEGIN X509 CRL-----"


class UnfitError(ValueError):
    """A file that the broker must not be given, and why; a retry helps only when the file has changed."""


def read_authorities(pem: bytes) -> list[x509.Certificate]:
    """All certificates that may sign terminals' certificates: root and intermediates."""
    found = _certificates(pem)
    for each in found:
        if not _is_authority(each):
            raise UnfitError(f"{_name(each)} is no certificate authority")
    return found


def check_server(pem: bytes, key_pem: bytes, authorities: Sequence[x509.Certificate], now: datetime) -> None:
    """UnfitError unless this is a certificate in date, with its own key, that leads to one of the authorities."""
    leaf = _certificates(pem)[0]
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitError("its key cannot be read, or is under a passphrase") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise UnfitError("certificate and key do not belong together")
    _check_dates(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)
    if not any(_issued(leaf, each) for each in authorities):
        raise UnfitError("it is not signed by one of the authorities in ca.pem")


def check_revocations(pem: bytes, authorities: Sequence[x509.Certificate], now: datetime) -> None:
    """UnfitError unless there is a list in date of every intermediate, each signed by one of the authorities.

    Mosquitto asks for the list of whoever signed the terminal's certificate (OpenSSL's X509_V_FLAG_CRL_CHECK). One that it
    cannot read it leaves out, and then checks nothing; one that is expired or missing refuses every terminal of that signer.
    """
    lists = _lists(pem)
    for each in lists:
        signer = next((a for a in authorities if a.subject == each.issuer and _signed_list(each, a)), None)
        if signer is None:
            raise UnfitError(
                f"a list in the name of {_common_name(each.issuer)} is signed by none of the authorities in ca.pem"
            )
        if each.next_update_utc is None:
            raise UnfitError(f"the list of {_name(signer)} does not say until when it is good")
        _check_dates(each.last_update_utc, each.next_update_utc, now)
    told = {each.issuer for each in lists}
    for signer in authorities:
        in_date = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
        if in_date and signer.issuer != signer.subject and signer.subject not in told:
            raise UnfitError(f"it has no list of {_name(signer)}, whose terminals would all be refused")


def _lists(pem: bytes) -> list[x509.CertificateRevocationList]:
    if not pem.strip():
        raise UnfitError("it is empty")
    blocks = _LIST.findall(pem)
    if not blocks or len(blocks) != pem.count(_BEGIN_LIST):
        raise UnfitError("it is cut, or holds no revocation list in PEM")
    try:
        return [x509.load_pem_x509_crl(block) for block in blocks]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitError("it cannot be read as a revocation list") from None


def _certificates(pem: bytes) -> list[x509.Certificate]:
    if not pem.strip():
        raise UnfitError("it is empty")
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitError("it cannot be read as certificates in PEM") from None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _signed_list(revocations: x509.CertificateRevocationList, signer: x509.Certificate) -> bool:
    key = signer.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and revocations.is_signature_valid(key)


def _check_dates(begins: datetime, ends: datetime, now: datetime) -> None:
    if now > ends:
        raise UnfitError(f"it ended on {ends:%Y-%m-%d %H:%M} UTC")
    if now < begins:
        raise UnfitError(f"it is good only from {begins:%Y-%m-%d %H:%M} UTC on: look at this machine's clock")


def _name(certificate: x509.Certificate) -> str:
    return _common_name(certificate.subject)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()
