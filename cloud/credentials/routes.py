"""HTTP: credentials, cards to print, issuer keys."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse

from cloud.accounts.service import Principal
from cloud.api import Cloud, PageOf, Pages, TheCloud, View, problems, router
from cloud.audit.service import note
from cloud.credentials import cards, issuer_keys, service
from cloud.credentials.service import Card, IssueForm, RevokeForm
from cloud.forms import InstantUs
from cloud.members.service import MemberId
from cloud.security import Organiser, Viewer, WholeAdmin
from cloud.terminals.reported import know_issuer_key

credentials = router("/credentials", "credentials")
keys = router("/issuer-keys", "issuer keys")

Id = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}$")]
WithName = Annotated[bool, Query(description="Also print the member's name: whoever finds the card reads it.")]
Documented = dict[int | str, dict[str, Any]]
PNG: Documented = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
SVG: Documented = {200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}}
MAX_CARDS = 100


class CredentialView(View):
    """A credential; its number is printed on the card."""

    id: str
    member_id: str
    issuer: str
    key_id: str
    not_before_at: InstantUs
    expires_at: InstantUs
    revoked_at: InstantUs | None
    revoke_reason: str | None
    created_at: InstantUs


class IssuerKeyView(View):
    """A signing key, without its private part."""

    key_id: str
    issuer: str
    public_key: str
    created_at: InstantUs
    signs_until_at: InstantUs
    trusted_until_at: InstantUs


class IssuerKeys(View):
    """All keys, newest first."""

    items: list[IssuerKeyView]


@credentials.get("")
def list_credentials(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    member_id: Annotated[MemberId | None, Query(description="Only this member's.")] = None,
) -> PageOf[CredentialView]:
    """Credentials in your scope, newest first."""
    with cloud.reading() as session:
        found = service.list_credentials(session, by.scope, pages, member_id=member_id)
        return PageOf[CredentialView].of(found)


@credentials.post("", status_code=201, responses=problems(404, 409))
def issue_credential(cloud: TheCloud, by: Organiser, form: IssueForm) -> CredentialView:
    """A new card for a member. The first one makes the issuer key."""
    with cloud.writing() as session:
        credential = service.issue(session, cloud.change(by), by.scope, service.issuer_of(cloud.settings), form)
        return CredentialView.model_validate(credential)


@credentials.get("/cards", response_class=HTMLResponse, responses=problems(404, 409))
def print_cards(
    cloud: TheCloud,
    by: Organiser,
    credential_id: Annotated[
        list[Annotated[str, Query(pattern=r"^[0-9a-f]{16}$")]], Query(min_length=1, max_length=MAX_CARDS)
    ],
    with_names: WithName = False,
) -> HTMLResponse:
    """A4 pages of cards to print, ten on each."""
    return HTMLResponse(cards.as_pages(_drawn(cloud, by, credential_id, with_names)))


@credentials.get("/{credential_id}", responses=problems(404))
def get_credential(cloud: TheCloud, by: Viewer, credential_id: Id) -> CredentialView:
    """One credential."""
    with cloud.reading() as session:
        return CredentialView.model_validate(service.get(session, by.scope, credential_id))


@credentials.post("/{credential_id}/revocation", responses=problems(404))
def revoke_credential(cloud: TheCloud, by: Organiser, credential_id: Id, form: RevokeForm) -> CredentialView:
    """Revoke it, at once and for ever."""
    with cloud.writing() as session:
        credential = service.revoke(session, cloud.change(by), by.scope, credential_id, form.reason)
        return CredentialView.model_validate(credential)


@credentials.get("/{credential_id}/card.png", response_class=Response, responses={**PNG, **problems(404, 409)})
def get_card_png(cloud: TheCloud, by: Organiser, credential_id: Id, with_names: WithName = False) -> Response:
    """The card as a picture."""
    card = _drawn(cloud, by, [credential_id], with_names)[0]
    return Response(cards.as_png(card), media_type="image/png")


@credentials.get("/{credential_id}/card.svg", response_class=Response, responses={**SVG, **problems(404, 409)})
def get_card_svg(cloud: TheCloud, by: Organiser, credential_id: Id, with_names: WithName = False) -> Response:
    """The card as a drawing at its true size."""
    card = _drawn(cloud, by, [credential_id], with_names)[0]
    return Response(cards.as_svg(card), media_type="image/svg+xml")


@keys.get("")
def list_issuer_keys(cloud: TheCloud, _by: Viewer) -> IssuerKeys:
    """All keys, newest first."""
    with cloud.reading() as session:
        return IssuerKeys.model_validate({"items": issuer_keys.all_keys(session)}, from_attributes=True)


@keys.post("", status_code=201, responses=problems(409))
def rotate_issuer_key(cloud: TheCloud, by: WholeAdmin) -> IssuerKeyView:
    """A new key. It is published in the twins now, and signs once every terminal has reported a twin that holds it, or
    when ROOMLINK_ISSUER_KEY_LEAD_DAYS have passed. Cards signed by the one before stay good until they expire.
    """
    with cloud.writing() as session:
        issuer, lead = service.issuer_of(cloud.settings), timedelta(days=cloud.settings.issuer_key_lead_days)
        key = issuer_keys.rotate(session, cloud.change(by), issuer.name, issuer.box, lead, know_issuer_key)
        return IssuerKeyView.model_validate(key)


@keys.post("/{key_id}/signing", responses=problems(404, 409))
def sign_with_issuer_key(cloud: TheCloud, by: WholeAdmin, key_id: KeyId) -> IssuerKeyView:
    """Sign with this key from now on, without waiting: kiosks that have no twin with it refuse its cards until they do."""
    with cloud.writing() as session:
        return IssuerKeyView.model_validate(issuer_keys.sign_with(session, cloud.change(by), key_id))


@keys.delete("/{key_id}", responses=problems(404))
def revoke_issuer_key(cloud: TheCloud, by: WholeAdmin, key_id: KeyId) -> IssuerKeyView:
    """Trust a key no more: every card that it signed is refused."""
    with cloud.writing() as session:
        return IssuerKeyView.model_validate(issuer_keys.revoke(session, cloud.change(by), key_id))


def _drawn(cloud: Cloud, by: Principal, credential_ids: list[str], with_names: bool) -> list[Card]:
    with cloud.writing() as session:
        drawn = service.cards(
            session, by.scope, service.issuer_of(cloud.settings), credential_ids, with_names=with_names
        )
        for each in credential_ids:
            note(session, cloud.change(by), "credential.draw", each, with_name=with_names)
    return drawn


routes = APIRouter()
routes.include_router(credentials)
routes.include_router(keys)
