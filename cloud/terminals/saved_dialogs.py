"""Console: saved views of the list of terminals: chosen, kept, changed and taken away above the list."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.view import View
from cloud.console.widgets import button, small
from cloud.scope import Scope
from cloud.terminals import views
from cloud.terminals.views import SavedViewForm
from cloud.terminals.wanted import Wanted

ACTS: Final = frozenset({"view_save", "view_edit", "view_delete"})
Done = Callable[[str], Awaitable[None]]
"""Hears which saved view is shown now; empty for none."""


@dataclass(frozen=True)
class Saved:
    """A saved view as the page needs it; `mine` is of one's own account, `editable` one that may be changed."""

    id: str
    name: str
    wanted: Wanted
    shared: bool
    version: int
    mine: bool
    editable: bool


def known(session: Session, view: View, scope: Scope) -> list[Saved]:
    """Those that the one who looks may choose."""
    by = replace(view.principal, scope=scope)
    return [
        Saved(each.id, each.name, views.wanted_of(each), each.shared, each.version, each.account_id == by.account_id,
              views.may_edit(by, each))
        for each in views.list_views(session, by)
    ]  # fmt: skip


def chooser(view: View, saved: Sequence[Saved], chosen: str, wanted: Wanted) -> Markup:
    """The list to choose from, and what may be done with the chosen one; whether the page asks for something else by now."""
    words = view.words
    now = next((each for each in saved if each.id == chosen), None)
    groups = [
        _group(words("saved_view.mine"), [each for each in saved if each.mine], chosen),
        _group(words("saved_view.shared"), [each for each in saved if not each.mine], chosen),
    ]
    none = tag("option", words("saved_view.none"), value="", selected=now is None)
    choose = tag("select", none, groups, name="view", class_="rl-field rl-pick", aria_label=words("saved_view.view"),
                 data_key="choose-view")  # fmt: skip
    differs = small(words("saved_view.differs")) if now is not None and now.wanted != wanted else None
    buttons = [button(words("saved_view.save"), "view_save")]
    if now is not None and now.editable:
        buttons += [button(words("saved_view.edit"), "view_edit"), button(words("saved_view.delete"), "view_delete")]
    return join(tag("label", words("saved_view.view"), " ", choose, class_="rl-inline"), differs, buttons)


def _group(label: str, saved: Sequence[Saved], chosen: str) -> Markup | None:
    if not saved:
        return None
    options = [tag("option", each.name, value=each.id, selected=each.id == chosen) for each in saved]
    return tag("optgroup", options, label=label)


async def act_on(view: View, act: str, chosen: str, wanted: Wanted, done: Done) -> None:
    """Open the dialog that a button asks for."""
    found = await view.read(lambda session, scope: known(session, view, scope))
    now = next((each for each in found if each.id == chosen and each.editable), None)
    if act == "view_save":
        _save(view, wanted, done)
    elif now is not None and act == "view_edit":
        _edit(view, now, wanted, done)
    elif now is not None:
        _delete(view, now, done)


def _fields(view: View, name: str, *, shared: bool, more: Sequence[tuple[str, str, bool]] = ()) -> Markup:
    words = view.words
    boxes = [*more]
    if shared or view.may(Role.OPERATOR):
        boxes.append(("shared", words("saved_view.share"), shared))
    named = dialogs.field(words("saved_view.name"), "name", name, required=True, maxlength=60, autofocus=True,
                          autocomplete="off")  # fmt: skip
    return join(named, dialogs.ticks(words("saved_view.how"), boxes) if boxes else None)


def _save(view: View, wanted: Wanted, done: Done) -> None:
    words = view.words

    async def save(values: dict[str, str]) -> None:
        form = dialogs.filled(SavedViewForm, name=values.get("name", ""), wanted=wanted, shared="shared" in values)

        def create(session: Session, change: Change, scope: Scope) -> str:
            return views.create(session, change, replace(view.principal, scope=scope), form).id

        if form.shared:
            await done(await view.write(Role.OPERATOR, create))
            return
        await _keep_own(view, create, done)

    dialogs.ask(view, words("saved_view.save_title"), _fields(view, "", shared=False), words("saved_view.keep"), save,
                intro=words("saved_view.about"))  # fmt: skip


async def _keep_own(view: View, create: Callable[[Session, Change, Scope], str], done: Done) -> None:
    """Anybody may keep what one asks for oneself."""
    await done(await view.write(Role.VIEWER, create))


def _edit(view: View, saved: Saved, wanted: Wanted, done: Done) -> None:
    words = view.words
    replaced = [("replace", words("saved_view.replace"), False)] if saved.wanted != wanted else []

    async def save(values: dict[str, str]) -> None:
        form = dialogs.filled(
            SavedViewForm, name=values.get("name", ""), wanted=wanted if "replace" in values else saved.wanted,
            shared="shared" in values,
        )  # fmt: skip
        await view.write(
            Role.VIEWER,
            lambda session, change, scope: views.edit(
                session, change, replace(view.principal, scope=scope), saved.id, saved.version, form
            ),
        )
        await done(saved.id)

    fields = _fields(view, saved.name, shared=saved.shared, more=replaced)
    dialogs.ask(view, words("saved_view.edit_title", name=saved.name), fields, words("saved_view.keep"), save)


def _delete(view: View, saved: Saved, done: Done) -> None:
    words = view.words

    async def delete(_values: dict[str, str]) -> None:
        await view.write(
            Role.VIEWER,
            lambda session, change, scope: views.delete(
                session, change, replace(view.principal, scope=scope), saved.id, saved.version
            ),
        )
        await done("")

    title = words("saved_view.delete_title", name=saved.name)
    dialogs.ask(
        view, title, None, words("saved_view.delete"), delete, intro=words("saved_view.delete_more"), danger=True
    )
