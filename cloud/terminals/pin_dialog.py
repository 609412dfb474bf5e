"""Console: the staff PIN of kiosks, typed where a person checks somebody in by hand. Set or removed, never shown."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import SecretStr
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.scope import Scope
from cloud.terminals import service
from cloud.terminals.service import PinForm


def ask_pin(
    view: View, title: str, versions: Mapping[str, int], saved: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Ask for a PIN, and give it to all of these kiosks, ids with the versions that were read, in one transaction."""
    words = view.words
    fields = join(
        dialogs.field(words("field.pin"), "pin", type="password", inputmode="numeric", pattern="[0-9]{4,12}",
                      autocomplete="new-password", autofocus=True, hint=words("terminal.pin_hint")),
        tag("label", tag("input", type="checkbox", name="remove", value="yes"), " ", words("terminal.pin_remove"),
            class_="rl-tick"),
    )  # fmt: skip

    async def save(values: dict[str, str]) -> None:
        pin = values.get("pin", "")
        if bool(pin) == bool(values.get("remove")):
            raise refuse(words, "terminal.pin_either")
        form = dialogs.filled(PinForm, pin=SecretStr(pin) if pin else None)

        def write(session: Session, change: Change, scope: Scope) -> None:
            for terminal_id, version in versions.items():
                service.set_pin(session, change, scope, terminal_id, version, form)

        await view.write(Role.OPERATOR, write)
        if saved is not None:
            await saved()

    kiosks = words("terminal.pin_more", n=len(versions), kiosks=", ".join(versions))
    dialogs.ask(view, title, fields, words("page.save"), save, intro=kiosks)
