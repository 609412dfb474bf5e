"""What a browser prefers: language and theme, each in a cookie that a link sets.

Without a cookie the language is the browser's and the theme the system's.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import RedirectResponse
from starlette.requests import HTTPConnection

from cloud.console.words import Language

LANGUAGE_COOKIE = "roomlink_language"
THEME_COOKIE = "roomlink_theme"
YEAR_S = 365 * 24 * 3600


class Theme(StrEnum):
    """Light, dark, or as the system is."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"

    @property
    def dark(self) -> bool | None:
        """NiceGUI's word for it; None follows the system."""
        return None if self is Theme.AUTO else self is Theme.DARK


@dataclass(frozen=True)
class Preferences:
    """How one browser wants its pages."""

    language: Language
    theme: Theme


def preferences_of(request: HTTPConnection) -> Preferences:
    """From the cookies, else from the browser's list of languages."""
    asked = request.cookies.get(LANGUAGE_COOKIE, "")
    language = Language(asked) if asked in set(Language) else _browsers(request.headers.get("accept-language", ""))
    theme = request.cookies.get(THEME_COOKIE, "")
    return Preferences(language, Theme(theme) if theme in set(Theme) else Theme.AUTO)


def _browsers(accepted: str) -> Language:
    for each in accepted.split(",")[:20]:
        tag = each.split(";")[0].strip().lower()
        if tag.startswith(("zh", "en")):
            return Language(tag[:2])
    return Language.CHINESE


def local_path(path: str) -> str:
    """`path` when it leads to a page of ours, else the overview: no redirection to another site."""
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith(("//", "/\\")):
        return "/"
    return path


def preference_routes() -> APIRouter:
    """`/language/en` and `/theme/dark`: set the cookie, go back to `next`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/language/{language}")
    def choose_language(language: Language, next: str = "/") -> RedirectResponse:  # noqa: A002
        return _remembered(LANGUAGE_COOKIE, language, next)

    @routes.get("/theme/{theme}")
    def choose_theme(theme: Theme, next: str = "/") -> RedirectResponse:  # noqa: A002
        return _remembered(THEME_COOKIE, theme, next)

    return routes


def _remembered(cookie: str, value: str, next_path: str) -> RedirectResponse:
    answer = RedirectResponse(local_path(next_path), 303)
    answer.set_cookie(cookie, value, max_age=YEAR_S, samesite="lax", httponly=True)
    return answer
