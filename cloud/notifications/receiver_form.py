"""Console: the form of a receiver: whom, of what, when, and when not."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import ruling
from cloud.alarms.rules import Severity
from cloud.audit.service import Change
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import organisation_options, organisations_of
from cloud.console.view import View
from cloud.console.words import Language, Words
from cloud.notifications import receivers
from cloud.notifications.carrying import carrier_of
from cloud.notifications.deciding import What
from cloud.notifications.models import Receiver
from cloud.notifications.quiet import Weekday
from cloud.notifications.receivers import Kind, ReceiverForm
from cloud.organisations.tree import Branch
from cloud.scope import Scope

CHOSEN = tuple(each for each in What if each is not What.ESCALATED)
Saved = Callable[[str | None], Awaitable[None]]
"""Hears a webhook's new secret, or None."""


@dataclass(frozen=True)
class _Choices:
    organisations: list[Branch]
    rules: list[tuple[str, str, str]]


def _choices(session: Session, scope: Scope) -> _Choices:
    rules = [(rule.id, rule.name, rule.name_en) for rule in ruling.all_rules(session, scope)]
    return _Choices(organisations_of(session, scope), rules)


def _with_gone(words: Words, choices: _Choices, shown: ReceiverForm) -> _Choices:
    """With the rules that it names and that are not there any more: one who unticks nothing changes nothing."""
    known = {rule_id for rule_id, _, _ in choices.rules}
    gone = [(each, words("receiver.rule_gone", id=each), "") for each in shown.rule_ids if each not in known]
    return replace(choices, rules=[*choices.rules, *gone])


def form_of(receiver: Receiver) -> ReceiverForm:
    """A receiver as it was filled in."""
    return ReceiverForm.model_validate({name: getattr(receiver, name) for name in ReceiverForm.model_fields})


async def ask(view: View, receiver: Receiver | None, saved: Saved) -> None:
    """Open the form, empty or of a receiver, and save it."""
    words = view.words
    choices = await view.read(_choices, Role.OPERATOR)
    shown = form_of(receiver) if receiver is not None else ReceiverForm.model_construct(
        name="", kind=Kind.EMAIL, address="", language=view.words.language, timezone=view.zone.key)  # fmt: skip
    choices = _with_gone(words, choices, shown)

    async def save(values: dict[str, str]) -> None:
        form = _filled(values, receiver, choices)
        await keep(view, receiver, form, saved)

    title = words("receiver.add") if receiver is None else words("receiver.edit")
    dialogs.ask(view, title, _fields(view, shown, choices, receiver is None), words("receiver.save"), save)


async def keep(view: View, receiver: Receiver | None, form: ReceiverForm, saved: Saved) -> None:
    """Judge the address, outside of any transaction, and write it."""
    settings = view.cloud.settings

    def judge() -> None:
        carrier = carrier_of(settings)
        receivers.check_address(form, carrier.poster, carrier.server)

    await view.in_thread(judge)

    def write(session: Session, change: Change, scope: Scope) -> str | None:
        if receiver is None:
            return receivers.create(session, change, scope, form, carrier_of(settings).box)[1]
        receivers.edit(session, change, scope, receiver.id, receiver.version, form)
        return None

    await saved(await view.write(Role.OPERATOR, write))


def _fields(view: View, shown: ReceiverForm, choices: _Choices, is_new: bool) -> Markup:
    words = view.words
    kinds = [(each.value, words(f"receiver.kind_{each}")) for each in Kind]
    severities = [
        (each.value, words("alarm_rule.two", a=words(f"alarm.{each}"), b=words(f"alarm.{each}_means")))
        for each in Severity
    ]
    languages = [(each.value, words(f"receiver.language_{each}")) for each in Language]
    whole = [("", words("receiver.whole"))] if view.principal.scope.path == "/" else []
    return join(
        dialogs.field(words("receiver.name"), "name", shown.name, required=True, maxlength=120, autofocus=True),
        dialogs.choice(words("receiver.kind"), "kind", kinds, shown.kind) if is_new else None,
        dialogs.field(words("receiver.address"), "address", shown.address, required=True, maxlength=500,
                      autocomplete="off", hint=words("receiver.address_hint")),
        dialogs.choice(words("receiver.organisation"), "organisation_id",
                       [*whole, *organisation_options(view, choices.organisations)], shown.organisation_id or ""),
        dialogs.choice(words("receiver.severity"), "severity", severities, shown.severity),
        dialogs.ticks(words("receiver.what"), _ticked(words, "letter_what", CHOSEN, shown.what, "what"), across=True),
        dialogs.field(words("receiver.after_minutes"), "after_minutes", str(shown.after_minutes), type="number", min=0,
                      max=10_080, hint=words("receiver.after_hint")),
        _rules(words, shown, choices),
        _quiet(words, shown),
        dialogs.choice(words("receiver.language"), "language", languages, shown.language),
        dialogs.field(words("receiver.timezone"), "timezone", shown.timezone, required=True, maxlength=60),
    )  # fmt: skip


def _rules(words: Words, shown: ReceiverForm, choices: _Choices) -> Markup:
    boxes = [
        (f"rule_{number}", words.either(name, name_en), rule_id in shown.rule_ids)
        for number, (rule_id, name, name_en) in enumerate(choices.rules)
    ]
    return dialogs.ticks(words("receiver.rules"), boxes, hint=words("receiver.rules_hint"))


def _quiet(words: Words, shown: ReceiverForm) -> Markup:
    through = [(each.value, words(f"alarm.{each}")) for each in Severity]
    return join(
        dialogs.field(words("receiver.quiet_from"), "quiet_from", shown.quiet_from or "", type="time",
                      hint=words("receiver.quiet_hint")),
        dialogs.field(words("receiver.quiet_until"), "quiet_until", shown.quiet_until or "", type="time"),
        dialogs.ticks(words("receiver.quiet_days"), _ticked(words, "weekday", tuple(Weekday), shown.quiet_days, "day"),
                      across=True),
        dialogs.choice(words("receiver.quiet_through"), "quiet_through",
                       [("", words("receiver.through_none")), *through], shown.quiet_through or ""),
    )  # fmt: skip


def _ticked(
    words: Words, key: str, each: Sequence[str], ticked: Sequence[str], field: str
) -> list[tuple[str, str, bool]]:  # fmt: skip
    return [(f"{field}_{one}", words(f"{key}.{one}"), one in ticked) for one in each]


def _filled(values: dict[str, str], receiver: Receiver | None, choices: _Choices) -> ReceiverForm:
    """What was filled in. Invalid when it is not right."""

    def ticked(field: str, each: Sequence[str]) -> list[str]:
        return [one for one in each if values.get(f"{field}_{one}") == "yes"]

    chosen = ticked("rule", [str(number) for number in range(len(choices.rules))])
    texts = {name: values.get(name, "").strip() for name in ("name", "address", "language", "timezone", "severity")}
    optional = {
        name: values.get(name) or None for name in ("organisation_id", "quiet_from", "quiet_until", "quiet_through")
    }
    return dialogs.filled(
        ReceiverForm, **texts, **optional, kind=receiver.kind if receiver else values.get("kind", ""),
        enabled=receiver is None or receiver.enabled, after_minutes=values.get("after_minutes") or 0,
        rule_ids=[choices.rules[int(number)][0] for number in chosen], what=ticked("what", CHOSEN),
        quiet_days=ticked("day", tuple(Weekday)),
    )  # fmt: skip
