"""The tree of organisations as people see it: each below its parent, by name, with what its whole branch holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.organisations.models import Organisation
from cloud.organisations.service import ancestors, within
from cloud.scope import Scope

MOST = 2_000
"""Organisations that are shown at once, the highest first; the API pages through more."""


@dataclass(frozen=True)
class Branch:
    """An organisation in its place; `depth` is 0 for the highest that is shown."""

    id: str
    parent_id: str | None
    name: str
    name_en: str
    timezone: str
    version: int
    path: str
    depth: int


def branches(session: Session, scope: Scope) -> list[Branch]:
    """All of the scope, each right before those below it, neighbours by name."""
    query = select(Organisation).where(within(scope, Organisation.id)).order_by(Organisation.path).limit(MOST)
    rows = session.scalars(query).all()
    names = {row.id: row.name for row in rows}

    def place(row: Organisation) -> list[tuple[str, str]]:
        return [(names.get(each, ""), each) for each in ancestors(row.path) if each in names]

    return [
        Branch(row.id, row.parent_id, row.name, row.name_en, row.timezone, row.version, row.path, len(place(row)) - 1)
        for row in sorted(rows, key=place)
    ]


def totals(tree: Sequence[Branch], own: Mapping[str, int]) -> dict[str, int]:
    """What each branch holds together, from what each organisation holds by itself."""
    found = dict.fromkeys((branch.id for branch in tree), 0)
    for branch in tree:
        for above in ancestors(branch.path):
            if above in found:
                found[above] += own.get(branch.id, 0)
    return found


def sums(tree: Sequence[Branch], own: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """The same of several counts at once."""
    found: dict[str, Counter[str]] = {branch.id: Counter() for branch in tree}
    for branch in tree:
        counted = own.get(branch.id)
        for above in ancestors(branch.path) if counted else ():
            if above in found:
                found[above].update(counted)
    return found
