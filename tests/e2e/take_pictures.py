"""`python -m tests.e2e.take_pictures FOLDER`: the pictures of the READMEs, from the real pages with made-up people.

Called by `make pictures`. Starts everything, lets people come to simulated kiosks, and shows a card to the real one.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cloud.console.words import Language
from demo.world import Card
from tests.e2e.chromium import chromium
from tests.e2e.console_stack import browsing
from tests.e2e.whole_stack import ON_NOW, Whole, running_whole
from tests.process import wait_until

MAX_BYTES: Final = 200_000
CONSOLE: Final = (1440, 1000)
KIOSK: Final = (1080, 1920)
KIOSK_SHOWN_WIDTH: Final = 480
ROWS: Final = 12
WITHIN_MS: Final = 30_000


def take_pictures(folder: Path) -> None:
    """Write overview, waiting kiosk and green kiosk in both languages; each less than 200 kB."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="roomlink-pictures-") as parts,
        running_whole(Path(parts), simulated=4, members=24) as whole,
        chromium() as browser,
    ):
        for language, card in zip(Language, whole.kept.world.cards, strict=False):
            _take_kiosk(browser, whole, language, card, folder)
        if not wait_until(lambda: _check_ins(whole) >= ROWS, within_s=90, every_s=0.5):
            raise TimeoutError(f"only {_check_ins(whole)} check-ins came")
        for language in Language:
            _take_overview(browser, whole, language, folder)


def _take_kiosk(browser: Browser, whole: Whole, language: Language, card: Card, folder: Path) -> None:
    whole.speak(language)
    page = browser.new_page(viewport={"width": KIOSK[0], "height": KIOSK[1]}, reduced_motion="reduce")
    page.goto(whole.kiosk_url)
    expect(page.locator(f"html[lang^={language}] body[data-screen=waiting] .rl-k")).to_contain_text(
        ON_NOW[0], timeout=WITHIN_MS
    )
    expect(page.locator(".rl-k-state[data-s=online]")).to_be_visible(timeout=WITHIN_MS)
    _save(page, folder / f"kiosk-waiting.{language}.png", KIOSK_SHOWN_WIDTH)
    picture = whole.client.get(f"/api/v1/credentials/{card.credential_id}/card.png").raise_for_status()
    whole.hold(picture.content)
    expect(page.locator("body[data-verdict=yes]")).to_be_visible(timeout=WITHIN_MS)
    _save(page, folder / f"kiosk-green.{language}.png", KIOSK_SHOWN_WIDTH)
    whole.take_away()
    expect(page.locator("body[data-screen=waiting]")).to_be_visible(timeout=WITHIN_MS)
    page.close()


def _take_overview(browser: Browser, whole: Whole, language: Language, folder: Path) -> None:
    with browsing(browser, whole.console_url, locale=language.tag) as visitor:
        visitor.page.set_viewport_size({"width": CONSOLE[0], "height": CONSOLE[1]})
        visitor.page.goto(whole.console_url)
        visitor.sign_in(whole.operator, whole.password)
        page = visitor.go("/")
        expect(page.locator("[data-slot=board] tbody tr").nth(ROWS - 2)).to_be_visible(timeout=WITHIN_MS)
        _save(page, folder / f"overview.{language}.png", CONSOLE[0])


def _check_ins(whole: Whole) -> int:
    return len(whole.client.get("/api/v1/check-ins", params={"limit": 50}).raise_for_status().json()["items"])


def _save(page: Page, path: Path, width: int) -> None:
    """256 colours: a third of the size. The rare ones are kept, and k-means keeps the ground's own colour."""
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as taken:
        height = taken.height * width // taken.width
        shown = taken.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    few = shown.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    if size >= MAX_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, at most {MAX_BYTES}")
    print(f"{path}: {size} bytes")


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
