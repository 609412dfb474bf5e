"""Sends one e-mail by one mail server (SMTP, RFC 5321), over TLS unless the server is this machine or a setting says otherwise.

Promises that no password goes over a connection without TLS, and that a header is never made from what could end it.
"""

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Final, Literal

from cloud.clock import utc_now
from cloud.notifications.failures import Undelivered

STEP_WITHIN_S: Final = 10.0
"""Each step of the conversation."""
MAILBOX: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
"""An address as HTML's own `type=email` takes it, which can hold no line break, comma or quote."""

Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class MailServer:
    """The mail server of the settings, and who the cloud is there. `sender` may be `Name <address>`."""

    host: str
    port: int
    sender: str
    tls: Tls
    user: str | None = None
    password: str | None = None
    ca_file: Path | None = None


@dataclass(frozen=True)
class Mail:
    """One e-mail. `message_id` names it over all attempts."""

    to: str
    subject: str
    text: str
    message_id: str


def send(server: MailServer | None, mail: Mail) -> None:
    """Returns when the server has taken it. Undelivered says why not."""
    if server is None:
        raise Undelivered("mail_not_set")
    try:
        smtp = _connected(server)
        try:
            if server.user is not None:
                _log_in(smtp, server)
            smtp.send_message(_message(server, mail))
        finally:
            _leave(smtp)
    except smtplib.SMTPAuthenticationError as error:
        raise Undelivered("mail_login", code_number=error.smtp_code) from error
    except smtplib.SMTPRecipientsRefused as error:
        code = max((code for code, _ in error.recipients.values()), default=550)
        raise Undelivered("mail_refused", final=code >= 500, code_number=code) from error
    except smtplib.SMTPResponseException as error:
        final = error.smtp_code >= 500 and not isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError)
        raise Undelivered("mail_refused", final=final, code_number=error.smtp_code) from error
    except ssl.SSLError as error:
        raise Undelivered("mail_certificate") from error
    except TimeoutError as error:
        raise Undelivered("mail_timeout", seconds=int(STEP_WITHIN_S)) from error
    except (OSError, smtplib.SMTPException) as error:
        if isinstance(error.__context__, TimeoutError):  # the library says of it that the server went away
            raise Undelivered("mail_timeout", seconds=int(STEP_WITHIN_S)) from error
        raise Undelivered("mail_away") from error


def _connected(server: MailServer) -> smtplib.SMTP:
    name = _domain(server)  # the machine's own would be looked up, and told
    if server.tls == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, name, timeout=STEP_WITHIN_S, context=_context(server))
    smtp = smtplib.SMTP(server.host, server.port, name, timeout=STEP_WITHIN_S)
    if server.tls == "starttls":
        try:
            smtp.starttls(context=_context(server))
        except smtplib.SMTPNotSupportedError as error:
            smtp.close()
            raise Undelivered("mail_no_tls") from error
        except BaseException:
            smtp.close()
            raise
    return smtp


def _context(server: MailServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file)
    except OSError as error:
        raise Undelivered("mail_ca_file") from error


def _log_in(smtp: smtplib.SMTP, server: MailServer) -> None:
    if server.tls == "none":
        raise Undelivered("mail_password_open")
    try:
        smtp.login(server.user or "", server.password or "")
    except smtplib.SMTPNotSupportedError as error:
        raise Undelivered("mail_no_login") from error
    except UnicodeEncodeError as error:
        raise Undelivered("mail_login_letters") from error


def _leave(smtp: smtplib.SMTP) -> None:
    """What was taken is taken, whatever the server says to that."""
    with suppress(OSError):  # the library's own errors are such
        smtp.quit()
    smtp.close()


def _domain(server: MailServer) -> str:
    return parseaddr(server.sender)[1].rpartition("@")[2] or "roomlink"


def _message(server: MailServer, mail: Mail) -> EmailMessage:
    """Headers are set by the library, which refuses a line break in one (ValueError)."""
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = f"<{mail.message_id}@{_domain(server)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation notice answers it
    message.set_content(mail.text, cte="base64")
    return message
