"""The kiosk's page in a real Chromium: every state in both orientations, touches, sounds, and an agent that goes away."""

import copy
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import segno
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from edge.clock import Clock
from edge.kiosk.app import KioskApp
from edge.kiosk.screen import Screen
from edge.outbox import Outbox
from edge.settings import Broker, KioskSettings, Settings
from firmware_specs.messages import CheckIn, Desired
from firmware_specs.wire import decode_record
from tests.e2e.chromium import axe_faults, layout_faults
from tests.e2e.kiosk_states import STATES
from tests.kiosk import PHONES, PIN, TALK, HandTwin, Stage, card, code, hash_pin, occurrence, twin

SIZES = {"portrait": (1080, 1920), "landscape": (1920, 1080)}
WATCH_SOUNDS = """
  window.sounds = [];
  window.AudioContext = class { state = "running"; currentTime = 0; destination = {}; };
  window.OscillatorNode = class { constructor(_, { frequency }) { sounds.push(frequency); }
    connect(next) { return next; } start() {} stop() {} };
  const ramp = { setValueAtTime() {}, linearRampToValueAtTime() {} };
  window.GainNode = class { gain = ramp; connect(next) { return next; } };
"""


class Shown:
    """A page and what its console complained about."""

    def __init__(self, browser: Browser, size: tuple[int, int] = SIZES["portrait"]) -> None:
        self.page: Page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.upright = size[1] > size[0]
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, url: str) -> Page:
        self.page.goto(url)
        return self.page


def in_real_time(stage: Stage, screen: Screen) -> Callable[[dict[str, Any]], None]:
    """Shows a stage's snapshots with deadlines by the clock that the page reads."""

    def show(snapshot: dict[str, Any]) -> None:
        moved = copy.deepcopy(snapshot)
        if moved["view"]["deadline_ms"] is not None:
            moved["view"]["deadline_ms"] += round((time.monotonic() - stage.now_s) * 1000)
        screen.show(moved)

    return show


@pytest.fixture(scope="module", params=sorted(SIZES))
def oriented(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Shown]:
    shown = Shown(browser, SIZES[request.param])
    yield shown
    shown.page.close()


@pytest.mark.parametrize("lead", STATES, ids=lambda lead: lead.__name__)
def test_state_fits_the_screen_and_axe_finds_nothing(
    oriented: Shown, lead: Callable[[Stage], None], tmp_path: Path
) -> None:
    screen = Screen(0, lambda _: None)
    screen.start()
    try:
        with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
            lead(stage)
            in_real_time(stage, screen)(stage.snapshot)
            page = oriented.open(f"http://127.0.0.1:{screen.port}/")
            expect(page.locator(f"body[data-screen={stage.view['screen']}]")).to_be_visible()
            title = page.locator("h1")
            expect(title).to_contain_text(stage.view["title"]["zh"])
            expect(title).to_contain_text(stage.view["title"]["en"])
            assert layout_faults(page, text_px=30, touch_px=120, apart_px=24, lowest_px=600) == []
            if oriented.upright:  # words, roles and colours are the same lying
                assert axe_faults(page, enhanced=True) == []
            assert oriented.complaints == []
    finally:
        oriented.page.goto("about:blank")
        screen.stop()


def test_measures_of_the_layout_can_fail(browser: Browser, tmp_path: Path) -> None:
    screen = Screen(0, lambda _: None)
    screen.start()
    try:
        with Stage(tmp_path, twin(TALK, PHONES)) as stage:
            screen.show(stage.snapshot)
            page = Shown(browser).open(f"http://127.0.0.1:{screen.port}/")
            title(page, "请出示二维码")
            page.evaluate("""() => {
              const set = (where, name, value) => document.querySelector(where).style.setProperty(name, value);
              set(".rl-btn", "height", "60px"); set(".rl-btn", "min-height", "0");
              set(".rl-k-acts", "gap", "4px"); set("h1", "font-size", "320px");
              set(".rl-k-state", "font-size", "12px"); set(".rl-clock", "margin-top", "200px");
              set("main > nav", "translate", "0 -700px");
            }""")
            found = layout_faults(page, text_px=30, touch_px=120, apart_px=24, lowest_px=600)
            kinds = {fault.split()[0].rstrip(":") for fault in found}
            assert {"touch", "close", "small", "outside", "overlap", "too"} <= kinds
            page.close()
    finally:
        screen.stop()


