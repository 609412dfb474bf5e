"""Console: what stands above the list of terminals: filters to choose from, what is filtered by, the organisations beside it.

Pure: makes markup of what was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from cloud.console.lists import address as address_of
from cloud.console.markup import Content, join, tag
from cloud.console.view import View
from cloud.console.widgets import Column, Row, button, button_link, link, panel, say, small, table
from cloud.console.words import Words
from cloud.organisations.service import ancestors
from cloud.organisations.tree import Branch
from cloud.terminals.list_table import go
from cloud.terminals.service import Kind
from cloud.terminals.wanted import Sort, Wanted

BRANCHES: Final = 24
"""Organisations beside the list; the map shows all."""


@dataclass(frozen=True)
class Choices:
    """What there is to filter by: versions with how many terminals have them."""

    versions: Sequence[tuple[str, int]]


def filters(words: Words, wanted: Wanted, choices: Choices) -> Markup:
    """Kind and version to choose, alarms and flapping to switch, and the button for the rest."""
    kinds = [("", words("terminals.any_kind")), *((each.value, words(f"kind.{each}")) for each in Kind)]
    known = [(version, f"{version} ({words.number(count)})") for version, count in choices.versions]
    if wanted.version and wanted.version not in dict(known):
        known.append((wanted.version, wanted.version))
    sorts = [(each.value, words("terminals.sorted_by", what=words(f"terminals.sort_{each}"))) for each in Sort]
    alarm = _switch(words("terminals.with_alarm"), wanted.but(alarm=not wanted.alarm), wanted.alarm, "alarm")
    flapping = _switch(
        words("terminals.flapping"), wanted.but(flapping=not wanted.flapping), wanted.flapping, "flapping"
    )
    return join(
        _select(words("terminals.kind"), "kind", kinds, wanted.kind or ""),
        _select(words("terminals.version"), "version", [("", words("terminals.any_version")), *known], wanted.version or ""),
        _select(words("terminals.sort"), "sort", sorts, wanted.sort, class_="thin"),
        alarm,
        flapping,
        tag("button", words("terminals.more_filters"), type="button", class_="rl-btn", data_act="filters", data_key="filters"),
    )  # fmt: skip


def _switch(text: str, to: Wanted, on: bool, key: str) -> Markup:
    return go(to, text, class_="rl-btn", key=key, current=on)


def _select(label: str, name: str, options: Sequence[tuple[str, str]], value: str, class_: str = "") -> Markup:
    drawn = [tag("option", said, value=each, selected=each == value) for each, said in options]
    return tag(
        "select", drawn, name=name, class_=f"rl-field rl-pick {class_}", aria_label=label, data_key=f"choose-{name}"
    )


@dataclass(frozen=True)
class Names:
    """What a filter's places are called: organisation, and room by number and name."""

    organisation: tuple[str, str] | None = None
    room: tuple[str, str, str] | None = None


def filtered_by(words: Words, wanted: Wanted, names: Names) -> Markup | None:
    """What is filtered by that no button shows, each to be let go."""
    told: list[tuple[str, Wanted]] = []
    if wanted.organisation_id and names.organisation:
        told.append((words.either(*names.organisation), wanted.but(organisation_id=None)))
    if wanted.room_id and names.room:
        number, name, name_en = names.room
        told.append((f"{number} {words.either(name, name_en)}", wanted.but(room_id=None)))
    if wanted.profile:
        told.append((words("terminals.of_profile", profile=wanted.profile), wanted.but(profile=None)))
    links: list[Content] = [
        go(to, text, tag("span", " ×", aria_hidden="true"), tag("span", words("terminals.let_go"), class_="rl-hidden"),
           class_="rl-btn", key=f"without-{number}")
        for number, (text, to) in enumerate(told)
    ]  # fmt: skip
    if wanted.is_filtered:
        none = Wanted(sort=wanted.sort, descending=wanted.descending)
        links.append(go(none, words("terminals.no_filter"), key="no-filter"))
    return tag("div", links, class_="rl-row", style="padding-bottom:16px") if links else None


def sorted_how(words: Words, wanted: Wanted) -> str:
    """By what the list is sorted, in words."""
    if wanted.sort is Sort.ALARM and not wanted.descending:
        return words("terminals.alarms_first")
    return words("terminals.sorted_by", what=words(f"terminals.sort_{wanted.sort}"))


def tree(view: View, branches: Sequence[Branch], counts: Mapping[str, Mapping[str, int]], wanted: Wanted) -> Markup:
    """The branches round the chosen one, each with how many terminals it has in service and how many of them are offline."""
    words = view.words
    columns = (Column(""), Column("", "num"), Column("", "num rl-fit"))
    shown, others = _near(branches, wanted.organisation_id)
    rows = [
        Row(
            [
                _branch(words, each, wanted),
                words.number(sum(counts[each.id].values())),
                say("offline", words.number(counts[each.id]["offline"])) if counts[each.id].get("offline") else None,
            ],
            selected=each.id == wanted.organisation_id,
        )
        for each in shown
    ]
    title = words("nav.organisations")
    more = words("terminals.other_branches", n=others) if others else words("terminals.map")
    to_map = link(address_of("/terminals/map", organisation=wanted.organisation_id), more)
    below = tag("p", to_map, style="padding-top:12px")
    return panel(title, table(columns, rows, title), below, beside=small(words("terminals.tree")))


def _near(branches: Sequence[Branch], chosen: str | None) -> tuple[list[Branch], int]:
    """All where they are few; else those above the chosen one and those right below it, and how many are left out."""
    if len(branches) <= BRANCHES:
        return list(branches), 0
    path = next((each.path for each in branches if each.id == chosen), branches[0].path)
    above = set(ancestors(path))
    here = ancestors(path)[-1]
    near = [each for each in branches if each.id in above or each.parent_id == here][:BRANCHES]
    return near, len(branches) - len(near)


def _branch(words: Words, branch: Branch, wanted: Wanted) -> Markup:
    """Chosen again, it is let go."""
    chosen = branch.id == wanted.organisation_id
    to = wanted.but(organisation_id=None if chosen else branch.id, room_id=None)
    named = go(to, words.either(branch.name, branch.name_en), class_="rl-quiet b" if chosen else "rl-quiet",
               key=f"branch-{branch.id}", current=chosen)  # fmt: skip
    return tag("span", named, class_="rl-branch", style=f"--depth:{branch.depth}")


def export_link(words: Words, wanted: Wanted) -> Markup:
    """All that match, as CSV."""
    return button_link(export_address(wanted), words("terminals.export"), download=True)


def export_address(wanted: Wanted) -> str:
    """Where the API gives all that match as CSV, in a stream."""
    said = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in wanted.said().items()
            if name not in {"sort", "descending"}}  # fmt: skip
    return address_of("/api/v1/terminals/export", **said)


def toolbar(words: Words, count: int, total: int, page_full: bool) -> Markup | None:
    """How many are chosen and what may be done with them; offers all that match once the page is chosen."""
    if not count:
        return None
    acts = [("identify", "command.identify"), ("sync_now", "command.sync_now"), ("enter_maintenance", "terminals.maintenance"),
            ("command", "command.more"), ("window", "terminals.window"), ("export", "terminals.export")]  # fmt: skip
    every = None
    if page_full and count < total:
        every = button(words("terminals.choose_all", n=total), "all")
    none = button(words("terminals.choose_none"), "none")
    chosen = tag("b", words("terminals.chosen", n=count), role="status")
    return join(chosen, every, [button(words(said), act) for act, said in acts], none)
