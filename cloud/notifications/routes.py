"""HTTP: receivers of notifications, and what became of the notifications."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Path, Query, Response

from cloud.alarms.rules import Severity
from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.console.words import Language, Words
from cloud.forms import InstantUs
from cloud.notifications import receivers, service, trying
from cloud.notifications.carrying import box_of, carrier_of
from cloud.notifications.deciding import State, What
from cloud.notifications.failures import in_words
from cloud.notifications.models import Notification, Receiver
from cloud.notifications.quiet import Weekday
from cloud.notifications.receivers import Kind, ReceiverForm
from cloud.security import Operator

routes = router("", "notifications")

ReceiverId = Annotated[str, Path(pattern=r"^rcv_[0-9a-f]{16}$")]
NotificationId = Annotated[int, Path(ge=1, le=2**63 - 1)]
ENGLISH = Words(Language.ENGLISH, ZoneInfo("UTC"))


class ReceiverView(View):
    """A receiver. `failure` says why the last attempt that failed did so, whatever came after it."""

    id: str
    name: str
    kind: Kind
    address: str
    organisation_id: str | None
    severity: Severity
    rule_ids: list[str]
    what: list[What]
    after_minutes: int
    language: Language
    timezone: str
    quiet_from: str | None
    quiet_until: str | None
    quiet_days: list[Weekday]
    quiet_through: Severity | None
    enabled: bool
    version: int
    created_at: InstantUs
    succeeded_at: InstantUs | None
    failed_at: InstantUs | None
    failure: str | None

    @classmethod
    def said(cls, receiver: Receiver) -> "ReceiverView":
        """With the failure in words."""
        return cls.model_validate(_values(cls, receiver) | {"failure": in_words(ENGLISH, receiver.failure) or None})


class MadeReceiverView(View):
    """A new receiver, and its secret where it is a webhook: told now and never again."""

    receiver: ReceiverView
    secret: str | None


class SecretView(View):
    """A webhook's new secret: told now and never again. For 24 hours the one before signs, too."""

    secret: str


class TriedView(View):
    """Whether the test was taken, and why not."""

    delivered: bool
    failure: str | None


class NotificationView(View):
    """That a receiver is told one thing about an alarm. Those with one `message_id` are sent together.

    `held`: put off by quiet hours or the alarm's sleep, to `due_at`. `why`: why it was dropped, or the last attempt failed.
    """

    id: int
    receiver_id: str
    alarm_id: str
    what: What
    at: InstantUs
    state: State
    due_at: InstantUs
    held: bool
    attempts: int
    message_id: str
    settled_at: InstantUs | None
    why: str | None

    @classmethod
    def said(cls, notification: Notification) -> "NotificationView":
        """With the reason in words."""
        return cls.model_validate(_values(cls, notification) | {"why": in_words(ENGLISH, notification.why) or None})


def _values(view: type[View], row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in view.model_fields}


@routes.get("/receivers")
def list_receivers(cloud: TheCloud, by: Operator, pages: Pages) -> PageOf[ReceiverView]:
    """The receivers of your scope."""
    with cloud.reading() as session:
        found = receivers.list_receivers(session, by.scope, pages)
        return PageOf(items=[ReceiverView.said(each) for each in found.rows], next_cursor=found.next_cursor)


@routes.post("/receivers", status_code=201, responses={**problems(404, 409), 201: with_etag()})
def create_receiver(cloud: TheCloud, by: Operator, form: ReceiverForm, response: Response) -> MadeReceiverView:
    """A new receiver; it is told of what happens from now on. A webhook's host is looked up, and must be public or allowed."""
    carrier = carrier_of(cloud.settings)
    receivers.check_address(form, carrier.poster, carrier.server)
    with cloud.writing() as session:
        receiver, secret = receivers.create(session, cloud.change(by), by.scope, form, carrier.box)
        set_etag(response, receiver.version)
        return MadeReceiverView(receiver=ReceiverView.said(receiver), secret=secret)


