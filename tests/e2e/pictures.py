"""Pictures of pages, for people to look at: each test's in a folder of its own below `var/`, written anew by every run."""

from collections.abc import Callable

from playwright.sync_api import Page

from tests.process import ROOT

Keep = Callable[[Page, str], None]


def keeper(folder: str) -> Keep:
    """What writes a whole page as `var/<folder>/<name>.png`."""
    pictures = ROOT / "var" / folder

    def keep(page: Page, name: str) -> None:
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=pictures / f"{name}.png", full_page=True)

    return keep
