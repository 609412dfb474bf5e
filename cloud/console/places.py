"""Organisations to choose from, for the console's forms."""

from sqlalchemy.orm import Session

from cloud.console.view import View
from cloud.organisations import service as organisations
from cloud.paging import MAX_LIMIT, Paging
from cloud.scope import Scope


def organisations_of(session: Session, scope: Scope) -> list[tuple[str, str, str]]:
    """(id, name, English name), the highest first; at most MAX_LIMIT."""
    found = organisations.list_organisations(session, scope, Paging(MAX_LIMIT)).rows
    return [(each.id, each.name, each.name_en) for each in sorted(found, key=lambda each: each.path)]


def organisation_options(view: View, places: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """For a list to choose from: id and name in the page's language."""
    return [(each, view.words.either(name, name_en)) for each, name, name_en in places]
