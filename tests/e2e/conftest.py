"""One Chromium for all browser tests; a test that changes what it keeps opens a context of its own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.chromium import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """It ends with the last browser test: Playwright holds an event loop while it runs, and others need one of their own."""
    with chromium() as browser:
        yield browser
