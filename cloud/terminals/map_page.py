"""Console: the map of the tree: what each organisation has, in which state, as bars that can be compared; the same as a table.

Promises one level at a time, so that it holds for two thousand organisations as well as for one, and that every number leads to
the list of just those terminals.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.console import facts, lists
from cloud.console.markup import Content, join, tag
from cloud.console.places import organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, link, none, panel, small, table
from cloud.organisations.service import ancestors
from cloud.organisations.tree import Branch
from cloud.scope import Scope
from cloud.terminals import fleet
from cloud.terminals.list_table import PATH, address
from cloud.terminals.wanted import Presence, Service, Wanted

EVERY_S: Final = 5.0
MOST: Final = 200
"""Bars that are drawn: those with most terminals. The table behind the button has the same ones."""

Counts = Mapping[str, Mapping[str, int]]


def register(shell: Shell) -> None:
    """`/terminals/map`."""

    @shell.page("/terminals/map", "terminals")
    async def tree_map(view: View, organisation: str = "") -> None:
        top, drawn = view.html(), view.html(slot="map")

        async def draw() -> None:
            branches, counts = await view.read(_known)
            here = next((each for each in branches if each.id == organisation), None)
            top.set_content(str(_head(view, branches, here)))
            drawn.set_content(str(_map(view, branches, counts, here)))

        await draw()
        view.keep_live(view.at_most_every(EVERY_S, draw))


def _known(session: Session, scope: Scope) -> tuple[list[Branch], Counts]:
    branches = organisations_of(session, scope)
    return branches, fleet.by_branch(session, scope, branches)


def _head(view: View, branches: Sequence[Branch], here: Branch | None) -> Markup:
    """The way down to the branch that is shown, each step a link."""
    words = view.words
    above = [each for each in branches if here is not None and each.id in ancestors(here.path)[:-1]]
    steps: list[Content] = [link(PATH, words("nav.terminals"))]
    steps.append([" › ", link(f"{PATH}/map", words("terminals.map"))] if here else None)
    steps += [[" › ", link(_down(each), words.either(each.name, each.name_en))] for each in above]
    name = words.either(here.name, here.name_en) if here else words("terminals.map")
    return head(view, name, above=join(*steps), beside=small(words("terminals.map_more")))


def _map(view: View, branches: Sequence[Branch], counts: Counts, here: Branch | None) -> Markup:
    """The branch itself, then those right below it, the one with most terminals first."""
    words = view.words
    depth = here.depth + 1 if here else 0
    below = [each for each in branches if (each.parent_id == here.id if here else each.depth == 0)]
    if here is None and len(below) == 1:
        here, depth = below[0], 1
        below = [each for each in branches if each.parent_id == here.id]
    below.sort(key=lambda each: (-_total(counts, each), each.name))
    shown = ([here] if here else []) + below[:MOST]
    if not any(_total(counts, each) for each in shown):
        return none(words("terminals.map_none"), words("terminals.map_none_more"))
    most = max(_total(counts, each) for each in shown)
    parents = {each.parent_id for each in branches}
    bars = [_bar(view, each, counts, most, deeper=each is not here and each.id in parents) for each in shown]
    left = small(words("terminals.map_left", n=len(below) - MOST)) if len(below) > MOST else None
    title = words("terminals.map_bars") if depth else words("nav.organisations")
    drawn = tag("ol", bars, class_="rl-map")
    return panel(title, _key(view), drawn, left, _as_table(view, shown, counts, title))


def _key(view: View) -> Markup:
    """Which part of a bar is which state."""
    parts = [tag("li", tag("i", class_="rl-part", data_s=_state(each)), facts.presence_said(view.words, each))
             for each in Presence]  # fmt: skip
    return tag("ul", parts, class_="rl-row rl-key-states t1")


def _bar(view: View, branch: Branch, counts: Counts, most: int, *, deeper: bool) -> Markup:
    """Its name, its terminals in words, and the bar: as long as it has terminals, parted by state."""
    words, counted, total = view.words, counts[branch.id], _total(counts, branch)
    name = words.either(branch.name, branch.name_en)
    named = link(_down(branch), name, class_="b") if deeper else tag("b", name)
    said = [
        tag("a", facts.presence_said(words, each), " ", words.number(counted[each]), href=address(_list(branch, each)),
            class_="rl-quiet nowrap")
        for each in Presence if counted.get(each)
    ]  # fmt: skip
    all_of_it = link(address(_list(branch, None)), words("terminals.map_count", n=total), class_="nowrap")
    parts = [
        tag("i", class_="rl-part", data_s=_state(each), style=f"--v:{counted[each]}")
        for each in Presence
        if counted.get(each)
    ]
    bar = tag("div", parts, class_="rl-parts", style=f"--w:{100 * total / most:.2f}", aria_hidden="true")
    return tag("li", tag("p", named, tag("span", all_of_it, class_="rl-push"), class_="rl-row"), bar,
               tag("p", said, class_="rl-row t1") if said else None)  # fmt: skip


def _as_table(view: View, shown: Sequence[Branch], counts: Counts, title: str) -> Markup:
    """The same in figures, behind a button."""
    words = view.words
    columns = [Column(words("terminals.organisation"), "rl-whole"), Column(words("terminals.all"), "num", h=True)]
    columns += [Column(words.known(f"presence.{each}", each), "num", h=True) for each in Presence]
    rows = [
        [words.either(each.name, each.name_en), words.number(_total(counts, each)),
         *(words.number(counts[each.id].get(state, 0)) for state in Presence)]
        for each in shown
    ]  # fmt: skip
    summary = tag("summary", words("chart.table"), class_="t1")
    return tag("details", summary, tag("div", table(columns, rows, title), class_="rl-wide"), class_="rl-data")


def _total(counts: Counts, branch: Branch) -> int:
    return sum(counts[branch.id].values())


def _list(branch: Branch, presence: Presence | None) -> Wanted:
    return Wanted(organisation_id=branch.id, presence=presence, service=Service.IN)


def _down(branch: Branch) -> str:
    return lists.address(f"{PATH}/map", organisation=branch.id)


def _state(presence: Presence) -> str:
    return "unknown" if presence is Presence.NEVER else presence
