"""What is so now of terminals and of the cloud, for the rules that no health sample judges.

Each look is one query that gives only those for whom it is so, with since when. Called by the evaluator.
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from cloud.alarms.judging import Holding
from cloud.alarms.rules import CLOUD, SECOND_US, Place, Rule
from cloud.bulk import Bulk
from cloud.certificates import standing
from cloud.clock import from_us
from cloud.terminals.presence import SAMPLES, Presence

GONE: Final = frozenset({Presence.OFFLINE, Presence.SUSPECT})
"""Nobody sleeps, is under maintenance, or was never there: it should be heard and is not."""
QUIET_FROM_US: Final = 120 * SECOND_US
"""A terminal that had nothing stored for a shorter time is not looked at."""


class NotOnline(NamedTuple):
    """A terminal that is not online: how it is, and since when."""

    presence: Presence
    since_at: int | None


def not_online(bulk: Bulk) -> dict[str, NotOnline]:
    """All enabled ones that are not."""
    rows = bulk.rows("SELECT id, presence, presence_at FROM terminals WHERE enabled AND presence <> 'online'")
    return {terminal: NotOnline(Presence(presence), since_at) for terminal, presence, since_at in rows}


def absent(found: Mapping[str, NotOnline], now: int) -> dict[str, Holding]:
    """Those that are gone."""
    return {
        terminal: Holding(now if each.since_at is None else each.since_at)
        for terminal, each in found.items()
        if each.presence in GONE
    }


def nothing_stored(bulk: Bulk, places: Mapping[str, Place], now: int) -> dict[str, Holding]:
    """Those that are online and of whom nothing was stored for longer than their health samples are apart."""
    rows = bulk.rows(
        "SELECT t.id, t.presence_at, MAX(s.last_stored_at) FROM terminals t LEFT JOIN streams s ON s.terminal_id = t.id "
        "WHERE t.enabled AND t.replaced_by IS NULL AND t.presence = 'online' AND t.presence_at < ? GROUP BY t.id, t.presence_at "
        "HAVING COALESCE(MAX(s.last_stored_at), 0) < ?",
        (now - QUIET_FROM_US, now - QUIET_FROM_US),
    )
    found = {}
    for terminal, presence_at, stored_at in rows:
        since_at = max(presence_at, stored_at or 0)
        apart_s = places[terminal].health_every_s if terminal in places else 0.0
        if now - since_at > SAMPLES * apart_s * SECOND_US:
            found[terminal] = Holding(since_at)
    return found


def marked(bulk: Bulk, mark: str) -> dict[str, Holding]:
    """Those with this mark, until somebody has looked and takes it away."""
    rows = bulk.rows(
        "SELECT id, marks, marked_at FROM terminals WHERE enabled AND marks <> '[]' AND marked_at IS NOT NULL"
    )
    return {terminal: Holding(marked_at) for terminal, marks, marked_at in rows if mark in json.loads(marks)}


def versions(bulk: Bulk) -> dict[str, str]:
    """The agent's version of each terminal that was ever born, as its birth says."""
    rows = bulk.rows("SELECT id, birth FROM terminals WHERE enabled AND birth IS NOT NULL")
    found = {terminal: (json.loads(birth) or {}).get("versions") or {} for terminal, birth in rows}
    return {terminal: str(each.get("agent") or next(iter(each.values()))) for terminal, each in found.items() if each}


def differing(found: Mapping[str, str], rule: Rule, places: Mapping[str, Place], now: int) -> dict[str, Holding]:
    """Those whose version is not the wanted one, or not that of more than half of the terminals that the rule is about."""
    about = {each: version for each, version in found.items() if each in places and rule.is_about(places[each])}
    wanted = rule.wanted
    if not wanted and about:
        version, count = Counter(about.values()).most_common(1)[0]
        wanted = version if 2 * count > len(about) else ""
    return {each: Holding(now) for each, version in about.items() if wanted and version != wanted}


def list_ending(session: Session, rule: Rule, now: int) -> dict[str, Holding]:
    """The cloud, when its revocation list has fewer days left than the rule allows."""
    ends_at = standing.list_ends_at(session, from_us(now))
    if ends_at is None:
        return {}
    left = round((ends_at - from_us(now)) / timedelta(days=1), 1)
    return {CLOUD.terminal: Holding(now, left)} if left < rule.days else {}
