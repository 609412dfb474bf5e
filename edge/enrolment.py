"""The two requests of the enrolment over HTTPS, and what may come back: what claim and renewal share.

Promises that an answer is wholly as the decision says before anything of it is used, and that whatever goes wrong is one
sentence without a secret in it (EnrolmentError). Called by edge/claim.py and edge/renewal.py.
"""

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edge.errors import EnrolmentError
from edge.identity import BrokerAt
from firmware_specs.topics import TERMINAL_ID

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 20.0
MOST_ANSWER_BYTES: Final = 256 * 1024
TerminalId = Annotated[str, StringConstraints(pattern=f"^{TERMINAL_ID.pattern}$")]
A = TypeVar("A", bound=BaseModel)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Claimable(_Answer):
    """Whose code it is."""

    terminal: TerminalId


class Renewed(_Answer):
    """A new certificate. PEM: ``certificate``, ``chain`` (intermediates) and ``root``; ``not_after`` in microseconds."""

    terminal: TerminalId
    profile: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    certificate: str
    chain: str
    root: str
    not_after: int
    broker: BrokerAt

    def certificates(self) -> list[x509.Certificate]:
        """The terminal's own, then the intermediates; raises EnrolmentError."""
        return [*_certificates(self.certificate)[:1], *(_certificates(self.chain) if self.chain.strip() else [])]

    def root_certificate(self) -> x509.Certificate:
        """The root; raises EnrolmentError."""
        return _certificates(self.root)[0]


class Claimed(Renewed):
    """The same for a claim. ``password`` is for files; ``desired`` the first desired twin, or none yet."""

    password: Annotated[str, Field(min_length=1, max_length=200, repr=False)]
    desired: dict[str, Any] | None = None


class Enrolment:
    """The cloud's side, at one address. Use as a context."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        import httpx

        self.url = url.rstrip("/")
        try:
            self._client = httpx.Client(base_url=self.url, timeout=TIMEOUT_S, verify=context)
        except httpx.InvalidURL:
            raise EnrolmentError(f"{url} is no address. Example: https://roomlink.example.org") from None

    def __enter__(self) -> "Enrolment":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def whose(self, code: str) -> Claimable:
        """Which terminal a code is for; raises EnrolmentError."""
        return _read(Claimable, self._ask("POST", "/api/v1/enrolment/claims/owner", {"code": code}), HTTPStatus.OK)

    def claim(self, code: str, request: x509.CertificateSigningRequest) -> Claimed:
        """Use the code up for a certificate; raises EnrolmentError."""
        body = {"code": code, "csr": request.public_bytes(Encoding.PEM).decode()}
        return _read(Claimed, self._ask("POST", "/api/v1/enrolment/claims", body), HTTPStatus.CREATED)

    def renew(self, certificate: x509.Certificate, request: x509.CertificateSigningRequest, signature: str) -> Renewed:
        """A new certificate for an old one; raises EnrolmentError."""
        pem = certificate.public_bytes(Encoding.PEM).decode()
        body = {"certificate": pem, "csr": request.public_bytes(Encoding.PEM).decode(), "signature": signature}
        return _read(Renewed, self._ask("POST", "/api/v1/enrolment/renewals", body), HTTPStatus.CREATED)

    def now(self) -> datetime:
        """The cloud's clock (RFC 9110, 6.6.1); raises EnrolmentError."""
        said = self._ask("GET", "/healthz").headers.get("Date", "")
        with suppress(ValueError):
            return parsedate_to_datetime(said).astimezone(UTC)
        raise EnrolmentError(f"The cloud at {self.url} does not say what time it is.")

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> "httpx.Response":
        import httpx

        try:
            return self._client.request(method, path, json=body)
        except httpx.ConnectError as error:
            raise EnrolmentError(_unreachable(self.url, error)) from None
        except (httpx.HTTPError, OSError) as error:
            what = str(error) or type(error).__name__
            raise EnrolmentError(f"The cloud at {self.url} did not answer: {what}.") from None


def _unreachable(url: str, error: Exception) -> str:
    text = str(error)
    if "expired" in text or "not yet valid" in text:
        now = datetime.now(UTC)
        return (
            f"The certificate of {url} is not good at {now:%Y-%m-%d %H:%M} UTC, the time of this machine. "
            "Set the clock, and try again."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"The certificate of {url} is not trusted here ({text}). Is it the right address? Else give --ca-file."
    return f"The cloud at {url} cannot be reached: {text}. See the address, the network, and the firewall."


def _read(model: type[A], answer: "httpx.Response", expected: HTTPStatus) -> A:
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        said = "The cloud was asked too often. Wait a quarter of an hour, then try again."
        raise EnrolmentError(said, answer.status_code)
    if answer.status_code != expected:
        raise EnrolmentError(f"The cloud answered {answer.status_code}{_detail(answer)}.", answer.status_code)
    if len(answer.content) > MOST_ANSWER_BYTES:
        raise EnrolmentError("The cloud's answer is larger than it may be.")
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EnrolmentError(f"The cloud's answer was not understood: {where} {first['msg']}.") from None


def _detail(answer: "httpx.Response") -> str:
    """The sentence of an RFC 9457 problem, where there is one."""
    with suppress(ValueError, AttributeError, TypeError):
        detail = answer.json().get("detail")
        return f": {detail[:200].rstrip('.')}" if isinstance(detail, str) else ""
    return ""


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise EnrolmentError("The cloud sent what is no certificate in PEM.") from None
