"""Signing in and out by plain forms: works before any script has loaded, and gives the session's cookie.

The gate has checked the Origin of what is posted here.
"""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from cloud.accounts import service as accounts
from cloud.accounts import sessions
from cloud.api import Cloud
from cloud.console.markup import tag
from cloud.console.preferences import Preferences, local_path, preferences_of
from cloud.console.widgets import link, note
from cloud.console.words import Words
from cloud.errors import TooOften
from cloud.forms import askable
from cloud.guard import COOKIE, origin_of, set_session

MAX_NAME = 120


def sign_in_routes(cloud: Cloud, head_html: str) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/sign-in")
    def show(request: Request, next: str = "/") -> Response:  # noqa: A002
        return _page(preferences_of(request), head_html, local_path(next))

    @routes.post("/sign-in")
    def sign_in(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",  # noqa: A002
    ) -> Response:
        preferences, wanted = preferences_of(request), local_path(next)
        try:
            secret = cloud.sign_in(askable(name[:MAX_NAME]), password[: accounts.MAX_PASSWORD], origin_of(request))
        except TooOften:
            return _page(preferences, head_html, wanted, name[:MAX_NAME], "sign_in.too_often", 429)
        if secret is None:
            return _page(preferences, head_html, wanted, name[:MAX_NAME], "sign_in.wrong", 401)
        answer = RedirectResponse(wanted, 303)
        set_session(answer, secret, cloud.session_limits.whole, cloud.settings.public_url)
        return answer

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await run_in_threadpool(_end, cloud, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE)
        return answer

    return routes


def _end(cloud: Cloud, secret: str) -> None:
    with cloud.writing() as session:
        sessions.sign_out(session, secret)


def _page(
    preferences: Preferences,
    head_html: str,
    next_path: str,
    name: str = "",
    problem: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    words = Words(preferences.language, ZoneInfo("UTC"))
    says = note("bad", words(f"{problem}_title"), words(problem), role="alert") if problem else None
    mark = tag("p", tag("span", tag("i", class_="rl-i", aria_hidden="true"), "Roomlink", class_="rl-mark t4"))
    form = tag(
        "form",
        tag("h1", words("sign_in.title"), class_="t5"),
        says,
        tag("label", words("sign_in.name"), tag("input", name="name", value=name, class_="rl-field", required=True,
            autocomplete="username", autofocus=True, maxlength=MAX_NAME)),
        tag("label", words("sign_in.password"), tag("input", name="password", type="password", class_="rl-field",
            required=True, autocomplete="current-password", maxlength=accounts.MAX_PASSWORD)),
        tag("input", type="hidden", name="next", value=next_path),
        tag("button", words("sign_in.enter"), class_="rl-btn", data_kind="main"),
        method="post", action="/sign-in", class_="rl-form",
    )  # fmt: skip
    main = tag("main", mark, form, _switch(preferences, words), class_="rl-sign-in")
    head = (
        tag("meta", charset="utf-8")
        + tag("meta", name="viewport", content="width=device-width, initial-scale=1")
        + tag("title", f"{words('sign_in.title')} · Roomlink")
        + tag("link", rel="icon", href="/assets/favicon.svg")
        + Markup(head_html)  # noqa: S704  - ours
    )
    document = tag("html", tag("head", head), tag("body", main, data_theme=preferences.theme),
                   lang=preferences.language.tag, data_view="near")  # fmt: skip
    return HTMLResponse(f"<!doctype html>{document}", status, headers={"Cache-Control": "no-store"})


def _switch(preferences: Preferences, words: Words) -> Markup:
    other = preferences.language.other
    return tag(
        "p",
        link(f"/language/{other}?next=/sign-in", words("nav.other_language"), lang=other.tag),
        tag("span", words("sign_in.help"), class_="q t1"),
        class_="rl-row",
    )
