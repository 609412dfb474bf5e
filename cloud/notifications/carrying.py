"""Carries one message to one receiver, by mail or webhook, as the settings say. No database.

Promises that secrets are decrypted for the signature only, and that whatever goes wrong comes out as Undelivered.
"""

import time
from dataclasses import dataclass, field

import httpx

from cloud.errors import CloudError, StartError
from cloud.keybox import KeyBox
from cloud.notifications import mail, signing
from cloud.notifications.addresses import Allowed
from cloud.notifications.failures import Undelivered
from cloud.notifications.mail import Mail, MailServer
from cloud.notifications.receivers import Kind
from cloud.notifications.texts import Written
from cloud.notifications.webhook import Poster
from cloud.settings import Settings


@dataclass(frozen=True)
class Letter:
    """A message and whom it is for. `keys` are a webhook's secrets, encrypted; the present one first."""

    receiver_id: str
    message_id: str
    kind: Kind
    address: str = field(repr=False)
    written: Written = field(repr=False)
    keys: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Carrier:
    """The ways out."""

    poster: Poster
    server: MailServer | None
    box: KeyBox
    public_url: str | None = None

    def carry(self, letter: Letter) -> None:
        """Returns when it was taken. Undelivered says why not."""
        if letter.kind is Kind.EMAIL:
            written = letter.written
            mail.send(self.server, Mail(letter.address, written.subject, written.text, letter.message_id))
            return
        body = letter.written.body
        headers = signing.headers(self._keys(letter), letter.message_id, int(time.time()), body)
        self.poster.post(letter.address, headers, body)

    def _keys(self, letter: Letter) -> list[str]:
        """The present one must be had; the one before may be of a key file that is lost, after which it was renewed."""
        keys = []
        for number, each in enumerate(letter.keys):
            try:
                keys.append(self.box.decrypt(each, letter.receiver_id).decode())
            except CloudError as error:
                if number == 0:
                    raise Undelivered("key_file") from error
        return keys


def carrier_of(settings: Settings) -> Carrier:
    """As the settings want it. StartError where one of them is not right."""
    context = httpx.create_ssl_context()
    if settings.webhook_ca_file is not None:
        try:
            context.load_verify_locations(settings.webhook_ca_file)
        except OSError as error:
            raise StartError(
                f"ROOMLINK_WEBHOOK_CA_FILE names {settings.webhook_ca_file}, which cannot be read."
            ) from error
    poster = Poster(context, Allowed.of(settings.webhook_allow))
    return Carrier(poster, server_of(settings), box_of(settings), settings.public_url)


def server_of(settings: Settings) -> MailServer | None:
    """The mail server; None where none is set. StartError where it is set without a sender."""
    if settings.smtp_host is None:
        return None
    if settings.smtp_from is None:
        raise StartError(
            "ROOMLINK_SMTP_FROM is missing: whom e-mails are from, such as Roomlink <roomlink@example.org>."
        )
    password = settings.smtp_password
    here = settings.smtp_host in {"localhost", "127.0.0.1", "::1"}
    return MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_from,
        settings.smtp_tls or ("none" if here else "starttls"),
        settings.smtp_user,
        password.get_secret_value() if password else None,
        settings.smtp_ca_file,
    )


def box_of(settings: Settings) -> KeyBox:
    """The key file that webhooks' secrets are encrypted under."""
    return KeyBox(settings.notification_key())
