"""What surrounds every page: top bar, main menu, skip link; and the one way to add a page.

A page is a coroutine that is given its `View` and fills the main part; what it raises as CloudError is explained there.
"""

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from nicegui import ui
from nicegui.client import Client

from cloud.accounts.service import Principal
from cloud.api import Cloud
from cloud.console import refusals
from cloud.console.live import Live
from cloud.console.markup import join, tag
from cloud.console.navigation import KEEP, PLACES, WATCH, Place
from cloud.console.preferences import Theme, preferences_of
from cloud.console.view import View
from cloud.console.widgets import button_link, link, note
from cloud.console.words import Words
from cloud.errors import CloudError, NotFound, Unauthenticated
from cloud.forms import askable

ASSETS = Path(__file__).parent / "assets"
Build = Callable[..., Awaitable[None]]


class Shell:
    """Adds pages to the console."""

    def __init__(self, cloud: Cloud, live: Live) -> None:
        self.cloud = cloud
        self.live = live

    def page(self, path: str, place: str) -> Callable[[Build], Build]:
        """Register a page at `path`, under the menu's `place`. Its parameters are those of the path and the query."""

        def decorate(build: Build) -> Build:
            @wraps(build)
            async def opened(client: Client, **parameters: Any) -> None:
                view = await self._view(client)
                nav = _surround(view, place)
                stale = view.html(slot="stale").props('role="status"')
                view.keep_live(lambda: _refresh(view, nav, stale, place))
                try:
                    await build(view, **_askable(parameters))
                except CloudError as error:
                    _explain(view, error, place)

            names = list(inspect.signature(build).parameters.values())[1:]
            first = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, annotation=Client)
            opened.__signature__ = inspect.Signature([*names, first])  # type: ignore[attr-defined]
            ui.page(path, response_timeout=20)(opened)
            return build

        return decorate

    async def _view(self, client: Client) -> View:
        request = client.request
        principal: Principal | None = request.state.principal
        if principal is None or not principal.by_session:
            raise Unauthenticated("The console needs a sign-in.", code="sign_in")
        preferences = preferences_of(request)
        own = copy.copy(client.page)  # the page is every browser's; language and theme are this one's
        own.language, own.dark = preferences.language.tag, preferences.theme.dark  # type: ignore[assignment]
        client.page = own
        frame = (await self.live.pulse(principal.scope)).frame
        words = Words(preferences.language, frame.zone)
        return View(self.cloud, self.live, client, principal, preferences, words, frame)


def _askable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What an address says, as a page may ask for it."""
    return {name: askable(value) if isinstance(value, str) else value for name, value in parameters.items()}


async def _refresh(view: View, nav: ui.html, stale: ui.html, place: str) -> None:
    view.frame = (await view.pulse()).frame
    nav.set_content(str(_menu(view, place)))
    lost, words = view.live.failing and view.live.read_at, view.words
    shown = note("cut", words("page.stale_title"), words("page.stale", time=words.clock(lost))) if lost else ""
    stale.set_content(str(shown))


def title(view: View, text: str) -> None:
    """The window's title."""
    view.client.title = f"{text} · Roomlink"


def head(view: View, text: str, *, above: Markup | None = None, before: Markup | None = None, count: str | None = None,
         beside: Markup | None = None) -> Markup:  # fmt: skip
    """A page's heading: where it belongs, its name, and what can be done. Also sets the window's title."""
    title(view, text)
    counted = tag("span", " ", count, class_="q", style="font-weight:400") if count is not None else None
    name = tag("h1", before, " " if before else None, text, counted, class_="t5")
    left = tag("div", tag("p", above, class_="q") if above else None, name)
    return tag("div", left, tag("div", beside, class_="rl-row rl-push") if beside else None, class_="rl-row rl-head")


def _surround(view: View, place: str) -> ui.html:
    """Lay header and menu around the page; gives the menu, which counts."""
    client = view.client
    client.layout.classes("rl-shell")
    client.content.classes("rl-content")
    slot = client.content.parent_slot
    assert slot is not None  # noqa: S101
    main = slot.parent.classes("rl-main")
    with client.layout:
        skip = view.html(link(f"#{main.html_id}", view.words("nav.skip")), classes="rl-skip")
        top = view.html(_top_bar(view), tag="header", classes="rl-top")
        nav = view.html(_menu(view, place), tag="nav", classes="rl-nav")
    nav.props["id"] = "nav"
    nav.props["aria-label"] = view.words("nav.label")
    for index, element in enumerate((skip, top, nav)):
        element.move(target_index=index)
    title(view, view.words(f"nav.{place}"))
    return nav


