"""The console as people get it: `python -m cloud serve` on SQLite in a process of its own, and Debian's Chromium before it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page

from cloud import schema
from cloud.database import create_engine_for
from tests.e2e.console_town import PASSWORD, Town, sample_health, settle
from tests.process import Process, free_port


@dataclass
class Stack:
    """A running cloud with a town in it."""

    url: str
    town: Town
    process: Process


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Make the database and its town, serve it, stop it at the end."""
    address = f"sqlite:///{folder / 'roomlink.db'}"
    engine = create_engine_for(address)
    schema.upgrade(engine)
    town = settle(engine)
    sample_health(f"duckdb:///{folder / 'timeseries.duckdb'}", town.terminals[0])
    port = free_port()
    process = Process(folder / "cloud.log")
    environment = {
        "ROOMLINK_DATABASE_URL": address,
        "ROOMLINK_DATA_DIR": str(folder),
        "ROOMLINK_PORT": str(port),
        "ROOMLINK_MQTT_PORT": str(free_port()),  # nobody listens there: the console works without a broker
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
        yield Stack(url, town, process)
    finally:
        process.kill()
        engine.dispose()


@dataclass
class Visitor:
    """A browser that is signed in. `complaints` are its console's errors and warnings, and scripts that failed."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page and wait until it is alive: built, and its socket connected."""
        self.page.goto(self.url + path)
        self.page.wait_for_selector("h1")
        self.page.wait_for_function("window.socket && window.socket.connected")
        return self.page


@contextmanager
def visiting(
    browser: Browser, url: str, *, name: str = "operator", language: str = "en", theme: str = "light", width: int = 1440
) -> Iterator[Visitor]:
    """Sign in with these preferences."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    context.add_cookies([
        {"name": "roomlink_language", "value": language, "url": url},
        {"name": "roomlink_theme", "value": theme, "url": url},
    ])  # fmt: skip
    page = context.new_page()
    visitor = Visitor(context, page, url)
    page.on("console", lambda said: visitor.complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.goto(url + "/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("button[data-kind=main]")
    page.wait_for_selector("h1")
    try:
        yield visitor
    finally:
        context.close()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
