"""The console as people get it: `python -m cloud serve` on SQLite in a process of its own, and Debian's Chromium before it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.console_town import PASSWORD, Town, sample_attendance, sample_health, settle
from tests.ledgers import migrated
from tests.process import Process, free_port


@dataclass
class Stack:
    """A running cloud with a town in it."""

    url: str
    town: Town
    process: Process


@contextmanager
def running_stack(folder: Path, **settings: str) -> Iterator[Stack]:
    """Make the database and its town, serve it, stop it at the end."""
    address = f"sqlite:///{folder / 'roomlink.db'}"
    engine = migrated(address)
    town = settle(engine)
    sample_attendance(f"duckdb:///{folder / 'timeseries.duckdb'}", town.terminals[0])
    sample_health(f"duckdb:///{folder / 'timeseries.duckdb'}", town.terminals[0])
    with serving(folder, address, **settings) as (url, process):
        yield Stack(url, town, process)
    engine.dispose()


@contextmanager
def serving(folder: Path, address: str, **settings: str) -> Iterator[tuple[str, Process]]:
    """`python -m cloud serve` over a ledger that has its tables: where it is, and its process."""
    port = free_port()
    process = Process(folder / "cloud.log")
    environment = {
        "ROOMLINK_DATABASE_URL": address,
        "ROOMLINK_DATA_DIR": str(folder),
        "ROOMLINK_PORT": str(port),
        "ROOMLINK_MQTT_PORT": str(free_port()),  # nobody listens there: the console works without a broker
        **settings,
    }
    command = [
        "env",
        *(f"{name}={value}" for name, value in environment.items()),
        sys.executable,
        "-m",
        "cloud",
        "serve",
    ]
    url = f"http://127.0.0.1:{port}"
    try:
        process.spawn(command, ready=lambda: _is_healthy(url))
        yield url, process
    finally:
        process.kill()


@dataclass
class Visitor:
    """A browser and its first page. `complaints` are its console's errors and warnings, and scripts that failed."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Hear what a page complains of."""
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def sign_in(self, name: str, password: str) -> None:
        """Fill the form that is before us."""
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", password)
        self.page.click("button[data-kind=main]")
        self.page.wait_for_selector(".rl-nav", state="attached")  # on a phone it is a drawer
        self.page.wait_for_load_state()

    def another(self, path: str) -> Page:
        """Open one more page of the same browser, and wait until it is alive."""
        page = self.context.new_page()
        self.watch(page)
        return Visitor(self.context, page, self.url).go(path)

    def go(self, path: str) -> Page:
        """Open a page and wait until it is alive: built, and its socket connected."""
        self.page.goto(self.url + path)
        self.page.wait_for_selector("h1")
        self.page.wait_for_function("window.socket && window.socket.connected")
        return self.page


@contextmanager
def browsing(
    browser: Browser, url: str, *, locale: str = "en-GB", width: int = 1440, cookies: dict[str, str] | None = None
) -> Iterator[Visitor]:
    """A fresh browser that nobody has signed in with yet, in the language of `locale`."""
    context = browser.new_context(locale=locale, viewport={"width": width, "height": 900}, accept_downloads=True)
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in (cookies or {}).items()])
    visitor = Visitor(context, context.new_page(), url)
    visitor.watch(visitor.page)
    try:
        yield visitor
    finally:
        context.close()


@contextmanager
def visiting(
    browser: Browser, url: str, *, name: str = "operator", language: str = "en", theme: str = "light", width: int = 1440
) -> Iterator[Visitor]:
    """Sign in with these preferences."""
    cookies = {"roomlink_language": language, "roomlink_theme": theme}
    with browsing(browser, url, width=width, cookies=cookies) as visitor:
        visitor.page.goto(url + "/sign-in")
        visitor.sign_in(name, PASSWORD)
        yield visitor


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
