"""A town under the evaluator of alarms, with a clock that tests move: what the tests of alarms share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from cloud.alarms.evaluating import Evaluator
from cloud.bulk import Bulk, Row
from cloud.clock import to_us
from cloud.database import transaction
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from firmware_specs.messages import Health
from tests.pen import Pen
from tests.town import Town

ORG, ROOM = "org_town", "rm_302"


@dataclass
class Watch:
    """The ledger, a clock, and the evaluator; `pens` write what terminals would send."""

    town: Town
    now: datetime
    pens: dict[str, Pen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def engine(self) -> Engine:
        """The ledger's."""
        return self.town.engine

    def restart(self) -> None:
        """Another process, which knows nothing but what is in the ledger."""
        self.evaluator = Evaluator(self.engine, lambda: self.now)

    def turn(self, later_s: float = 0.0) -> None:
        """Let time pass, and evaluate until there is nothing more to read."""
        self.now += timedelta(seconds=later_s)
        while self.evaluator.turn() == 0.0:
            pass

    def health(self, terminal: str = "kiosk-1", age_s: float = 0.0, **metrics: float) -> None:
        """A sample arrives, measured so long ago."""
        self.sample(terminal, metrics, age_s)

    def sample(self, terminal: str, metrics: Mapping[str, float], age_s: float = 0.0) -> None:
        """The same; no two are of one moment."""
        self.now += timedelta(milliseconds=1)
        pen = self.pens.setdefault(terminal, Pen(terminal=terminal, config=self.town.twins.get(terminal, (1, 1))))
        at = to_us(self.now - timedelta(seconds=age_s))
        number = pen.write(Health(**pen.stamp(at=at), metrics=dict(metrics)))
        payload = pen.batch(number, 1, sent_at=to_us(self.now))
        answered = Line(self.engine).ingest([Delivery(terminal, payload, to_us(self.now))])
        assert answered.records == 1

    def present(self, presence: str, *terminals: str) -> None:
        """What is known of these terminals, from now on."""
        rows = [(presence, to_us(self.now), terminal) for terminal in terminals]
        self.run("UPDATE terminals SET presence = ?, presence_at = ? WHERE id = ?", rows)

    def add_terminals(self, number: int, each: int, presence: str = "online") -> list[str]:
        """`number` rooms with `each` terminals; their ids."""
        at = to_us(self.now)
        rooms = [(f"rm_more_{room}", ORG, f"9{room}", "活动室", "", 1, at) for room in range(number)]
        self.run("INSERT INTO rooms (id, organisation_id, number, name, name_en, version, created_at) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?)", rooms)  # fmt: skip
        names = [f"kiosk-{room}-{place}" for room in range(number) for place in range(each)]
        self.run(
            "INSERT INTO terminals (id, kind, profile, room_id, password_hash, mqtt_password_hash, enabled, settings, "
            "created_at, version, presence, presence_at, last_heard_at) "
            "VALUES (?, 'kiosk', 'kiosk', ?, '', '', ?, '{}', ?, 1, ?, ?, ?)",
            [(name, f"rm_more_{name.split('-')[1]}", True, at, presence, at, at) for name in names],
        )
        self.run("UPDATE counters SET value = value + 1 WHERE name = ?", [("twin_inputs",)])
        return names

    def run(self, statement: str, rows: Sequence[Row]) -> None:
        """Write into the ledger."""
        with transaction(self.engine) as session:
            Bulk.of(session).run_many(statement, rows)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Read from it."""
        with transaction(self.engine, read_only=True) as session:
            return Bulk.of(session).rows(statement, parameters)

    def active(self) -> list[tuple[str, str, str, int]]:
        """Metric, mark or kind of the rule, what it reaches, where, and how many are in it; in order."""
        found = self.rows(
            "SELECT COALESCE(r.metric, r.mark, r.kind), a.reach, a.place_id, a.members FROM alarms a "
            "JOIN alarm_rules r ON r.id = a.rule_id WHERE a.cleared_at IS NULL"
        )
        return sorted((row[0], row[1], row[2], row[3]) for row in found)

    def events(self) -> list[str]:
        """What happened, in order."""
        return [row[0] for row in self.rows("SELECT kind FROM alarm_events ORDER BY id")]

    def details(self) -> list[Any]:
        """What is said of it."""
        return [json.loads(row[0]) for row in self.rows("SELECT detail FROM alarm_events ORDER BY id")]
