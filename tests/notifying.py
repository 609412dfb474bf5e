"""A town whose alarms are told to receivers: what the tests of notifications share. Time is moved by the tests."""

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cloud.alarms import service as alarms
from cloud.alarms.service import AcknowledgeForm, SnoozeForm
from cloud.audit.service import Change
from cloud.bulk import Row
from cloud.database import transaction
from cloud.keybox import KeyBox
from cloud.notifications import receivers
from cloud.notifications.addresses import Allowed
from cloud.notifications.carrying import Carrier
from cloud.notifications.mail import MailServer
from cloud.notifications.receivers import ReceiverForm
from cloud.notifications.sending import Notifier
from cloud.notifications.webhook import Poster
from cloud.scope import EVERYWHERE
from tests.alarming import Watch
from tests.mail_server import Mailbox
from tests.process import wait_until

DESK = "desk@example.org"
PUBLIC_URL = "https://roomlink.example.org"
WAITING = (
    "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, message_id)"
    " VALUES (?, ?, 'raised', ?, 0, 'waiting', ?, FALSE, FALSE, ?, 'msg')"
)
"""Receiver, alarm, event, when it is due, attempts."""


@dataclass
class Told:
    """The watch over a town, and the notifier. `turn` evaluates, follows, sends, and waits for what is under way."""

    watch: Watch
    folder: Path
    server: MailServer | None = None
    within_s: float = 15.0
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    allow: str = "127.0.0.0/8"

    def __post_init__(self) -> None:
        self.box = KeyBox(self.folder / "notification.key")
        others = "UPDATE alarm_rules SET enabled = ?, version = version + 1 WHERE kind NOT IN ('absence', 'mark')"
        self.watch.run(others, [(False,)])
        self.restart()

    def restart(self) -> None:
        """Another process."""
        poster = Poster(self.context, Allowed.of(self.allow), self.within_s)
        self.carrier = Carrier(poster, self.server, self.box, PUBLIC_URL)
        self.notifier = Notifier(self.watch.engine, lambda: self.watch.now, self.carrier.carry, PUBLIC_URL)

    def add(self, **more: Any) -> tuple[str, str | None]:
        """A receiver, by mail to the desk if not said otherwise; its id and secret."""
        form = ReceiverForm(**{"name": "值班室", "kind": "email", "address": DESK, "language": "en", **more})
        with transaction(self.watch.engine) as session:
            receiver, secret = receivers.create(session, self.change, EVERYWHERE, form, self.box)
            return receiver.id, secret

    @property
    def change(self) -> Change:
        """Somebody does something now."""
        return Change("anna", self.watch.now)

    def turn(self, later_s: float = 0.0) -> None:
        """Let time pass, and do all that is due."""
        self.watch.turn(later_s)
        for _ in range(3):
            self.once()
            assert wait_until(lambda: self.notifier._came.qsize() >= self.notifier.under_way)
            self.once()

    def once(self) -> None:
        """One turn of the notifier, until there is nothing more to read."""
        while self.notifier.turn() == 0.0:
            pass

    def gone(self, *terminals: str) -> None:
        """These are lost, for long enough."""
        self.watch.present("offline", *(terminals or ("kiosk-1",)))
        self.turn(301)

    def back(self, *terminals: str) -> None:
        """These are heard again."""
        self.watch.present("online", *(terminals or ("kiosk-1",)))
        self.turn(2)

    def alarm(self) -> str:
        """The newest alarm's id."""
        return str(self.watch.rows("SELECT id FROM alarms ORDER BY raised_at DESC, id DESC LIMIT 1")[0][0])

    def acknowledge(self) -> None:
        """Somebody knows of the newest."""
        with transaction(self.watch.engine) as session:
            alarms.acknowledge(session, self.change, EVERYWHERE, self.alarm(), AcknowledgeForm())

    def snooze(self, minutes: int) -> None:
        """Nobody wants to hear of the newest."""
        form = SnoozeForm(until_at=self.watch.now + timedelta(minutes=minutes))
        with transaction(self.watch.engine) as session:
            alarms.snooze(session, self.change, EVERYWHERE, self.alarm(), form)

    def wake(self) -> None:
        """Somebody wants to hear of the newest again."""
        with transaction(self.watch.engine) as session:
            alarms.snooze(session, self.change, EVERYWHERE, self.alarm(), SnoozeForm(until_at=None))

    def states(self) -> list[Row]:
        """What is told and where it is, in order."""
        return self.watch.rows("SELECT what, state FROM notifications ORDER BY id")


def kinds(mailbox: Mailbox) -> list[str]:
    """How the subjects begin."""
    return [each.split(": ")[0].removeprefix("[Roomlink] ") for each in mailbox.subjects]
