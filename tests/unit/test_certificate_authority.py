"""The authority's certificates are good for what they are for, and a request for more is refused with a sentence."""

import base64
import contextlib
import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import ClientVerifier, PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from cloud.certificates import authority
from cloud.certificates.authority import Authority, Revoked
from cloud.errors import Invalid

NOW = datetime.datetime(2026, 11, 27, 9, 0, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Authority:
    return authority.make_root("Town", NOW)


@pytest.fixture(scope="module")
def issuer(root: Authority) -> Authority:
    return authority.make_intermediate(root, "Town terminals 1", NOW)


def verifier(root: Authority, at: datetime.datetime) -> ClientVerifier:
    """By another implementation of RFC 5280 than the one that made them: cryptography's, in Rust."""
    extensions = x509.verification.ExtensionPolicy
    return (
        PolicyBuilder()
        .store(Store([root.certificate]))
        .time(at)
        .extension_policies(ca_policy=extensions.webpki_defaults_ca(), ee_policy=extensions.permit_all())
        .build_client_verifier()
    )


def request(
    name: str = "kiosk-302",
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    *more: x509.NameAttribute[str],
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *more])
    signed = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key or authority.new_key(), hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM)


def test_terminal_is_good_for_signing_in_under_the_root_for_ninety_days(root: Authority, issuer: Authority) -> None:
    leaf = authority.make_terminal(issuer, "kiosk-302", authority.new_key().public_key(), NOW)
    assert verifier(root, NOW).verify(leaf, [issuer.certificate]).chain[-1] == root.certificate
    assert verifier(root, NOW + 89 * DAY).verify(leaf, [issuer.certificate])
    with pytest.raises(VerificationError):
        verifier(root, NOW + 91 * DAY).verify(leaf, [issuer.certificate])
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert authority.terminal_of(leaf) == "kiosk-302"


def test_terminal_cannot_sign_another_certificate(root: Authority, issuer: Authority) -> None:
    key = authority.new_key()
    leaf = authority.make_terminal(issuer, "kiosk-302", key.public_key(), NOW)
    forged = authority.make_terminal(Authority(leaf, key), "kiosk-303", authority.new_key().public_key(), NOW)
    with pytest.raises(VerificationError):
        verifier(root, NOW).verify(forged, [leaf, issuer.certificate])


def test_other_authority_is_not_trusted(root: Authority) -> None:
    other = authority.make_intermediate(authority.make_root("Elsewhere", NOW), "Town terminals 1", NOW)
    leaf = authority.make_terminal(other, "kiosk-302", authority.new_key().public_key(), NOW)
    with pytest.raises(VerificationError):
        verifier(root, NOW).verify(leaf, [other.certificate])
    assert not authority.is_issued_by(leaf, root.certificate)
    assert authority.is_issued_by(leaf, other.certificate)


def test_server_names_the_hosts_that_terminals_connect_to(issuer: Authority) -> None:
    leaf = authority.make_server(issuer, ["broker.example.org", "127.0.0.1"], authority.new_key().public_key(), NOW)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_revocation_list_names_who_is_revoked_and_ends(issuer: Authority) -> None:
    revoked = Revoked(4711, NOW, x509.ReasonFlags.key_compromise)
    found = authority.make_revocation_list(issuer, [revoked], 3, NOW, 60 * DAY)
    assert found.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
    assert found.get_revoked_certificate_by_serial_number(4711) is not None
    assert found.get_revoked_certificate_by_serial_number(4712) is None
    assert found.next_update_utc == NOW + 60 * DAY
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3


def test_request_of_the_terminal_gives_its_key() -> None:
    key = authority.new_key()
    assert authority.read_request(request(key=key), "kiosk-302") == key.public_key()


def with_a_name_more() -> bytes:
    return request("kiosk-302", None, x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Town"))


def with_an_extension() -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kiosk-302")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(authority.new_key(), hashes.SHA256()).public_bytes(Encoding.PEM)


def with_a_changed_byte() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda: b"", "csr_unreadable"),
        (lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "csr_unreadable"),
        (lambda: b"x" * 9000, "csr_too_large"),
        (lambda: request("kiosk-303"), "csr_other_name"),
        (with_a_name_more, "csr_other_name"),
        (lambda: request(key=rsa.generate_private_key(65537, 2048)), "csr_weak_key"),
        (lambda: request(key=ec.generate_private_key(ec.SECP224R1())), "csr_weak_key"),
        (with_an_extension, "csr_extensions"),
        (with_a_changed_byte, "csr_not_signed"),
    ],
    ids=["empty", "garbage", "too-large", "other-name", "name-more", "rsa", "small-curve", "extension", "changed"],
)
def test_request_for_something_else_is_refused_with_a_sentence(made: Callable[[], bytes], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        authority.read_request(made(), "kiosk-302")
    assert refused.value.code == code
    assert str(refused.value).startswith("The certificate signing request ")


DER = x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER)


@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_request_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    der = bytearray(DER)
    for at, byte in changes:
        der[at] = byte
    text = b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n" % base64.b64encode(der)
    with contextlib.suppress(Invalid):
        authority.read_request(text, "kiosk-302")


def test_broker_is_no_client(issuer: Authority) -> None:
    key = authority.new_key().public_key()
    assert authority.is_client(authority.make_terminal(issuer, "kiosk-302", key, NOW))
    assert not authority.is_client(authority.make_server(issuer, ["kiosk-302"], key, NOW))
    assert not authority.is_client(issuer.certificate)
