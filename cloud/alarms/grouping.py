"""Which of the terminals that fell make one alarm: a room's power cut or a dead broker is one, not a thousand. Pure.

Promises that everything that is due is in exactly one alarm, and that a group is at least half of its place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from cloud.alarms.rules import Place

WITHIN_US: Final = 180_000_000
"""Terminals that fell no farther apart than this fell together: keepalives let some wills come a minute and a half late."""


class Reach(StrEnum):
    """What an alarm is about."""

    TERMINAL = "terminal"
    ROOM = "room"
    ORGANISATION = "organisation"
    ALL = "all"
    CLOUD = "cloud"


LEAST: Final[Mapping[Reach, int]] = {Reach.ALL: 3, Reach.ORGANISATION: 3, Reach.ROOM: 2}
"""Groups, the widest first, and how many terminals make one, if they are also half of those that were ever heard there."""


class Due(NamedTuple):
    """A terminal of which a rule's condition holds. `alarm_id` is that of its own alarm, where it has one already."""

    terminal: str
    since_at: int
    value: float | None = None
    alarm_id: str = ""


class Open(NamedTuple):
    """A group alarm that is not cleared: what it reaches, and when the first and the last of its terminals fell."""

    alarm_id: str
    reach: Reach
    place_id: str
    since_at: int
    until_at: int


@dataclass(frozen=True, slots=True)
class Raising:
    """A new alarm. Members with an `alarm_id` come out of their own alarms, which it takes the place of."""

    reach: Reach
    place_id: str
    since_at: int
    until_at: int
    members: Sequence[Due]


@dataclass(frozen=True, slots=True)
class Joining:
    """Terminals that fell together with an alarm that is there."""

    alarm_id: str
    until_at: int
    members: Sequence[Due]


@dataclass(frozen=True, slots=True)
class Grouped:
    """What becomes of everything that is due."""

    raised: list[Raising] = field(default_factory=list)
    joined: list[Joining] = field(default_factory=list)


def group(
    due: Iterable[Due],
    near: Iterable[Due],
    groups: Iterable[Open],
    places: Mapping[str, Place],
    totals: Mapping[tuple[Reach, str], int],
) -> Grouped:
    """For one rule. `near` are those whose condition does not hold for long enough yet, and those with alarms of their own.

    `totals` counts the terminals of each place that were ever heard.
    """
    made = Grouped()
    rest = sorted(due, key=_order)
    around = sorted(near, key=_order)
    rest = _join(made, rest, groups, places)
    for reach in LEAST:
        rest, around = _gather(made, reach, rest, around, places, totals)
    for each in rest:
        reach = Reach.TERMINAL if each.terminal else Reach.CLOUD
        made.raised.append(Raising(reach, each.terminal, each.since_at, each.since_at, [each]))
    return made


def place_of(reach: Reach, place: Place | None) -> str | None:
    """The id of the room, the organisation or everything that a terminal is in; None where it is in none."""
    if place is None or not place.terminal:
        return None
    if reach is Reach.ALL:
        return ""
    return (place.organisation_id if reach is Reach.ORGANISATION else place.room_id) or None


def totals_of(places: Iterable[Place], never_heard: Iterable[str]) -> dict[tuple[Reach, str], int]:
    """How many terminals each place has, without those that were never heard."""
    left_out = set(never_heard)
    totals: dict[tuple[Reach, str], int] = {}
    for place in places:
        for reach in LEAST:
            place_id = place_of(reach, place)
            if place_id is not None and place.terminal not in left_out:
                totals[reach, place_id] = totals.get((reach, place_id), 0) + 1
    return totals


def _order(due: Due) -> tuple[int, str]:
    return due.since_at, due.terminal


def _join(made: Grouped, rest: list[Due], groups: Iterable[Open], places: Mapping[str, Place]) -> list[Due]:
    order = list(LEAST)
    for each in sorted(groups, key=lambda each: (order.index(each.reach), each.since_at, each.alarm_id)):
        members, until_at = [], each.until_at
        for due in rest:
            inside = place_of(each.reach, places.get(due.terminal)) == each.place_id
            if inside and each.since_at - WITHIN_US <= due.since_at <= until_at + WITHIN_US:
                members.append(due)
                until_at = max(until_at, due.since_at)
        if members:
            made.joined.append(Joining(each.alarm_id, until_at, members))
            taken = set(members)
            rest = [due for due in rest if due not in taken]
    return rest


def _gather(
    made: Grouped,
    reach: Reach,
    rest: list[Due],
    around: list[Due],
    places: Mapping[str, Place],
    totals: Mapping[tuple[Reach, str], int],
) -> tuple[list[Due], list[Due]]:
    """Make the groups of one reach; what is left of both."""
    fresh = set(rest)
    taken: set[Due] = set()
    by_place: dict[str, list[Due]] = {}
    for due in sorted((*rest, *around), key=_order):
        place_id = place_of(reach, places.get(due.terminal))
        if place_id is not None:
            by_place.setdefault(place_id, []).append(due)
    for place_id, candidates in by_place.items():
        for run in _runs(candidates):
            if len(run) < LEAST[reach] or 2 * len(run) < totals.get((reach, place_id), 0) or fresh.isdisjoint(run):
                continue
            members = [due for due in run if due in fresh or due.alarm_id]
            made.raised.append(Raising(reach, place_id, run[0].since_at, run[-1].since_at, members))
            taken |= set(members)
    return [due for due in rest if due not in taken], [due for due in around if due not in taken]


def _runs(candidates: Sequence[Due]) -> Iterator[list[Due]]:
    """In order of time, cut where nothing fell for longer than WITHIN_US."""
    run: list[Due] = []
    for due in candidates:
        if run and due.since_at - run[-1].since_at > WITHIN_US:
            yield run
            run = []
        run.append(due)
    if run:
        yield run
