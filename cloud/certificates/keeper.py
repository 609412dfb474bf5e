"""What goes on beside the requests: revocation lists signed and published, sessions of revoked terminals cut.

Promises that a revocation, whoever made it and in whichever process, is in the broker's list and its session cut within ten
seconds while the broker can be reached, and else as soon as it can: what is still to be done is in the database.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine, delete, select

from broker_config import passwords
from cloud.certificates import lists, metrics, publishing
from cloud.certificates.models import SessionCut
from cloud.clock import Clock
from cloud.database import transaction
from cloud.errors import CloudError, Unavailable
from cloud.keybox import KeyBox

EVERY_S: Final = 1.0
SETTLED_AFTER: Final = timedelta(seconds=5)
"""So long a session is cut again and again: a broker that another process signals reads its list a moment later, and until then
the terminal could come back."""
WARN_EVERY_S: Final = 3600.0

log = structlog.get_logger(__name__)


@dataclass
class Keeper:
    """Its `turn` is for a Loop.

    `cut` ends the session of a client id; `is_mine` says whether this process is the one that signs and cuts.
    """

    engine: Engine
    clock: Clock
    box: KeyBox
    folder: Path
    lasts: timedelta
    cut: Callable[[str], None]
    pid_file: Path | None = None
    is_mine: Callable[[], bool | None] = lambda: True
    _untold: bool = field(default=True, init=False)  # a process that died may have renamed a list and not said so
    _left: tuple[str, ...] = field(default=(), init=False)
    _seen: object = field(default=None, init=False)
    _ends_at: datetime | None = field(default=None, init=False)
    _warned_s: float | None = field(default=None, init=False)

    def turn(self) -> float:
        """Once around: first the list, so that who is cut cannot come back."""
        mine = self.is_mine()
        wrong: CloudError | None = None
        try:
            if mine:
                self._sign()
            self._publish()
        except CloudError as error:
            wrong = error
        self._watch()
        if mine:
            self._cut_sessions(settled=wrong is None)
        if wrong is not None:
            raise wrong
        return EVERY_S

    def _sign(self) -> None:
        now = self.clock()
        with transaction(self.engine, read_only=True) as session:
            if not lists.has_due(session, now):
                return
        with transaction(self.engine) as session:
            done = lists.sign_due(session, self.box, now, self.lasts)
        if done.signed:
            log.info("revocation_lists_signed", lists=len(done.signed))
        if done.left != self._left:
            self._left = done.left
            log.warning("revocation_list_not_signed", authorities=done.left, why="its key cannot be opened")

    def _publish(self) -> None:
        now = self.clock()
        with transaction(self.engine, read_only=True) as session:
            wanted = lists.published(session, now)
        if wanted is None:
            return
        if (wanted.version, _look(self.folder)) != self._seen:
            if publishing.put(self.folder, wanted, now):
                self._untold = True
                metrics.PUBLISHED.inc()
                log.info("revocation_list_published", folder=str(self.folder))
            self._ends_at = lists.ends_at(wanted.revoked.encode())
            self._seen = (wanted.version, _look(self.folder))
        self._tell_broker()

    def _tell_broker(self) -> None:
        if not self._untold:
            return
        if self.pid_file is not None:
            try:
                passwords.ask_for_reload(self.pid_file)
            except (OSError, passwords.PasswordFileError) as error:
                raise Unavailable(f"The broker was not told to read its list: {error}.", code="broker_away") from error
        self._untold = False

    def _watch(self) -> None:
        """Say how long the published list lasts, and warn in time."""
        if self._ends_at is None:
            return
        left = self._ends_at - self.clock()
        metrics.REMAINING.set(left.total_seconds())
        if left < self.lasts / 2 and (self._warned_s is None or time.monotonic() - self._warned_s > WARN_EVERY_S):
            self._warned_s = time.monotonic()
            log.warning("revocation_list_runs_out", days_left=round(left / timedelta(days=1), 1))

    def _cut_sessions(self, *, settled: bool) -> None:
        """Each that is asked for; done with when one succeeded long enough after the list was in place."""
        for terminal_id, asked_at in self._asked().items():
            self.cut(terminal_id)
            metrics.CUT.inc()
            if settled and abs(self.clock() - asked_at) >= SETTLED_AFTER:
                with transaction(self.engine) as session:
                    done = delete(SessionCut).where(SessionCut.terminal_id == terminal_id)
                    session.execute(done.where(SessionCut.asked_at == asked_at))
                log.info("session_cut", terminal=terminal_id)

    def _asked(self) -> Mapping[str, datetime]:
        with transaction(self.engine, read_only=True) as session:
            rows = session.scalars(select(SessionCut).order_by(SessionCut.asked_at)).all()
        return {row.terminal_id: row.asked_at for row in rows}


def _look(folder: Path) -> object:
    """What a change of the files behind our back would change."""
    try:
        found = [(folder / name).stat() for name in (publishing.TRUSTED, publishing.CHAIN, publishing.REVOKED)]
    except OSError:
        return None
    return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]
