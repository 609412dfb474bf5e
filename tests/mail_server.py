"""A real mail server on loopback (aiosmtpd), which keeps what it takes, and refuses or hangs as a test says."""

import asyncio
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from cloud.notifications.mail import MailServer
from tests.authorities import Authorities, Identity
from tests.process import HOST, free_port

USER, PASSWORD = "roomlink", "mail-password-of-tests"
SENDER = "Roomlink <roomlink@example.org>"


@dataclass
class Mailbox:
    """Start it with `with`; `answers` are said in the place of "250 OK" to the next recipients, in order."""

    identity: Identity | None = None
    with_login: bool = False
    implicit: bool = False
    port: int = field(default_factory=free_port)
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    hang: bool = False
    farewell: str = "221 Bye"

    def start(self) -> None:
        """Listen."""
        context = None
        if self.identity is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.identity.certificate, self.identity.key)
        over = (
            {"ssl_context": context} if self.implicit else {"tls_context": context, "require_starttls": bool(context)}
        )
        self._controller = Controller(
            self, HOST, self.port, **over,
            authenticator=self._authenticate if self.with_login else None, auth_required=self.with_login and not self.implicit,
            auth_require_tls=not self.implicit,
        )  # fmt: skip
        self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        self._controller.stop()

    def server(self, tls: str = "none", ca: Authorities | None = None, **more: Any) -> MailServer:
        """How the cloud is told of it."""
        ca_file = ca.root_file if ca else None
        return MailServer(HOST, self.port, SENDER, tls, ca_file=ca_file, **more)  # type: ignore[arg-type]

    @property
    def subjects(self) -> list[str]:
        """Of what it has taken, in order. Where a long one was folded, the library leaves two spaces."""
        return [" ".join(str(each["Subject"]).split()) for each in self.taken]

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The library's name for it."""
        if self.hang:
            await asyncio.sleep(3600)
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The library's name for it."""
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content, policy=default))
        self.recipients += envelope.rcpt_tos
        self.over_tls.append(self.implicit or session.ssl is not None)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """The library's name for it."""
        return self.farewell

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, said: Any) -> AuthResult:
        right = isinstance(said, LoginPassword) and (said.login, said.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
