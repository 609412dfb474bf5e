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

ANSWERED_AT_ONCE = 200
"""Twins read and published in one turn, 64 KiB each at most: after a broker's restart all terminals are born at once."""

log = structlog.get_logger(__name__)


class TwinPush:
    """What was sent to whom, who is owed a twin, and who reported another one than may be theirs. Bounded by the number of
    terminals; an entry is an id and two integers. Documents are read a page at a time."""

    def __init__(self, engine: Engine, clock: Clock, publish: Publish) -> None:
        self._engine, self._clock, self._publish = engine, clock, publish
        self._sent: dict[str, tuple[int, int]] = {}
        self._owed: set[str] = set()
        self._doubtful: dict[str, tuple[int, int]] = {}

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

    def answer(self, written: Written) -> bool:
        """After births and reports: publish to those that may be without their present twin, ANSWERED_AT_ONCE at most;
        whether more can be published at once."""
        for terminal in written.born:
            self._sent.pop(terminal, None)
        self._owed |= written.born
        self._doubtful |= {each: version for each, version in written.reported.items() if each not in self._sent}
        page = sorted(self._owed | self._doubtful.keys())[:ANSWERED_AT_ONCE]
        if not page:
            return False
        with transaction(self._engine, read_only=True) as session:
            twins = [twin for each in page if (twin := current_twin(session, each))]
        doubtful = {each: self._doubtful.pop(each, None) for each in page}
        owed = self._owed.intersection(page)
        self._owed -= owed
        has = {each for each in twins if doubtful[each.terminal_id] == (each.epoch, each.number)}
        self._sent |= {each.terminal_id: (each.epoch, each.number) for each in has}
        went = self._send(each for each in twins if each not in has or each.terminal_id in owed)
        return went and bool(self._owed or self._doubtful)

    def _send(self, twins: Iterable[Twin]) -> bool:
        """Whether all could be sent; the others are owed."""
        refused: set[str] = set()
        for twin in twins:
            if self._publish(twin.terminal_id, twin.document.encode()):
                self._sent[twin.terminal_id] = (twin.epoch, twin.number)
                log.info("twin_sent", terminal=twin.terminal_id, epoch=twin.epoch, number=twin.number)
            else:
                refused.add(twin.terminal_id)
        self._owed |= refused
        return not refused
