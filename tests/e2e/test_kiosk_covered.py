"""A picture of the kiosk's page that leaves the machine shows nothing about a visitor: in a real Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from edge.kiosk.screen import Screen
from edge.kiosk.views import Touch
from tests.kiosk import PHONES, PIN, TALK, Stage, card, code, hash_pin, twin

PICTURES = Path(__file__).parents[2] / "var" / "kiosk-covered"
WITHIN_S = 10.0


@dataclass
class Kiosk:
    """A stage whose snapshots go to a real page."""

    stage: Stage
    screen: Screen
    page: Page

    def cover(self, *, on: bool) -> None:
        self.screen.cover(on=on)

    def is_covered(self, within_s: float) -> bool:
        return self.screen.is_covered(within_s)


@pytest.fixture
def kiosk(tmp_path: Path, browser: Browser) -> Iterator[Kiosk]:
    screen = Screen(0, lambda _: None)
    screen.start()
    page = browser.new_page(viewport={"width": 1080, "height": 1920})
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        stage.listeners.append(screen.show)
        screen.show(stage.snapshot)
        page.goto(f"http://127.0.0.1:{screen.port}/")
        expect(page.locator("body")).to_have_attribute("data-screen", "waiting")
        yield Kiosk(stage, screen, page)
    page.close()
    screen.stop()


def keep(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def test_result_of_a_visitor_is_out_of_sight_while_it_is_covered_and_back_afterwards(kiosk: Kiosk) -> None:
    kiosk.stage.see(code(card()))
    expect(kiosk.page.locator("body")).to_have_attribute("data-verdict", "yes")
    kiosk.cover(on=True)
    assert kiosk.is_covered(WITHIN_S)
    keep(kiosk.page, "result")
    said = kiosk.page.inner_text("main")
    assert ("签到成功" in said, "画面已遮盖" in said, "302" in said) == (False, True, True)
    kiosk.stage.see(code(card(2)))  # who comes meanwhile is covered too
    kiosk.stage.wait(0.5)
    expect(kiosk.page.locator("body")).not_to_have_attribute("data-verdict", "yes")
    kiosk.cover(on=False)
    expect(kiosk.page.locator("body")).to_have_attribute("data-verdict", "yes")


def test_digits_that_staff_are_typing_are_out_of_sight(kiosk: Kiosk) -> None:
    kiosk.stage.touch(Touch.NO_CODE)
    kiosk.stage.touch(Touch.STAFF)
    kiosk.stage.touch(Touch.PIN, PIN)
    expect(kiosk.page.locator("body")).to_have_attribute("data-screen", "number")
    for digit in "1234":
        kiosk.page.get_by_role("button", name=digit, exact=True).click()
    expect(kiosk.page.locator("output")).to_have_text("1234")
    kiosk.cover(on=True)
    assert kiosk.is_covered(WITHIN_S)
    assert kiosk.page.locator("output").count() == 0
    assert "1234" not in kiosk.page.content()


def test_what_is_about_nobody_stays_and_pictures_of_a_camera_would_not(kiosk: Kiosk) -> None:
    kiosk.cover(on=True)
    assert kiosk.is_covered(WITHIN_S)
    assert "请出示二维码" in kiosk.page.inner_text("main")
    kiosk.page.evaluate("""() => { for (const name of ["video", "canvas", "img"])
        document.body.append(Object.assign(document.createElement(name), { className: "probe" })); }""")
    hidden = "nodes => nodes.map((node) => getComputedStyle(node).visibility)"
    assert set(kiosk.page.locator(".probe").evaluate_all(hidden)) == {"hidden"}
    kiosk.cover(on=False)
    expect(kiosk.page.locator("body")).not_to_have_attribute("data-covered", "")
    assert set(kiosk.page.locator("body > .probe").evaluate_all(hidden)) == {"visible"}
