"""Organisations and rooms to choose from, for the console's forms."""

from sqlalchemy.orm import Session

from cloud.console import dialogs
from cloud.console.view import View
from cloud.console.words import Words
from cloud.organisations import service as organisations
from cloud.organisations import tree
from cloud.organisations.tree import Branch
from cloud.paging import MAX_LIMIT, Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope


def organisations_of(session: Session, scope: Scope) -> list[Branch]:
    """Each right before those below it."""
    return tree.branches(session, scope)


def branch_scope(session: Session, scope: Scope, organisation_id: str) -> Scope:
    """The branch of an organisation, where one is named and lies in `scope`; else `scope`."""
    if not organisation_id:
        return scope
    return Scope(organisations.get(session, scope, organisation_id).path)


def organisation_options(view: View, places: list[Branch]) -> list[tuple[str, str]]:
    """For a list to choose from: id, and name in the page's language, set in by its depth."""
    return dialogs.indented(view.words, places)


def rooms_of(session: Session, scope: Scope, chosen: str | None = None) -> list[tuple[str, str, str, str]]:
    """(id, number, name, English name), by number: at most MAX_LIMIT, and before them the one that is chosen already."""
    found = rooms.list_rooms(session, scope, Paging(MAX_LIMIT)).rows
    listed = [(room.id, room.number, room.name, room.name_en) for room in found]
    if chosen is None or any(room_id == chosen for room_id, *_ in listed):
        return listed
    return [(room_id, *label) for room_id, label in rooms.labels(session, [chosen]).items()] + listed


def room_options(words: Words, places: list[tuple[str, str, str, str]]) -> list[tuple[str, str]]:
    """For a list to choose from: id, and number with name."""
    return [(room_id, f"{number} {words.either(name, name_en)}") for room_id, number, name, name_en in places]
