"""Which family a browser is of, by its User-Agent: enough for a person to know the own sign-ins again."""

from typing import Final

FAMILIES: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("MicroMessenger/", "WeChat"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""A mark in the User-Agent and the family; the first that is there counts, because later ones are also in the text of others."""


def family(user_agent: str) -> str:
    """`Firefox`; empty for what calls itself no browser, such as a program."""
    if not user_agent.startswith("Mozilla/"):
        return ""
    return next((name for mark, name in FAMILIES if mark in user_agent), "")
