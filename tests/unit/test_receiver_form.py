"""The console's form of a receiver: what is ticked and not, without a browser."""

from zoneinfo import ZoneInfo

from cloud.console.words import Language, Words
from cloud.notifications.models import Receiver
from cloud.notifications.receiver_form import _Choices, _filled, _rules, _with_gone
from cloud.notifications.receivers import Kind, ReceiverForm

ENGLISH = Words(Language.ENGLISH, ZoneInfo("UTC"))
KEPT, GONE = "alr_0000000000000001", "alr_0000000000000002"
FILLED = {
    "name": "Duty desk", "address": "desk@example.org", "language": "en", "timezone": "UTC", "severity": "warning",
    "what_raised": "yes",
}  # fmt: skip


def test_a_rule_that_was_deleted_stays_ticked_until_somebody_unticks_it() -> None:
    shown = ReceiverForm(name="Duty desk", kind=Kind.EMAIL, address="desk@example.org", rule_ids=(GONE,))
    receiver = Receiver(kind=Kind.EMAIL.value, enabled=True)
    choices = _with_gone(ENGLISH, _Choices([], [(KEPT, "离线", "Offline")]), shown)
    assert f"Deleted, or not of your branch: {GONE}" in _rules(ENGLISH, shown, choices)
    assert _filled({**FILLED, "rule_1": "yes"}, receiver, choices).rule_ids == (GONE,)
    assert _filled({**FILLED, "rule_0": "yes"}, receiver, choices).rule_ids == (KEPT,)


def test_a_rule_that_is_there_stands_in_the_form_once() -> None:
    shown = ReceiverForm(name="Duty desk", kind=Kind.EMAIL, address="desk@example.org", rule_ids=(KEPT,))
    choices = _Choices([], [(KEPT, "离线", "Offline")])
    assert _with_gone(ENGLISH, choices, shown) == choices