def search_field(words: Words, hint: str, **more: str) -> Markup:
    """What is looked for in the whole console; its form leads to `/search`."""
    return tag("input", type="search", name="q", class_="rl-field", autocomplete="off", maxlength=120,
               aria_label=words("nav.search"), placeholder=hint, **more)  # fmt: skip


def _top_bar(view: View) -> Markup:
    words, here = view.words, quote(view.here)
    other = view.preferences.language.other
    search = tag(
        "form",
        search_field(words, words("nav.search_hint"), id="search"),
        action="/search", role="search", class_="rl-push lo",
    )  # fmt: skip
    return join(
        tag("a", tag("i", class_="rl-i", aria_hidden="true"), "Roomlink", href="/", class_="rl-mark t3"),
        tag("span", words.either(view.frame.organisation, view.frame.organisation_en), class_="q lo cut"),
        search,
        link(f"/language/{other}?next={here}", words("nav.other_language"), class_="lo", lang=other.tag),
        _account(view, here, "lo"),
        _waiting(view),
        tag("button", words("nav.menu"), type="button", class_="rl-btn thin", id="menu", aria_expanded="false",
            aria_controls="nav"),
    )  # fmt: skip


def _waiting(view: View) -> Markup:
    """On a narrow screen, where the menu is closed: what somebody should look at."""
    frame, words = view.frame, view.words
    if frame.alarms:
        return link("/alarms", words("nav.alarms_active", n=frame.alarms), class_="thin rl-push")
    if frame.quarantined:
        return link("/quarantine", words("nav.waiting", n=frame.quarantined), class_="thin rl-push")
    return tag("span", class_="thin rl-push")


def _account(view: View, here: str, class_: str) -> Markup:
    """Name, theme and sign-out, behind one button."""
    words = view.words
    role = words(f"role.{view.principal.role}")
    themes = [
        tag("a", words(f"theme.{each}"), href=f"/theme/{each}?next={here}", class_="rl-btn",
            aria_current="true" if each is view.preferences.theme else None)
        for each in Theme
    ]  # fmt: skip
    out = tag(
        "form", tag("button", words("nav.sign_out"), class_="rl-btn"), method="post", action="/sign-out"
    )  # fmt: skip
    menu = tag("div", tag("p", words("theme.title"), class_="q t1"), tag("div", themes, class_="rl-row"), out,
               class_="rl-menu")  # fmt: skip
    return tag("details", tag("summary", f"{view.principal.name} · {role}"), menu, class_=f"rl-account {class_}")


def _menu(view: View, place: str) -> Markup:
    words = view.words
    here = quote(view.here)
    other = view.preferences.language.other

    def entry(to: Place) -> Markup | None:
        if not view.may(to.role, whole=to.whole):
            return None
        count = {"quarantine": view.frame.quarantined, "alarms": view.frame.alarms}.get(to.name, 0)
        mark = tag("b", words.number(count)) if count else None
        current = "page" if to.name == place else None
        return tag("a", words(f"nav.{to.name}"), mark, href=to.path, aria_current=current)

    search = tag(
        "form",
        search_field(words, words("nav.search")),
        action="/search", class_="thin",
    )  # fmt: skip
    language = tag("a", words("nav.other_language"), href=f"/language/{other}?next={here}", lang=other.tag,
                   class_="thin")  # fmt: skip
    line = tag("hr")
    return join(search, map(entry, PLACES), line, map(entry, WATCH), line, map(entry, KEEP), tag("hr", class_="thin"),
                language, tag("div", _account(view, here, ""), class_="thin"))  # fmt: skip


def _explain(view: View, error: CloudError, place: str) -> None:
    """The refusal in the page's place, and ways on: the list that it belongs to, and the overview."""
    words = view.words
    view.client.status_code = error.status
    view.client.content.clear()
    with view.client.content:
        lists = [each for each in (*PLACES[1:], *WATCH, *KEEP) if each.name == place and isinstance(error, NotFound)]
        back = [button_link(each.path, words("nav.back_to", place=words(f"nav.{each.name}"))) for each in lists]
        back.append(button_link("/", words("nav.back_to_overview")))
        view.html(head(view, refusals.title(view.words, error)))
        view.html(
            tag("p", refusals.why(view.words, error), role="alert")
            + tag("p", back, class_="rl-row", style="padding-top:16px")
        )
