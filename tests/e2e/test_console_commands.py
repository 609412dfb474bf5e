"""Commands in the console: for one with its arguments, for many with progress, called back; what a terminal sent in is shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from cloud.commands.models import Bulk, Command
from cloud.database import transaction
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, running_stack, visiting
from tests.e2e.console_town import BULK, send_commands
from tests.e2e.pictures import keeper

keep = keeper("commands")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("commands")) as stack:
        send_commands(stack.town)
        yield stack


def asked(stack: Stack, name: str) -> list[Command]:
    with transaction(stack.town.engine, read_only=True) as session:
        return list(session.scalars(select(Command).where(Command.name == name).order_by(Command.terminal_id)))


@pytest.mark.parametrize(
    ("language", "theme", "width"),
    [("en", "light", 1440), ("zh", "dark", 1440), ("zh", "light", 390), ("en", "dark", 390)],
)
def test_pages_are_as_drawn_at_every_width(
    stack: Stack, browser: Browser, language: str, theme: str, width: int
) -> None:
    with visiting(browser, stack.url, language=language, theme=theme, width=width) as visitor:
        for name, path in (
            ("list", "/commands"),
            ("bulk", f"/commands/{BULK}"),
            ("terminal", "/terminals/kiosk-302-a"),
        ):
            page = visitor.go(path)
            page.wait_for_load_state("networkidle")
            keep(page, f"{name}-{language}-{theme}-{width}")
            assert axe_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("language", "size", "well", "not_well"),
    [("en", "size 28 KiB", "OK", "not OK"), ("zh", "大小28 KiB", "正常", "不正常")],
)
def test_what_terminals_found_is_said_in_the_language_of_the_page(
    stack: Stack, browser: Browser, language: str, size: str, well: str, not_well: str
) -> None:
    with visiting(browser, stack.url, language=language) as visitor:
        page = visitor.go("/terminals/kiosk-302-a")
        found = page.locator("[data-slot=commands] li")
        expect(found.filter(has_text="KiB").first).to_be_visible()
        said = found.all_inner_texts()
        assert size in {"".join(each.replace(":", "").replace("：", "").split("  ")) for each in said}, said
        assert any(well in each and each.endswith("12 MB free") for each in said), said
        assert any(not_well in each and each.endswith("never set") for each in said), said
        assert not any("ok:" in each or "NOT WELL" in each for each in said), said


def test_volume_is_asked_for_in_the_dialog_and_sent(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.go("/terminals/kiosk-302-a")
        page.locator("[data-slot=commands]").get_by_role("button", name="More…").click()
        expect(page.get_by_label("Volume (0 to 100)")).to_be_hidden()
        page.locator("[name=name]").select_option("set_volume")
        page.get_by_label("Volume (0 to 100)").fill("35")
        keep(page, "dialog-en")
        assert axe_faults(page) == []
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("[data-slot=commands]")).to_contain_text("Set volume")
    assert [each.arguments for each in asked(stack, "set_volume")] == [{"volume": 35}]


def test_many_are_sent_one_command_after_a_second_question_and_called_back(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, language="zh") as visitor:
        page = visitor.go("/commands")
        page.get_by_role("button", name="给多台下命令…").click()
        page.locator("[name=kind]").select_option("kiosk")
        keep(page, "which-zh")
        page.get_by_role("button", name="选择命令").click()
        expect(page.get_by_role("dialog")).to_contain_text("给 4 台终端下命令")
        page.locator("[name=name]").select_option("restart_agent")
        page.get_by_role("button", name="下命令", exact=True).click()
        keep(page, "sure-zh")
        assert asked(stack, "restart_agent") == []
        page.get_by_role("button", name="给 4 台终端下命令").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("重启程序")
        assert page.url == f"{stack.url}/commands/{newest(stack)}"
        expect(page.locator("[data-slot=progress]")).to_contain_text("4 台中 0 台已结束")
        page.get_by_role("button", name="取消还在排队的 4 个").click()
        page.get_by_role("button", name="取消它们").click()
        expect(page.locator("[data-slot=progress]")).to_contain_text("4 台中 4 台已结束")
    assert {each.state for each in asked(stack, "restart_agent")} == {"cancelled"}


def newest(stack: Stack) -> str:
    with transaction(stack.town.engine, read_only=True) as session:
        return session.scalars(select(Bulk.id).order_by(Bulk.asked_at.desc()).limit(1)).one()


def test_nobody_to_send_to_is_said_before_anything_is_sent(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.go("/commands")
        page.get_by_role("button", name="Send to many…").click()
        page.locator("[name=kind]").select_option("tv")
        page.get_by_role("button", name="Choose the command").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("No enabled terminal is so")


def test_what_a_terminal_sent_in_is_shown_to_operators_and_not_to_viewers(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.go("/terminals/kiosk-302-a")
        shot = page.locator("[data-slot=uploads] img")
        expect(shot).to_be_visible()
        assert shot.evaluate("image => image.decode().then(() => image.naturalWidth)") == 540
        with page.expect_download() as download:
            page.locator("[data-slot=uploads] a[download]").click()
        assert Path(download.value.path()).read_bytes().startswith(b"a line\n")
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go("/terminals/kiosk-302-a")
        expect(page.locator("[data-slot=uploads] img")).to_have_count(0)
        expect(visitor.go("/commands").get_by_role("button", name="Send to many…")).to_have_count(0)