# --- a whole kiosk ----------------------------------------------------------------------------------------------------


class Kiosk:
    """A kiosk as the agent runs it; its camera looks at a folder of pictures."""

    def __init__(self, folder: Path, desired: Desired | None) -> None:
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        Image.new("L", (1280, 720), 190).save(self.pictures / "empty-room.png")
        self.outbox = Outbox.open(folder / "outbox.db", terminal="kiosk-302-a")
        self.twin = HandTwin(desired)
        self.connected = True
        self.settings = Settings(
            terminal="kiosk-302-a",
            data_dir=folder,
            broker=Broker(host="127.0.0.1"),
            kiosk=KioskSettings(camera=str(self.pictures), page_port=0),
        )
        self.app = self.new_app()

    def new_app(self, port: int = 0) -> KioskApp:
        kiosk = KioskSettings(camera=str(self.pictures), page_port=port)
        settings = self.settings.model_copy(update={"kiosk": kiosk})
        return KioskApp(self.outbox, self.twin, lambda: self, Clock(trusted=True), settings)

    def show_card(self, text: str) -> None:
        hidden = self.pictures / ".card"
        segno.make(text, error="m").save(str(hidden), kind="png", scale=6, border=8)
        hidden.rename(self.pictures / "card.png")

    def check_ins(self) -> list[CheckIn]:
        outgoing = self.outbox.next_batch(200, 64 * 1024)
        lines = outgoing.payload.splitlines()[1:] if outgoing else []
        return [record for record in map(decode_record, lines) if isinstance(record, CheckIn)]


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    talk = occurrence("talk", "健康讲座：冬季用药安全", "Health talk: using medicines safely", soon, 1.5)
    kiosk = Kiosk(tmp_path, twin(talk, pin_hash=hash_pin()))
    kiosk.app.start()
    yield kiosk
    kiosk.app.stop()
    kiosk.outbox.close()


@pytest.fixture
def page(browser: Browser, kiosk: Kiosk) -> Iterator[Page]:
    shown = Shown(browser)
    shown.page.add_init_script(WATCH_SOUNDS)
    yield shown.open(kiosk.app.url)
    complaints = [c for c in shown.complaints if "ERR_CONNECTION" not in c and "WebSocket" not in c]
    shown.page.close()
    assert complaints == []


def title(page: Page, words: str) -> None:
    expect(page.locator("h1")).to_contain_text(words, timeout=10_000)


def press(page: Page, *labels: str) -> None:
    for label in labels:
        page.get_by_role("button", name=label).click()


def type_digits(page: Page, digits: str) -> None:
    for digit in digits:
        page.get_by_role("button", name=digit, exact=True).click()


def test_card_shown_to_the_camera_turns_the_page_green(kiosk: Kiosk, page: Page) -> None:
    title(page, "请出示二维码")
    now = datetime.now(UTC)
    claims = card(1)
    kiosk.show_card(code(claims))
    title(page, "签到成功")
    assert page.locator("body").get_attribute("data-verdict") == "yes"
    assert page.get_by_role("alert").inner_text().splitlines()[:2] == ["签到成功", "Checked in"]
    assert page.evaluate("sounds") == [660, 880]
    assert [record.at >= now.timestamp() * 1e6 for record in kiosk.check_ins()] == [True]
    timing = kiosk.app.timings()[0]
    assert timing.captured_mono_s <= timing.decided_mono_s <= timing.stored_mono_s <= timing.shown_mono_s
    (kiosk.pictures / "card.png").unlink()
    title(page, "请出示二维码")
    assert kiosk.app.pages == 1


def test_guest_is_two_touches_away(kiosk: Kiosk, page: Page) -> None:
    press(page, "没有二维码", "以访客签到")
    title(page, "访客已登记")
    assert [record.method for record in kiosk.check_ins()] == ["guest"]


