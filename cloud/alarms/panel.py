"""Console: the alarms of one terminal, on its page: those that are active, the last that cleared, and a window that is on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.alarms import saying, service, windows
from cloud.alarms.models import Alarm, AlarmRule, MaintenanceWindow
from cloud.alarms.service import Wanted
from cloud.console.lists import address
from cloud.console.markup import join, tag
from cloud.console.view import View
from cloud.console.widgets import Event, ago, link, none, note, panel, timeline
from cloud.organisations import service as organisations
from cloud.paging import Paging
from cloud.scope import EVERYWHERE, Scope

SHOWN: Final = 5
SYMBOL_OVER: Final = "ok"


@dataclass(frozen=True)
class OfTerminal:
    """What the panel shows."""

    alarms: Sequence[tuple[Alarm, AlarmRule]]
    windows: Sequence[MaintenanceWindow]


def of_terminal(
    session: Session, scope: Scope, terminal_id: str, room: tuple[str, str] | None, now: datetime
) -> OfTerminal:
    """Active ones before cleared ones. `room` is its id and its organisation's."""
    path = organisations.get(session, EVERYWHERE, room[1]).path if room else ""
    active = service.list_alarms(
        session, scope, Paging(SHOWN), Wanted(service.AlarmState.ACTIVE, terminal_id=terminal_id)
    ).rows
    over = service.list_alarms(
        session, scope, Paging(SHOWN), Wanted(service.AlarmState.CLEARED, terminal_id=terminal_id)
    ).rows
    alarms = [*active, *over[: max(0, SHOWN - len(active))]]
    rules = service.rules_of(session, alarms)
    on = windows.of_terminal(session, terminal_id, room[0] if room else None, path, now)
    return OfTerminal([(alarm, rules[alarm.rule_id]) for alarm in alarms], on)


def panel_of(view: View, known: OfTerminal) -> Markup:
    """The panel."""
    words = view.words
    until = [
        note("maintenance", words("alarm.panel_window", time=words.minute(each.ends_at), reason=each.reason))
        for each in known.windows[:1]
    ]
    if not known.alarms:
        content = none(words("alarm.panel_none"), words("alarm.panel_none_more"))
    else:
        content = timeline([_event(view, alarm, rule) for alarm, rule in known.alarms], apart=True)
    every = link(address("/alarms"), words("page.all"))
    return panel(words("alarm.panel"), join(*until), content, beside=every)


def _event(view: View, alarm: Alarm, rule: AlarmRule) -> Event:
    words = view.words
    title = link(f"/alarms/{alarm.id}", saying.name(words, rule), class_="rl-quiet")
    if alarm.cleared_at is not None:
        return Event(SYMBOL_OVER, title, ago(words, alarm.cleared_at, view.now), words("alarm.state_cleared"))
    said = f"{words(f'alarm.{alarm.severity}')} · {words('alarm.state_active')}"
    who = alarm.acknowledged_by
    said += " · " + (words("alarm.acknowledged_by", who=who) if who else words("alarm.not_acknowledged"))
    return Event(saying.SYMBOLS[alarm.severity], tag("b", title), ago(words, alarm.since_at, view.now), said)
