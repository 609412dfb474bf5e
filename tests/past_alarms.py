"""An alarm that happened once, written into the tables as the evaluator would have: for tests of what is told of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.alarms.grouping import Reach
from cloud.alarms.models import Alarm, AlarmEvent, AlarmMember, AlarmRule
from cloud.alarms.rules import RuleKind
from cloud.database import new_id

DETAILS: Mapping[str, dict[str, Any]] = {
    "raised": {"members": 1},
    "cleared": {"why": "well"},
    "grouped": {"into": "alm_larger"},
}


def past_alarm(
    session: Session, terminal: str, happened: Mapping[str, datetime], reach: Reach = Reach.TERMINAL, **member: Any
) -> str:
    """Of the rule about terminals that are gone, with what happened to it, by kind of event; its id. `member` are columns."""
    raised, cleared = happened["raised"], happened.get("cleared")
    rule = session.scalars(select(AlarmRule).where(AlarmRule.kind == RuleKind.ABSENCE)).one()
    made = Alarm(
        id=new_id("alm"), rule_id=rule.id, reach=reach, place_id=terminal, severity="critical", since_at=raised,
        until_at=raised, raised_at=raised, cleared_at=cleared, cleared_why="well" if cleared else None, members=1,
    )  # fmt: skip
    session.add(made)
    session.flush()
    times = {"since_at": raised, "raised_at": raised, "over_at": cleared, "value": None}
    session.add(AlarmMember(alarm_id=made.id, terminal_id=terminal, rule_id=rule.id, **times | member))
    for kind, at in happened.items():
        who = "olga" if kind == "acknowledged" else None
        session.add(AlarmEvent(alarm_id=made.id, at=at, kind=kind, who=who, detail=DETAILS.get(kind, {})))
    session.flush()
    return made.id
