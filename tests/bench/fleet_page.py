"""How soon the list of ten thousand terminals is there, in a real Chromium, on both databases, and what its queries take.

From the navigation to the first contentful paint, and to the frame after the table's rows are in the page, by the browser's own
clock; with the browser's cache empty and filled. Beside it the console's lightest page, as what any page takes on this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.accounts import service as accounts
from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.database import transaction
from cloud.organisations import tree
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from cloud.terminals import fleet, listing
from cloud.terminals.wanted import Sort, Wanted
from tests.bench.stage import folder
from tests.e2e.chromium import chromium
from tests.e2e.console_stack import serving
from tests.ledgers import migrated
from tests.many_terminals import settle_many
from tests.servers import PostgresServer

TERMINALS, ROOMS, ORGANISATIONS, VISITS = 10_000, 300, 60, 9
NAME, PASSWORD = "bench", "a-password-of-the-bench"
ROWS = "[data-slot=list] tbody tr"
_WATCH = """
new MutationObserver((_, watching) => {
  if (!document.querySelector("AWAITED")) return;
  watching.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.rowsAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_TIMES = "() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, window.rowsAt]"


def measure(
    terminals: int = TERMINALS, rooms: int = ROOMS, organisations: int = ORGANISATIONS, visits: int = VISITS
) -> dict[str, float | str]:
    """`fleet_page.first_paint_ms` and `.rows_ms`: the slower database's median with a filled cache; and their parts."""
    figures: dict[str, float | str] = {}
    with chromium() as browser, folder() as place:
        for database in ("sqlite", "postgresql"):
            with _ledger(database, place) as (url, engine):
                settle_many(engine, datetime.now(UTC), terminals=terminals, rooms=rooms, organisations=organisations)
                with transaction(engine) as session:
                    change = Change("bench", datetime.now(UTC))
                    accounts.create_account(session, change, EVERYWHERE, NAME, PASSWORD, Role.ADMIN)
                figures |= {f"fleet_page.{database}.{key}": value for key, value in _queries(engine).items()}
                data = place / database
                data.mkdir(exist_ok=True)
                with serving(data, url) as (address, _):
                    figures |= {f"fleet_page.{database}.{k}": v for k, v in _visits(browser, address, visits).items()}
    for key in ("first_paint_ms", "rows_ms"):
        figures[f"fleet_page.{key}"] = max(
            float(figures[f"fleet_page.{each}.{key}"]) for each in ("sqlite", "postgresql")
        )
    return figures


@contextmanager
def _ledger(database: str, place: Path) -> Iterator[tuple[str, Engine]]:
    if database == "sqlite":
        url = f"sqlite:///{place}/ledger.db"
        engine = migrated(url)
        yield url, engine
        engine.dispose()
        return
    with PostgresServer() as postgres:
        url = postgres.create_database()
        engine = migrated(url)
        yield url, engine
        engine.dispose()


def _visits(browser: Browser, address: str, visits: int) -> dict[str, float]:
    """Medians of so many visits; the first one of the process is not among them."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("[name=name]", NAME)
    page.fill("[name=password]", PASSWORD)
    page.click("button[data-kind=main]")
    page.wait_for_selector(".rl-nav")
    state = context.storage_state()
    page.close()
    _visit(context, address)
    warm = [_visit(context, address) for _ in range(visits)]
    light = [_visit(context, address, "/sessions", ".rl-main tbody tr") for _ in range(visits)]
    context.close()
    cold = []
    for _ in range(visits):
        fresh = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=state)
        cold.append(_visit(fresh, address))
        fresh.close()
    return {
        "first_paint_ms": statistics.median(paint for paint, _ in warm),
        "rows_ms": statistics.median(rows for _, rows in warm),
        "rows_ms.lightest_page": statistics.median(rows for _, rows in light),
        "rows_ms_max": max(rows for _, rows in warm),
        "empty_cache.first_paint_ms": statistics.median(paint for paint, _ in cold),
        "empty_cache.rows_ms": statistics.median(rows for _, rows in cold),
    }


def _visit(context: BrowserContext, address: str, path: str = "/terminals", awaited: str = ROWS) -> tuple[float, float]:
    page = context.new_page()
    page.add_init_script(_WATCH.replace("AWAITED", awaited))
    page.goto(f"{address}{path}")
    page.wait_for_function("window.rowsAt && performance.getEntriesByName('first-contentful-paint').length")
    paint, rows = page.evaluate(_TIMES)
    page.close()
    return float(paint), float(rows)


def _queries(engine: Engine) -> dict[str, float]:
    """Medians of five: what the page asks for, and the slowest second page of all orders."""
    now = datetime.now(UTC)

    def timed(ask: Callable[[Session], object]) -> float:
        spent = []
        for _ in range(5):
            with transaction(engine, read_only=True) as session:
                began = time.perf_counter()
                ask(session)
                spent.append(time.perf_counter() - began)
        return statistics.median(spent) * 1000

    def second_page(wanted: Wanted, session: Session) -> None:
        first = listing.page(session, EVERYWHERE, wanted, Paging(), now)
        listing.page(session, EVERYWHERE, wanted, Paging(50, first.next), now)

    orders = [Wanted(sort=each) for each in Sort]
    return {
        "query_ms.page": timed(lambda s: listing.page(s, EVERYWHERE, Wanted(), Paging(), now)),
        "query_ms.counts": timed(lambda s: listing.counts(s, EVERYWHERE, Wanted(), now)),
        "query_ms.tree": timed(lambda s: fleet.by_branch(s, EVERYWHERE, tree.branches(s, EVERYWHERE))),
        "query_ms.two_pages": max(timed(partial(second_page, each)) for each in orders),
    }
