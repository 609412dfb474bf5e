"""HTTP: claim codes, claims and renewals by terminals, revocation. What a terminal asks here needs no sign-in (decision 10)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from cloud.api import API, Cloud, PageOf, Pages, TheCloud, View, problems, router
from cloud.certificates import codes, service
from cloud.certificates.authority import MAX_REQUEST_BYTES
from cloud.certificates.issuing import CertificateKind
from cloud.certificates.service import Owned, ShutOutForm
from cloud.errors import NotFound
from cloud.forms import Form, InstantUs
from cloud.guard import address_of
from cloud.keybox import KeyBox
from cloud.security import ConfirmedAdmin, Operator, Viewer
from cloud.terminals import broker_users
from cloud.terminals.service import Kind

routes = router("", "certificates")
enrolment = APIRouter(prefix=f"{API}/enrolment", tags=["certificates"], responses=problems(403, 413, 422, 503))
"""Nobody signs in for these: a code, or an old key, is what opens them."""

TerminalId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]
Code = Annotated[str, Field(min_length=1, max_length=codes.MAX_TYPED, examples=["7KQ2M-ZX4RA"])]
Pem = Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_BYTES)]


class ClaimCodeBody(Form):
    """A claim code, as it was typed."""

    code: Code


class ClaimBody(ClaimCodeBody):
    """The same, and a certificate signing request (RFC 2986, PEM) for the terminal's own name and nothing else."""

    csr: Pem


class RenewalBody(Form):
    """The old certificate, a request for the next, and the old key's signature over both: base64url of r || s."""

    certificate: Pem
    csr: Pem
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


class ClaimCodeView(View):
    """A claim code, shown this once."""

    code: str
    expires_at: InstantUs


class ClaimOwnerView(View):
    """Whose a claim code is."""

    terminal: str


class BrokerView(View):
    """Where a terminal finds the broker."""

    host: str
    port: int


class IssuedView(View):
    """A certificate, and what its owner must know to use it; certificates are PEM, `chain` the way up to `root`."""

    terminal: str
    kind: Kind
    profile: str
    certificate: str
    chain: str
    root: str
    not_after: InstantUs
    renew_at: InstantUs
    broker: BrokerView


class ClaimedView(IssuedView):
    """The same, with the password for files, shown this once, and the desired twin as the broker would give it."""

    password: str
    desired: dict[str, Any] | None


class CertificateView(View):
    """A certificate that was given; `serial` and `fingerprint` (SHA-256) are hex."""

    serial: str
    kind: CertificateKind
    name: str
    key_id: str
    fingerprint: str
    authority_id: str
    not_before_at: InstantUs
    not_after_at: InstantUs
    created_at: InstantUs
    revoked_at: InstantUs | None
    revoke_reason: str | None


@routes.post("/terminals/{terminal_id}/claim-code", responses=problems(404, 409))
def make_claim_code(cloud: TheCloud, by: Operator, terminal_id: TerminalId) -> ClaimCodeView:
    """A claim code of the terminal, shown once, good for a day and one claim; the one before ends."""
    with cloud.writing() as session:
        return ClaimCodeView.model_validate(service.make_code(session, cloud.change(by), by.scope, terminal_id))


@enrolment.post("/claims/owner", responses=problems(404, 429))
def whose_claim_code(request: Request, cloud: TheCloud, body: ClaimCodeBody) -> ClaimOwnerView:
    """The terminal that a code is for, so that its request can name it. No address holds the code: proxies log addresses."""
    with cloud.writing() as session:
        terminal = service.terminal_of(session, body.code, address_of(request), cloud.clock())
    if terminal is None:
        raise _no_code()
    return ClaimOwnerView(terminal=terminal)


@enrolment.post("/claims", status_code=201, responses=problems(404, 409, 429))
def claim_terminal(request: Request, cloud: TheCloud, body: ClaimBody) -> ClaimedView:
    """A terminal becomes itself: the code is used up, and it gets its certificate. What it had before is revoked."""
    with cloud.writing() as session:
        claimed = service.claim(session, box_of(cloud), body.code, _bytes(body.csr), address_of(request), cloud.clock())
    if claimed is None:
        raise _no_code()
    if claimed.had_password:
        broker_users.publish(cloud)
    view = _issued(cloud, claimed.owned)
    return ClaimedView(**view.model_dump(), password=claimed.password, desired=claimed.desired)


@enrolment.post("/renewals", status_code=201, responses=problems(409, 429))
def renew_certificate(request: Request, cloud: TheCloud, body: RenewalBody) -> IssuedView:
    """The next certificate, up to a year after the old one's end, unless that was revoked. Only the cloud's clock counts."""
    old, csr = _bytes(body.certificate), _bytes(body.csr)
    with cloud.writing() as session:
        owned = service.renew(session, box_of(cloud), old, csr, body.signature, address_of(request), cloud.clock())
    return _issued(cloud, owned)


@routes.post("/terminals/{terminal_id}/revoke", responses=problems(404))
def revoke_terminal(
    cloud: TheCloud, by: ConfirmedAdmin, terminal_id: TerminalId, form: ShutOutForm
) -> PageOf[CertificateView]:
    """Shut it out at once: all its certificates are revoked, it is disabled, and its session is cut. Those that were in force.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    with cloud.writing() as session:
        revoked = service.revoke(session, cloud.change(by), by.scope, terminal_id, form.reason)
        view = PageOf[CertificateView].model_validate({"items": revoked, "next_cursor": None}, from_attributes=True)
    broker_users.publish(cloud)
    return view


@routes.get("/terminals/{terminal_id}/certificates", responses=problems(404))
def list_certificates(cloud: TheCloud, by: Viewer, terminal_id: TerminalId, pages: Pages) -> PageOf[CertificateView]:
    """The certificates that a terminal was given, newest first."""
    with cloud.reading() as session:
        return PageOf[CertificateView].of(service.certificates(session, by.scope, terminal_id, pages))


def box_of(cloud: Cloud) -> KeyBox:
    """Where the authorities' keys are opened."""
    return KeyBox(cloud.settings.authority_key())


def _issued(cloud: Cloud, owned: Owned) -> IssuedView:
    host, port = cloud.settings.terminals_broker()
    given = owned.given
    return IssuedView(
        terminal=owned.terminal,
        kind=Kind(owned.kind),
        profile=owned.profile,
        certificate=given.certificate,
        chain=given.chain,
        root=given.root,
        not_after=given.not_after_at,
        renew_at=given.renew_at,
        broker=BrokerView(host=host, port=port),
    )


def _no_code() -> NotFound:
    """One sentence for a wrong, a used and an expired code: a guess learns nothing."""
    return NotFound("The claim code is wrong, used or expired; ask an operator for a new one.", code="claim_code")


def _bytes(text: str) -> bytes:
    """What PEM is made of; anything else is refused by whoever reads it."""
    return text.encode("utf-8", "replace")
