"""A test of a receiver: a message that says that nothing is wrong, sent while somebody waits, with the outcome shown.

Promises at most one in EVERY of each receiver, and that nothing is sent inside of a transaction: `begin`, `attempt`, `end`.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.database import new_id
from cloud.errors import TooOften
from cloud.notifications import receivers, texts
from cloud.notifications.carrying import Carrier, Letter
from cloud.notifications.claiming import addressed, note_outcome
from cloud.notifications.failures import Undelivered
from cloud.notifications.texts import Tongue
from cloud.scope import Scope

EVERY: Final = timedelta(seconds=10)


def begin(session: Session, change: Change, scope: Scope, receiver_id: str) -> Letter:
    """The message. TooOften when the last one was a moment ago; also for a receiver that is switched off."""
    receiver = receivers.get(session, scope, receiver_id, to_edit=True)
    if receiver.tested_at is not None and timedelta() <= change.at - receiver.tested_at < EVERY:
        seconds = int(EVERY.total_seconds())
        raise TooOften(
            f"It was tested a moment ago; wait {seconds} s.", retry_after_s=seconds, code="tested", n=seconds
        )
    receiver.tested_at = change.at
    note(session, change, "receiver.test", receiver_id, name=receiver.name)
    tongue = Tongue.of(receiver.id, receiver.name, receiver.language, receiver.timezone, None)
    return addressed(receiver, new_id("msg"), texts.write_test(tongue, change.at), change.at)


def attempt(carrier: Carrier, letter: Letter) -> Undelivered | None:
    """Send it; why it was not taken, or None."""
    try:
        carrier.carry(letter)
    except Undelivered as error:
        return error
    return None


def end(session: Session, receiver_id: str, failed: Undelivered | None, now: datetime) -> None:
    """Write the outcome at the receiver."""
    note_outcome(session, receiver_id, failed, now)
