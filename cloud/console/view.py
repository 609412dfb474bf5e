"""One open page: who looks at it, in which words, and its ways to read, to change and to show.

Promises that every read and every change asks anew who is signed in: the page may be older than the session.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from anyio import to_thread
from markupsafe import Markup
from nicegui import ui
from nicegui.client import Client
from nicegui.events import GenericEventArguments
from sqlalchemy.orm import Session

from cloud.accounts import sessions
from cloud.accounts.service import Principal, Role
from cloud.api import Cloud
from cloud.audit.service import Change
from cloud.console import refusals
from cloud.console.live import Live
from cloud.console.preferences import Preferences
from cloud.console.words import Words
from cloud.errors import CloudError, Unauthenticated
from cloud.forms import askable
from cloud.guard import COOKIE, address_of
from cloud.overview.service import Frame, Pulse
from cloud.paging import MAX_LIMIT
from cloud.scope import EVERYWHERE, Scope
from cloud.security import check_confirmed, check_role

T = TypeVar("T")
Act = Callable[[str, str], Awaitable[None] | None]
"""Hears which button was pressed: its `act`, and what it is `on`."""

Submit = Callable[[dict[str, str]], Awaitable[None] | None]
"""Hears what was filled in, by field."""

_ON_ACT = """(e) => {
  const b = e.target.closest("[data-act], a[data-go]");
  if (!b) return;
  if (b.dataset.act) return emit(b.dataset.act, b.dataset.on || "");
  if (e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
  e.preventDefault();
  emit("go", b.getAttribute("href"));
}"""
"""A link with `data-go` acts as `go`, on its address, unless it is to be opened elsewhere."""

_ON_PICK = """(e) => {
  const box = e.target;
  if (box.dataset.pick === undefined) return;
  const boxes = box.dataset.pick ? [box] : [...box.closest("table").querySelectorAll("[data-pick]")];
  for (const each of boxes) {
    each.checked = box.checked;
    each.closest("tr[aria-selected]")?.setAttribute("aria-selected", String(box.checked));
  }
  emit(boxes.map((each) => each.dataset.pick).filter(Boolean), box.checked);
}"""
"""A box in a row, or the one without a value in the head, which is all of the table's."""
_ON_SUBMIT = "(e) => { e.preventDefault(); emit(Object.fromEntries(new FormData(e.target))); }"
_ON_INPUT = "(e) => emit(e.target.value)"


@dataclass
class View:
    """The page of one browser tab."""

    cloud: Cloud
    live: Live
    client: Client
    principal: Principal
    preferences: Preferences
    words: Words
    frame: Frame
    noted_at: float = 0.0
    """When it was last looked at whether to write that the session is used; monotonic seconds."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that times are shown in."""
        return self.words.zone

    async def read(self, query: Callable[[Session, Scope], T], role: Role = Role.VIEWER) -> T:
        """What `query` finds, in a thread, if whoever is signed in now may see what `role` may."""

        def reading() -> T:
            with self.cloud.reading() as session:
                return query(session, self._now_signed_in(session, role).scope)

        return await _in_thread(reading)

    async def write(self, role: Role, action: Callable[[Session, Change, Scope], T], *, confirmed: bool = False) -> T:
        """What `action` gives, committed, if whoever is signed in now may do what `role` may.

        `confirmed` also asks that the password was typed again: Unconfirmed, which `dialogs` answer by asking for it.
        """
        return await _in_thread(lambda: self.writing(role, action, confirmed=confirmed))

    def writing(self, role: Role, action: Callable[[Session, Change, Scope], T], *, confirmed: bool = False) -> T:
        """The same, in the caller's thread."""
        with self.cloud.reading() as session:
            by = self._now_signed_in(session, role)
        if confirmed:
            check_confirmed(by, self.now)
        with self.cloud.writing() as session:
            return action(session, self.cloud.change(by), by.scope)

    async def confirm(self, password: str) -> bool:
        """Take the password again; whether it is right."""

        def confirming() -> bool:
            with self.cloud.reading() as session:
                by = self._now_signed_in(session, Role.VIEWER)
            return self.cloud.confirm(by, password)

        return await _in_thread(confirming)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Work that asks no question about who is signed in, off the event loop."""
        return await _in_thread(work)

    def at_most_every(self, seconds: float, notice: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """`notice`, left out when it was given less than `seconds` ago; the next news gives it."""
        last = [time.monotonic()]

        async def sometimes() -> None:
            if time.monotonic() - last[0] >= seconds:
                last[0] = time.monotonic()
                await notice()

        return sometimes

    def writable(self, role: Role, *, whole: bool = False) -> None:
        """Forbidden, before anything is shown, for whoever may not do what `role` may; `whole`: in all branches."""
        check_role(self.principal, role, whole=whole)

    def may(self, role: Role, *, whole: bool = False) -> bool:
        """Whether to show what needs `role`. It is checked again when it is done."""
        return self.principal.role.includes(role) and (self.principal.scope == EVERYWHERE or not whole)

    def html(self, content: Markup | str = "", *, on_act: Act | None = None, tag: str = "div", classes: str = "",
             slot: str | None = None) -> ui.html:  # fmt: skip
        """A piece of markup that may be replaced, and whose buttons are heard. `slot` names it for tests and styles."""
        element = ui.html(str(content), sanitize=False, tag=tag).classes(classes)
        if slot:
            element.props(f'data-slot="{slot}"')
        if on_act is not None:
            element.on("click", self.heard(lambda args: on_act(str(args[0]), str(args[1]))), js_handler=_ON_ACT)
        return element

    def form(self, content: Markup, on_submit: Submit, *, on_act: Act | None = None, classes: str = "") -> ui.html:
        """Markup with one `<form>`; its fields are heard when it is sent, checked by the browser before."""
        element = self.html(content, on_act=on_act, classes=classes)
        element.on("submit", self.heard(lambda args: on_submit(_fields(args))), js_handler=_ON_SUBMIT)
        return element

    def changed(self, content: Markup, on_change: Callable[[str], Awaitable[None] | None]) -> ui.html:
        """Markup with one field; its value is heard when it was changed."""
        element = ui.html(str(content), sanitize=False)
        heard = self.heard(lambda args: on_change(str(args[0] if isinstance(args, list) else args)))
        return element.on("change", heard, js_handler=_ON_INPUT)

    def picks(self, element: ui.element, on_pick: Callable[[list[str], bool], Awaitable[None] | None]) -> None:
        """Hear which rows of a table in `element` are chosen or let go, by the `data-pick` of their boxes."""

        def picked(args: Any) -> Awaitable[None] | None:
            named, checked = args if isinstance(args, list) and len(args) == 2 else ([], False)
            return on_pick([str(each) for each in named][:MAX_LIMIT] if isinstance(named, list) else [], bool(checked))

        element.on("change", self.heard(picked), js_handler=_ON_PICK)

    def chooses(self, element: ui.element, on_choose: Callable[[str, str], Awaitable[None] | None]) -> None:
        """Hear the name and the new value of a list to choose from in `element`."""
        heard = self.heard(lambda args: on_choose(str(args[0]), str(args[1])[:200]))
        element.on("change", heard, js_handler="(e) => { if (e.target.name) emit(e.target.name, e.target.value); }")

    def on_presence(self, element: ui.element, name: str, hear: Callable[[bool], Awaitable[None] | None]) -> None:
        """Hear whether the pointer or the focus is in `element`, when that changes (console.js)."""
        element.props(f'data-presence="{name}"')
        ui.on(name, self.heard(lambda args: hear(bool(args[0] if isinstance(args, list) and args else args))))

    def on_back(self, name: str, go: Callable[[str], Awaitable[None] | None]) -> None:
        """Hear the query of the address that one went back to, on a page that changes its address by itself."""
        ui.element("span").props(f'data-back="{name}" hidden')
        ui.on(name, self.heard(lambda args: go(str(args[0] if isinstance(args, list) and args else args or ""))))

    def search_box(self, label: str, value: str, on_search: Callable[[str], Awaitable[None] | None]) -> ui.element:
        """A field that is heard while one types, a third of a second after the last key."""
        field = ui.element("input").classes("rl-field").props('type="search" autocomplete="off"')
        field.props["aria-label"] = field.props["placeholder"] = label
        field.props["^value"] = value  # the attribute: as a property, each drawing would write it over what was typed
        heard = self.heard(lambda args: on_search(askable(str(args[0] if isinstance(args, list) else args)[:120])))
        return field.on("input", heard, js_handler=_ON_INPUT, throttle=0.35, leading_events=False)

    def explain(self, error: CloudError) -> Markup:
        """A note about what was refused and why; nothing was changed."""
        return refusals.explain(self.words, error)

    def keep_live(self, notice: Callable[[], Awaitable[None] | None]) -> None:
        """Call `notice` in this page whenever the shared poller has news, until the page is closed."""
        cookie = self.client.request.cookies.get(COOKIE, "")
        self.live.follow(self.client, cookie, self.principal.scope, notice)

    async def pulse(self) -> Pulse:
        """The newest pulse of this page's scope."""
        return await self.live.pulse(self.principal.scope)

    @property
    def here(self) -> str:
        """The address of the page, to come back to it."""
        url = self.client.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def now(self) -> datetime:
        """The cloud's present instant."""
        return self.cloud.clock()

    def heard(self, act: Callable[[Any], Awaitable[None] | None]) -> Callable[[GenericEventArguments], Awaitable[None]]:
        """A listener to an event of the page: what it refuses is explained there; it notes that somebody uses the session."""

        async def heard(event: GenericEventArguments) -> None:
            try:
                await self._note_use()
                result = act(event.args)
                if result is not None:
                    await result
            except Unauthenticated:
                ui.navigate.to("/sign-in")
            except CloudError as error:
                self._show(error)

        return heard

    async def _note_use(self) -> None:
        """Somebody pressed or typed something here."""
        if time.monotonic() - self.noted_at < sessions.NOTED_EVERY.total_seconds():
            return
        self.noted_at = time.monotonic()

        def noting() -> None:
            with self.cloud.reading() as session:
                by = self._now_signed_in(session, Role.VIEWER)
            self.cloud.note_use(by)

        await _in_thread(noting)

    def _show(self, error: CloudError) -> None:
        with self.client.content:
            shown = self.html(self.explain(error), classes="rl-problem")
        shown.move(target_index=0)
        ui.run_javascript("window.scrollTo({top: 0})")

    def _now_signed_in(self, session: Session, role: Role) -> Principal:
        request = self.client.request
        known = sessions.principal_of_session(session, request.cookies.get(COOKIE, ""), self.cloud.clock())
        return replace(check_role(known, role), address=address_of(request))


async def _in_thread(work: Callable[[], T]) -> T:
    return await to_thread.run_sync(work)


def _fields(args: Any) -> dict[str, str]:
    given = args[0] if isinstance(args, list) else args
    if not isinstance(given, dict):
        return {}
    return {str(name): str(value)[:10_000] for name, value in given.items() if isinstance(value, str)}
