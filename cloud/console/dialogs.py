"""Dialogs: a form over the page, with what was refused above its fields. Enter sends it, Escape closes it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui
from pydantic import BaseModel, ValidationError

from cloud.console.markup import Content, tag
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.console.words import Words
from cloud.errors import CloudError, Invalid, Unconfirmed, faults_of
from cloud.organisations.tree import Branch

F = TypeVar("F", bound=BaseModel)


def ask(
    view: View,
    title: str,
    fields: Content,
    submit: str,
    on_submit: Callable[[dict[str, str]], Awaitable[None]],
    *,
    intro: Content = None,
    danger: bool = False,
    then: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Open a form; it closes when `on_submit` has not refused what was filled in, and `then` goes on.

    Where it needs the password again, that is asked for over it, and the form sent once more.
    """
    with view.client.content, ui.dialog() as dialog:
        dialog.props["aria-label"] = title
        with ui.element("div").classes("rl-dialog"):
            view.html(tag("h2", title, class_="t4"))
            problem = view.html()

            async def sent(values: dict[str, str]) -> None:
                try:
                    await on_submit(values)
                except Unconfirmed:
                    _ask_password(view, lambda: sent(values))
                except CloudError as error:
                    problem.set_content(str(view.explain(error)))
                else:
                    dialog.close()
                    if then is not None:
                        with view.client.content:
                            await then()

            view.form(_form(view.words, intro, fields, submit, danger), sent, on_act=lambda _act, _on: dialog.close())
    dialog.on_value_change(lambda event: None if event.value else dialog.delete())
    dialog.open()


def _form(words: Words, intro: Content, fields: Content, submit: str, danger: bool) -> Markup:
    cancel = tag("button", words("page.cancel"), type="button", class_="rl-btn", data_act="cancel")
    send = tag("button", submit, class_="rl-btn", data_kind="danger" if danger else "main")
    explained = tag("p", intro, class_="q") if intro else None
    return tag("form", explained, fields, tag("div", send, cancel, class_="rl-row"), class_="rl-form")


def _ask_password(view: View, then: Callable[[], Awaitable[None]]) -> None:
    words = view.words

    async def confirm(values: dict[str, str]) -> None:
        if not await view.confirm(values.get("password", "")):
            raise refuse(words, "confirm.wrong")

    password = field(words("sign_in.password"), "password", type="password", required=True, autofocus=True,
                     autocomplete="current-password", maxlength=200)  # fmt: skip
    ask(view, words("confirm.title"), password, words("confirm.it"), confirm,
        intro=words("confirm.more", name=view.principal.name), then=then)  # fmt: skip


def tell(view: View, title: str, *content: Content) -> None:
    """Show something that is to be read or copied, until it is closed."""
    with view.client.content, ui.dialog() as dialog:
        dialog.props["aria-label"] = title
        with ui.element("div").classes("rl-dialog"):
            close = tag("button", view.words("page.close"), type="button", class_="rl-btn", data_act="close",
                        autofocus=True)  # fmt: skip
            view.html(tag("h2", title, class_="t4") + tag("div", *content, tag("p", close), class_="rl-form"),
                      on_act=lambda _act, _on: dialog.close())  # fmt: skip
    dialog.on_value_change(lambda event: None if event.value else dialog.delete())
    dialog.open()


def field(label: str, name: str, value: str = "", *, hint: str | None = None, **attributes: Any) -> Markup:
    """A labelled input; further attributes are HTML's own, such as `type`, `required`, `maxlength`."""
    explained = tag("span", hint, class_="q t1") if hint else None
    return tag("label", label, tag("input", name=name, value=value, class_="rl-field", **attributes), explained)


def choice(label: str, name: str, options: Sequence[tuple[str, str]], value: str = "") -> Markup:
    """A labelled list of (value, words) to choose one from."""
    drawn = [tag("option", words, value=each, selected=each == value) for each, words in options]
    return tag("label", label, tag("select", drawn, name=name, class_="rl-field"))


def indented(words: Words, tree: Sequence[Branch]) -> list[tuple[str, str]]:
    """Organisations for `choice`, each set in by its depth."""
    return [(branch.id, "\u3000" * branch.depth + words.either(branch.name, branch.name_en)) for branch in tree]


def ticks(
    label: str, boxes: Sequence[tuple[str, str, bool]], *, hint: str | None = None, across: bool = False
) -> Markup:
    """Boxes to tick under one heading: (name, words, ticked); one below the other, or across."""
    drawn = [
        tag(
            "label", tag("input", type="checkbox", name=name, value="yes", checked=ticked), " ", words, class_="rl-tick"
        )
        for name, words, ticked in boxes
    ]
    explained = tag("span", hint, class_="q t1") if hint else None
    return tag("fieldset", tag("legend", label), tag("div", drawn, class_="rl-ticks", data_across=across), explained)


def shown_when(field: str, values: Sequence[str], now: str, *content: Content) -> Markup:
    """Fields that are shown while `field` of their form has one of `values` (console.js); it has `now` at first."""
    return tag("div", *content, data_when=f"{field}={'|'.join(values)}", hidden=now not in values, class_="rl-form")


def filled(form: type[F], **values: Any) -> F:
    """The form as filled in. Invalid, with where and why, when it is not right."""
    try:
        return form(**values)
    except ValidationError as error:
        faults = faults_of(error.errors(include_input=False, include_url=False))
        raise Invalid("The form is not right.", faults, code="form") from None


def instant(text: str, zone: ZoneInfo) -> datetime:
    """The day and time of a field, on a clock of `zone`, in UTC, so that spans have their true length where clocks change.

    Of a time that such a clock shows twice it is the first. ValueError for what is none.
    """
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def same(view: View, typed: str, name: str) -> None:
    """What ends something asks for its name. Invalid when another one was typed."""
    if " ".join(typed.split()) != " ".join(name.split()):
        raise refuse(view.words, "page.other_name", name=name)