def test_staff_types_pin_and_number_by_touch(kiosk: Kiosk, page: Page) -> None:
    press(page, "没有二维码", "工作人员代签")
    title(page, "工作人员 PIN")
    confirm = page.get_by_role("button", name="确定")
    expect(confirm).to_be_disabled()
    type_digits(page, "0000")
    expect(page.locator(".rl-k-typed")).to_have_text("●●●●")
    press(page, "确定")
    expect(page.get_by_text("PIN 不对，还可以试 4 次。")).to_be_visible()
    type_digits(page, PIN + "9")
    press(page, "删除", "确定")
    title(page, "输入卡号")
    number = f"{int(card(7).id, 16):012d}"
    type_digits(page, number)
    expect(page.locator(".rl-k-typed")).to_have_text(f"{number[:4]} {number[4:8]} {number[8:]}")
    press(page, "确定")
    title(page, "代签成功")
    assert [record.method for record in kiosk.check_ins()] == ["staff"]


def test_keypad_works_from_a_keyboard_and_keeps_a_wrong_number_for_correction(kiosk: Kiosk, page: Page) -> None:
    press(page, "没有二维码", "工作人员代签")
    title(page, "工作人员 PIN")
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    title(page, "输入卡号")
    page.keyboard.type("123456789012")
    page.keyboard.press("Enter")
    expect(page.get_by_text("卡号不对，请再核对一次。")).to_be_visible()
    expect(page.locator(".rl-k-typed")).to_have_text("1234 5678 9012")
    page.keyboard.press("Backspace")
    expect(page.locator(".rl-k-typed")).to_have_text("1234 5678 901")
    page.keyboard.press("Escape")
    title(page, "请出示二维码")
    assert kiosk.check_ins() == []


def test_digits_of_the_one_before_are_gone_for_the_next(kiosk: Kiosk, page: Page) -> None:
    press(page, "没有二维码", "工作人员代签")
    title(page, "工作人员 PIN")
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    title(page, "输入卡号")
    page.keyboard.type(f"{int(card(1).id, 16):012d}")
    page.keyboard.press("Enter")
    title(page, "代签成功")
    press(page, "再签一位")
    title(page, "输入卡号")
    expect(page.locator(".rl-k-typed")).to_have_text("")
    assert len(kiosk.check_ins()) == 1


def test_touch_beside_the_buttons_gives_more_time(page: Page) -> None:
    press(page, "请工作人员帮忙")
    title(page, "已请工作人员")
    page.mouse.click(540, 60)
    expect(page.locator(".rl-k-back p")).to_contain_text("Back in 2", timeout=3000)


def test_page_says_when_the_agent_is_gone_and_comes_back_by_itself(kiosk: Kiosk, page: Page) -> None:
    title(page, "请出示二维码")
    port = int(kiosk.app.url.rstrip("/").rpartition(":")[2])
    kiosk.app.stop()
    title(page, "本机正在启动")
    assert page.locator("body").get_attribute("data-verdict") == "stop"
    assert layout_faults(page, text_px=30, touch_px=120, apart_px=24) == []
    assert axe_faults(page, enhanced=True) == []
    kiosk.app = kiosk.new_app(port)
    kiosk.app.start()
    title(page, "请出示二维码")
    assert page.evaluate("sounds") == []


def test_two_pages_show_the_same(browser: Browser, kiosk: Kiosk, page: Page) -> None:
    second = Shown(browser, SIZES["landscape"])
    other = second.open(kiosk.app.url)
    title(other, "请出示二维码")
    press(page, "没有二维码")
    title(other, "没有二维码")
    other.close()


def test_kiosk_without_a_camera_serves_guests(browser: Browser, tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, None)
    blind = kiosk.settings.model_copy(update={"kiosk": KioskSettings(camera="", page_port=0)})
    kiosk.app = KioskApp(kiosk.outbox, kiosk.twin, lambda: kiosk, Clock(trusted=True), blind)
    kiosk.app.start()
    try:
        page = Shown(browser).open(kiosk.app.url)
        title(page, "请按下面按钮")
        expect(page.get_by_text("摄像头没有画面")).to_have_count(0)
        press(page, "没有二维码", "以访客签到")
        title(page, "访客已登记")
        page.close()
    finally:
        kiosk.app.stop()
        kiosk.outbox.close()
