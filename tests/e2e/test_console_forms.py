"""What an operator or an admin can change in the console, from the button to the audit."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cloud.accounts import service as accounts
from cloud.audit import service as audit
from cloud.audit.service import Change
from cloud.database import transaction
from cloud.members import service as members
from cloud.members.service import MemberForm
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from cloud.terminals import service as terminals
from tests.e2e.chromium import axe_faults
from tests.e2e.console_stack import Stack, Visitor, running_stack, visiting
from tests.e2e.console_town import PASSWORD


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("forms")) as stack:
        yield stack


@pytest.fixture
def admin(stack: Stack, browser: Browser) -> Iterator[Visitor]:
    with visiting(browser, stack.url, name="admin") as visitor:
        yield visitor


def opened(page: Page, button: str, within: str = "body") -> Locator:
    """The dialog behind a button."""
    page.locator(within).get_by_role("button", name=button, exact=True).first.click()
    return page.get_by_role("dialog")


def confirm(page: Page) -> None:
    """The password, which is asked for again over the form."""
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")


def written(stack: Stack, action: str) -> list[str]:
    """Who did this, newest first, as the audit says."""
    with transaction(stack.town.engine, read_only=True) as session:
        return [each.who for each in audit.entries(session, Paging(200)).rows if each.action == action]


def test_an_organisation_is_added_below_another_and_renamed(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/organisations")
    rows = page.locator("[data-slot=list] tbody tr")
    expect(rows).to_have_count(2)
    dialog = opened(page, "Add below", "[data-slot=list] tbody tr:first-child")
    dialog.locator("[name=name]").fill("新样例社区")
    dialog.locator("[name=name_en]").fill("New Sample")
    dialog.locator("[name=name_en]").press("Enter")
    expect(rows).to_have_count(3)
    dialog = opened(page, "Edit", "[data-slot=list] tbody tr:nth-child(2)")
    dialog.locator("[name=name_en]").fill("Renamed Sample")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("[data-slot=list]")).to_contain_text("Renamed Sample")
    assert written(stack, "organisation.edit")[0] == "admin"


def test_a_room_is_edited_and_a_number_that_is_taken_is_refused_in_chinese(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, language="zh") as visitor:
        page = visitor.go("/rooms")
        dialog = opened(page, "编辑", "[data-slot=list] tbody tr:first-child")
        dialog.locator("[name=number]").fill("302")
        dialog.get_by_role("button", name="保存").click()
        expect(dialog.get_by_role("alert")).to_contain_text("这个组织已有房间 302。")
        dialog.locator("[name=number]").fill("106")
        dialog.get_by_role("button", name="保存").click()
        expect(page.locator("[data-slot=list]")).to_contain_text("106")
    assert written(stack, "room.edit")[0] == "operator"


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused_in_words(stack: Stack, admin: Visitor) -> None:
    member_id = stack.town.members[2]
    page = admin.go(f"/members/{member_id}")
    dialog = opened(page, "Edit")
    form = MemberForm(organisation_id=stack.town.organisation_id, display_name="Somebody Else", external_id="T003")
    with transaction(stack.town.engine) as session:
        members.edit(session, Change("another", datetime.now(UTC)), EVERYWHERE, member_id, 1, form)
    dialog.locator("[name=display_name]").fill("Mine")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Somebody changed it in the meantime")
    page.keyboard.press("Escape")
    page = admin.go(f"/members/{member_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Somebody Else")
    dialog = opened(page, "Edit")
    dialog.locator("[name=display_name]").fill("Test Renamed")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test Renamed")


def test_an_activity_repeats_in_plain_words_for_chosen_organisations(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/activities")
    dialog = opened(page, "Add an activity")
    dialog.locator("[name=title]").fill("样例合唱")
    dialog.locator("[name=starts]").fill(f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}T09:30")
    dialog.locator("[name=repeats]").select_option("weekly")
    dialog.get_by_label("Thursday").check()
    dialog.locator("[name=ends]").select_option("count")
    dialog.locator("[name=count]").fill("6")
    expect(dialog.locator("[name=rule]")).to_be_hidden()
    dialog.locator("[name=whom]").select_option("some")
    dialog.get_by_label("Sample Community").check()
    assert axe_faults(page) == []
    dialog.get_by_role("button", name="Add an activity").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("样例合唱")
    expect(page.locator(".rl-under")).to_contain_text("Every Thursday, 6 times")
    expect(page.locator(".rl-under")).to_contain_text("Sample Community")
    made = admin.context.request.get(f"{stack.url}/api/v1/activities?search=样例合唱").json()["items"][0]
    assert made["rrule"] == "FREQ=WEEKLY;BYDAY=TH;COUNT=6"
    assert len(made["audience"]) == 1


def test_a_date_is_called_off_and_its_activity_edited(stack: Stack, admin: Visitor) -> None:
    page = admin.go(f"/activities/{stack.town.occurrences[2]}")
    dialog = opened(page, "Edit activity")
    dialog.locator("[name=title_en]").fill("Reading circle, edited")
    dialog.locator("[name=repeats]").select_option("daily")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Reading circle, edited")
    expect(page.locator("main, .rl-main").first).to_contain_text("Every day")
    dialog = opened(page, "Call off…")
    dialog.get_by_role("button", name="Call it off").click()
    expect(page.locator(".rl-under")).to_contain_text("Cancelled")
    assert written(stack, "occurrence.cancel")[0] == "admin"


def test_a_staff_pin_is_set_for_the_kiosks_of_a_room_and_removed(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/rooms")
    dialog = opened(page, "Staff PIN…", "[data-slot=list] tbody tr:has-text('302')")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("4 to 12 digits")
    dialog.locator("[name=pin]").fill("246810")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    page = admin.go("/terminals/kiosk-302-a")
    expect(page.locator("[data-slot=now]")).to_contain_text("Set")
    assert "246810" not in page.content()
    with transaction(stack.town.engine, read_only=True) as session:
        assert terminals.get(session, EVERYWHERE, "kiosk-302-a").settings["staff_pin_hash"].startswith("$argon2")
    dialog = opened(page, "Staff PIN…")
    dialog.locator("[name=remove]").check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("[data-slot=now]")).to_contain_text("None")
    assert written(stack, "terminal.set_pin") == ["admin", "admin"]


def test_a_terminal_is_moved_to_another_room(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/terminals/kiosk-spare-1")
    dialog = opened(page, "Edit")
    dialog.locator("[name=room_id]").select_option(label="302 Wutong Room")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("[data-slot=now]")).to_contain_text("302")
    assert written(stack, "terminal.edit")[0] == "admin"


def test_an_account_is_made_with_a_password_shown_once_and_then_disabled(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/accounts")
    dialog = opened(page, "Add an account")
    dialog.locator("[name=name]").fill("made-in-a-test")
    dialog.locator("[name=role]").select_option("operator")
    dialog.get_by_role("button", name="Add an account").click()
    confirm(page)
    secret = page.locator(".rl-secret").inner_text()
    assert len(secret) >= 16
    page.get_by_role("button", name="Close").click()
    assert secret not in admin.go("/accounts").content()
    made = {"name": "made-in-a-test", "password": secret}
    assert httpx.post(f"{stack.url}/api/v1/session", json=made).status_code == 204
    dialog = opened(page, "Edit", "[data-slot=list] tbody tr:has-text('made-in-a-test')")
    dialog.locator("[name=enabled]").select_option("no")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("tr:has-text('made-in-a-test')")).to_contain_text("Disabled")
    assert httpx.post(f"{stack.url}/api/v1/session", json=made).status_code == 401
    assert written(stack, "account.create")[0] == "admin"


def test_the_last_admin_cannot_shut_everybody_out(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin", language="zh") as visitor:
        page = visitor.go("/accounts")
        dialog = opened(page, "编辑", "[data-slot=list] tbody tr:has-text('admin')")
        dialog.locator("[name=role]").select_option("viewer")
        dialog.get_by_role("button", name="保存").click()
        confirm(page)
        expect(dialog.get_by_role("alert")).to_contain_text("至少要留一位启用的、管理全部组织的管理员")


def test_a_token_is_shown_once_works_and_is_revoked(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go("/tokens")
        dialog = opened(page, "Add a token")
        expect(dialog.locator("[name=role] option")).to_have_count(1)
        dialog.locator("[name=name]").fill("report")
        dialog.get_by_role("button", name="Add a token").click()
        confirm(page)
        secret = page.locator(".rl-secret").inner_text()
        page.get_by_role("button", name="Close").click()
        headers = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{stack.url}/api/v1/rooms", headers=headers).status_code == 200
        opened(page, "Revoke…").get_by_role("button", name="Revoke it").click()
        expect(page.locator("[data-slot=list]")).to_contain_text("Revoked")
        assert httpx.get(f"{stack.url}/api/v1/rooms", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/accounts", "/audit"])
def test_what_is_an_admins_is_closed_to_others_and_not_in_their_menu(stack: Stack, browser: Browser, path: str) -> None:
    with visiting(browser, stack.url) as visitor:
        expect(visitor.page.locator(f"#nav a[href='{path}']")).to_have_count(0)
        visitor.page.goto(stack.url + path)
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Your role does not allow this")


def test_a_viewer_is_offered_no_change(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        for path in ("/organisations", "/rooms", "/terminals/kiosk-302-a", f"/activities/{stack.town.occurrences[0]}"):
            buttons = visitor.go(path).locator(
                ".rl-main button:not([data-slot=health] button)"
            )  # a chart's span is no change
            expect(buttons).to_have_count(0)


def test_forms_fit_a_phone_and_are_filled_in_by_keyboard(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url, name="admin", width=390, language="zh", theme="dark") as visitor:
        page = visitor.go("/activities")
        page.get_by_role("button", name="添加活动").press("Enter")
        expect(page.locator("[name=title]")).to_be_focused()
        assert axe_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        field = page.locator("[name=opens]").bounding_box()
        assert field is not None
        assert field["width"] <= 390
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_disabled_users_open_page_is_led_away_and_its_socket_ends_within_seconds(
    stack: Stack, browser: Browser
) -> None:
    with visiting(browser, stack.url, name="viewer") as visitor:
        page = visitor.go("/")
        with transaction(stack.town.engine) as session:
            account = accounts.account_named(session, "viewer")
            accounts.edit_account(session, Change("admin", datetime.now(UTC)), EVERYWHERE, account.id, enabled=False)
        expect(page).to_have_url(re.compile("/sign-in"), timeout=10_000)
    with transaction(stack.town.engine) as session:
        accounts.edit_account(session, Change("admin", datetime.now(UTC)), EVERYWHERE, account.id, enabled=True)


def test_a_socket_that_ignores_the_sign_out_is_cut(stack: Stack, browser: Browser) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.page
        page.goto(f"{stack.url}/assets/favicon.svg")  # ours, and none of the console's scripts
        page.evaluate("""() => {
          window.ended = new Promise((resolve) => {
            const url = location.origin.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket";
            const socket = new WebSocket(url);
            socket.onopen = () => fetch("/sign-out", { method: "POST", redirect: "manual" });
            socket.onmessage = () => socket.send("3");
            socket.onclose = (event) => resolve(event.code);
          });
        }""")
        assert page.evaluate("window.ended") == 4401


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing", "/api/v2/rooms"])
@pytest.mark.parametrize("signed_in", [True, False])
def test_an_unknown_address_of_the_api_is_a_problem_beside_the_console(
    stack: Stack, path: str, signed_in: bool
) -> None:
    with httpx.Client(base_url=stack.url, headers={"Accept": "text/html"}) as client:
        if signed_in:
            client.post("/api/v1/session", json={"name": "viewer", "password": PASSWORD})
        answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["type"] == "urn:roomlink:problem:not-found"


def test_an_upload_beyond_the_limit_is_refused_before_it_is_read(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/members/import")
    size = 34 * 1024 * 1024
    status = page.evaluate("""async (size) => {
      const answer = await fetch("/_nicegui/client/x/upload/1", { method: "POST", body: new Uint8Array(size) });
      return answer.status;
    }""", size)  # fmt: skip
    assert status == 413


def test_a_file_of_a_hundred_thousand_rows_still_passes(stack: Stack, admin: Visitor) -> None:
    page = admin.go("/members/import")
    rows = "external_id,name\n" + "".join(f"H{n},Invented Person Number {n}\n" for n in range(100_000))
    page.set_input_files("input[type=file]", {"name": "big.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    expect(page.get_by_role("button", name="Import 100,000")).to_be_visible(timeout=90_000)
