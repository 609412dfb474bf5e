"""SIGTERM ends the service while people look at its pages."""

import signal
import time
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.console_stack import running_stack, visiting

ENDS_WITHIN_S = 5.0
"""Two to three seconds on a machine that does nothing else."""


def test_serve_ends_soon_with_open_console_pages(browser: Browser, tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, visiting(browser, stack.url) as visitor:
        visitor.go("/")
        for path in ("/terminals", "/members"):
            page = visitor.context.new_page()
            page.goto(stack.url + path)
            page.wait_for_function("window.socket && window.socket.connected")
        before = time.monotonic()
        assert stack.process.stop(signal.SIGTERM) == 0
        assert time.monotonic() - before < ENDS_WITHIN_S, stack.process.log_tail()