@routes.get("/receivers/{receiver_id}", responses={**problems(404), 200: with_etag()})
def get_receiver(cloud: TheCloud, by: Operator, receiver_id: ReceiverId, response: Response) -> ReceiverView:
    """One receiver."""
    with cloud.reading() as session:
        receiver = receivers.get(session, by.scope, receiver_id)
        set_etag(response, receiver.version)
        return ReceiverView.said(receiver)


@routes.put("/receivers/{receiver_id}", responses={**problems(404, 409, 412, 428), 200: with_etag()})
def edit_receiver(
    cloud: TheCloud, by: Operator, receiver_id: ReceiverId, version: IfMatch, form: ReceiverForm, response: Response
) -> ReceiverView:
    """Replace what it is. Switched off, what waits for it is dropped."""
    carrier = carrier_of(cloud.settings)
    receivers.check_address(form, carrier.poster, carrier.server)
    with cloud.writing() as session:
        receiver = receivers.edit(session, cloud.change(by), by.scope, receiver_id, version, form)
        set_etag(response, receiver.version)
        return ReceiverView.said(receiver)


@routes.delete("/receivers/{receiver_id}", status_code=204, responses=problems(404, 412, 428))
def delete_receiver(cloud: TheCloud, by: Operator, receiver_id: ReceiverId, version: IfMatch) -> None:
    """Take it away; what waits for it is dropped, and so are its dead letters."""
    with cloud.writing() as session:
        receivers.delete(session, cloud.change(by), by.scope, receiver_id, version)


@routes.post("/receivers/{receiver_id}/secret", responses=problems(404, 409))
def renew_receiver_secret(cloud: TheCloud, by: Operator, receiver_id: ReceiverId) -> SecretView:
    """A new secret for a webhook; messages are signed with both for 24 hours."""
    with cloud.writing() as session:
        box = box_of(cloud.settings)
        return SecretView(secret=receivers.renew_secret(session, cloud.change(by), by.scope, receiver_id, box))


@routes.post("/receivers/{receiver_id}/test", responses=problems(404, 429))
def test_receiver(cloud: TheCloud, by: Operator, receiver_id: ReceiverId) -> TriedView:
    """Send a message that says that nothing is wrong, and wait for the outcome."""
    carrier = carrier_of(cloud.settings)
    with cloud.writing() as session:
        letter = trying.begin(session, cloud.change(by), by.scope, receiver_id)
    failed = trying.attempt(carrier, letter)
    with cloud.writing() as session:
        trying.end(session, receiver_id, failed, cloud.clock())
    return TriedView(delivered=failed is None, failure=in_words(ENGLISH, failed.plain()) if failed else None)


@routes.get("/notifications")
def list_notifications(
    cloud: TheCloud,
    by: Operator,
    pages: Pages,
    state: Annotated[State | None, Query(description="Only in this state; dead letters are `dead`.")] = None,
    receiver_id: Annotated[
        str | None, Query(pattern=r"^rcv_[0-9a-f]{16}$", description="Only to this receiver.")
    ] = None,
    alarm_id: Annotated[str | None, Query(pattern=r"^alm_[0-9a-f]{16}$", description="Only about this alarm.")] = None,
) -> PageOf[NotificationView]:
    """What the receivers of your scope were told and will be, newest first."""
    with cloud.reading() as session:
        found = service.list_notifications(session, by.scope, pages, state, receiver_id, alarm_id)
        return PageOf(items=[NotificationView.said(each) for each in found.rows], next_cursor=found.next_cursor)


@routes.post("/notifications/{notification_id}/resend", responses=problems(404, 409))
def resend_notification(cloud: TheCloud, by: Operator, notification_id: NotificationId) -> NotificationView:
    """Send a dead letter again, with all that is in the same message, whatever has become of the alarm."""
    with cloud.writing() as session:
        return NotificationView.said(service.resend(session, cloud.change(by), by.scope, notification_id))
