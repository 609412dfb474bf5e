"""Console: how a terminal is known to the broker, on its page; a claim code for it, and shutting it out."""

from collections.abc import Awaitable, Callable

import segno
from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.certificates import service
from cloud.certificates.models import Certificate
from cloud.certificates.service import ShutOutForm
from cloud.console import dialogs
from cloud.console.markup import Content, join, tag
from cloud.console.view import View
from cloud.console.widgets import button, mono, none, pairs, panel, say
from cloud.paging import Paging
from cloud.scope import Scope

SOON_DAYS = 21
"""A certificate that was not renewed with a third of its life gone: its terminal was away, or cannot renew."""
HALF = 5
"""A code is read in two halves."""

Done = Callable[[], Awaitable[None]]
Newest = Certificate | None


def newest(session: Session, scope: Scope, terminal_id: str) -> Newest:
    """The terminal's newest certificate; None before its claim."""
    rows = service.certificates(session, scope, terminal_id, Paging(1)).rows
    return rows[0] if rows else None


def panel_of(view: View, certificate: Newest) -> Markup:
    """The panel; its buttons act as `act_on` does."""
    words = view.words
    buttons: list[Markup] = []
    if view.may(Role.OPERATOR):
        buttons.append(button(words("certificate.code"), "claim_code"))
    if view.may(Role.ADMIN) and certificate is not None and certificate.revoked_at is None:
        buttons.append(button(words("certificate.shut_out"), "shut_out", kind="danger"))
    title = words("certificate.title")
    if certificate is None:
        middle = tag("p", buttons, class_="rl-row rl-middle") if buttons else None
        return panel(title, none(words("certificate.none"), words("certificate.none_more"), middle))
    row = tag("p", buttons, class_="rl-row", style="padding-top:16px") if buttons else None
    left_days = (certificate.not_after_at - view.now).days
    rows: list[tuple[str, Content]] = [
        (words("certificate.until"), words.short_day(certificate.not_after_at)),
        (words("certificate.key"), mono(certificate.key_id)),
    ]
    if certificate.revoked_at is not None:
        state = say("bad", words("certificate.revoked", time=words.minute(certificate.revoked_at)))
    elif left_days < 0:
        state = say("bad", words("certificate.ended"))
    else:
        state = say("warn" if left_days < SOON_DAYS else "ok", words("certificate.days_left", n=left_days))
    return panel(title, pairs([(words("certificate.state"), state), *rows]), row)


async def act_on(view: View, terminal_id: str, act: str, done: Done) -> bool:
    """Do what a button of the panel asks for; whether it was one of them."""
    if act == "claim_code":
        await _show_code(view, terminal_id)
    elif act == "shut_out":
        _shut_out(view, terminal_id, done)
    else:
        return False
    return True


async def _show_code(view: View, terminal_id: str) -> None:
    """A new code, this once, to be typed or read by a camera; the one before ends."""
    made = await view.write(
        Role.OPERATOR, lambda session, change, scope: service.make_code(session, change, scope, terminal_id)
    )
    words, address = view.words, view.cloud.settings.public_url or _own_address(view)
    command = f"python -m edge claim {address} {made.code}"
    drawn = Markup(segno.make(command, error="m").svg_inline(scale=4, border=4, dark="#000", light="#fff"))  # noqa: S704 - drawn by us, of our own text
    dialogs.tell(
        view,
        words("certificate.code_for", terminal=terminal_id),
        tag("p", words("certificate.code_once", time=words.minute(made.expires_at))),
        tag("p", tag("code", f"{made.code[:HALF]} {made.code[HALF:]}", class_="mono rl-secret t4")),
        tag("p", words("certificate.code_type")),
        tag("p", tag("code", command, class_="mono")),
        tag("div", drawn, class_="rl-qr", role="img", aria_label=words("certificate.code_qr")),
    )


def _own_address(view: View) -> str:
    """Where this console is, where no setting says it: terminals in the same network reach the cloud there."""
    settings = view.cloud.settings
    return f"http://{settings.host}:{settings.port}"


def _shut_out(view: View, terminal_id: str, done: Done) -> None:
    words = view.words
    fields = join(
        dialogs.field(words("members.reason"), "reason", required=True, minlength=3, maxlength=500, autofocus=True),
        dialogs.field(words("members.type_name", name=terminal_id), "typed", required=True, autocomplete="off"),
    )

    async def shut(values: dict[str, str]) -> None:
        dialogs.same(view, values.get("typed", ""), terminal_id)
        form = dialogs.filled(ShutOutForm, reason=values.get("reason"))
        await view.write(
            Role.ADMIN,
            lambda session, change, scope: service.revoke(session, change, scope, terminal_id, form.reason),
            confirmed=True,
        )
        await done()

    title = words("certificate.shut_out_title", terminal=terminal_id)
    intro = words("certificate.shut_out_more")
    dialogs.ask(view, title, fields, words("certificate.shut_out_it"), shut, intro=intro, danger=True)
