"""Publishes desired twins: new ones after they are stored, and the present one when a terminal may be without it.

Promises that each birth is followed by the terminal's present twin, retained, so that a broker that forgot it has it again,
and that a version is sent to a terminal that reports another one only once per birth. Called by housekeeping, one thread.
"""

from collections.abc import Callable, Iterable

import structlog
from sqlalchemy import Engine

from cloud.clock import Clock
from cloud.database import transaction
from cloud.ingest.state import Written
from cloud.journal.epoch import current_epoch
from cloud.terminals.twin import Twin, current_twin, has_due, renew_twins

Publish = Callable[[str, bytes], bool]
"""Takes terminal and document; False when it could not be sent now."""

AT_ONCE = 10
"""Twins made in one turn: some ten ms each, in which SQLite has no other writer and the service does not stop."""

log = structlog.get_logger(__name__)


class TwinPush:
    """What was sent to whom. Bounded by the number of terminals; an entry is two integers."""

    def __init__(self, engine: Engine, clock: Clock, publish: Publish) -> None:
        self._engine, self._clock, self._publish = engine, clock, publish
        self._sent: dict[str, tuple[int, int]] = {}
        self._owed: set[str] = set()

    def renew(self) -> bool:
        """Make and publish what is due, AT_ONCE at most; whether some may be left."""
        with transaction(self._engine, read_only=True) as session:
            epoch = current_epoch(session)
        now = self._clock()
        twins = renew_twins(self._engine, epoch, now, AT_ONCE)
        self._send(twins)
        if twins:
            return True
        with transaction(self._engine, read_only=True) as session:
            return has_due(session, epoch, now)

    def answer(self, written: Written) -> None:
        """After births and reports: publish to those that may be without their present twin."""
        for terminal in written.born:
            self._sent.pop(terminal, None)
        self._owed |= written.born
        doubtful = {terminal: version for terminal, version in written.reported.items() if terminal not in self._sent}
        if not self._owed and not doubtful:
            return
        with transaction(self._engine, read_only=True) as session:
            twins = [twin for each in sorted(self._owed | doubtful.keys()) if (twin := current_twin(session, each))]
        has = {each for each in twins if doubtful.get(each.terminal_id) == (each.epoch, each.number)}
        self._sent |= {each.terminal_id: (each.epoch, each.number) for each in has}
        owed, self._owed = self._owed, set()
        self._send(each for each in twins if each not in has or each.terminal_id in owed)

    def _send(self, twins: Iterable[Twin]) -> None:
        for twin in twins:
            if self._publish(twin.terminal_id, twin.document.encode()):
                self._sent[twin.terminal_id] = (twin.epoch, twin.number)
                log.info("twin_sent", terminal=twin.terminal_id, epoch=twin.epoch, number=twin.number)
            else:
                self._owed.add(twin.terminal_id)
