"""What has to be done now and then, whoever asks: occurrences made ahead, files that no twin names and uploads that are
over deleted, notifications of long ago let go of, issuer keys that kiosks know by now put to use.

Every task may run in several processes at once and be cut off at any moment; it is done again at the next turn.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.api import Cloud
from cloud.audit.service import Change
from cloud.commands import uploads
from cloud.credentials import issuer_keys
from cloud.errors import CloudError
from cloud.notifications import service as notifications
from cloud.terminals import files
from cloud.terminals.reported import know_issuer_key

EVERY_S = 600.0
STOP_WITHIN_S = 2.0
WHO = "the service itself"
"""Who changed it, and from where, in the audit."""

Task = Callable[[Session, datetime], object]
TASKS: tuple[Task, ...] = (activities.expand_due, files.sweep, uploads.sweep, notifications.sweep)


def sweep(cloud: Cloud) -> None:
    """One turn: each task in a transaction of its own, and one that fails keeps no other from its turn."""

    def promote_issuer_key(session: Session, now: datetime) -> None:
        lead = timedelta(days=cloud.settings.issuer_key_lead_days)
        issuer_keys.promote(session, Change(WHO, now, WHO), cloud.settings.issuer, lead, know_issuer_key)

    for task in (*TASKS, promote_issuer_key):
        try:
            with cloud.writing() as session:
                task(session, cloud.clock())
        except CloudError as error:
            structlog.get_logger().warning("sweep_put_off", task=task.__name__, reason=error.sentence)


@contextmanager
def sweeping(cloud: Cloud) -> Iterator[None]:
    """Sweep at once and then every ten minutes, in a thread of its own, until the block ends."""
    stopped = threading.Event()

    def run() -> None:
        while True:
            try:
                sweep(cloud)
            except Exception:  # noqa: BLE001 - the thread's outermost loop
                structlog.get_logger().exception("sweep_failed")
            if stopped.wait(EVERY_S):
                return

    thread = threading.Thread(target=run, name="sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(STOP_WITHIN_S)
