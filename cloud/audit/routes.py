"""HTTP: reading the audit. There is no way to write it but by changing something."""

from typing import Annotated, Any

from fastapi import Query

from cloud.api import PageOf, Pages, TheCloud, View, router
from cloud.audit import service
from cloud.forms import InstantUs, Search
from cloud.security import WholeAdmin

routes = router("/audit", "audit")


class AuditView(View):
    """Who did what to which thing, from where, and what was so before; `hash` is over `prev` and all the rest."""

    id: int
    at: InstantUs
    who: str
    action: str
    subject: str
    address: str
    detail: dict[str, Any]
    before: dict[str, Any] | None
    prev: str
    hash: str


@routes.get("")
def list_audit(
    cloud: TheCloud,
    _by: WholeAdmin,
    pages: Pages,
    subject: Annotated[Search | None, Query(description="The id of the thing that was changed.")] = None,
    who: Annotated[Search | None, Query(description="The account's name.")] = None,
) -> PageOf[AuditView]:
    """The newest changes first."""
    with cloud.reading() as session:
        return PageOf[AuditView].of(service.entries(session, pages, subject=subject, who=who))
