"""Fixtures over every store of the time series, and what the run says about the real InfluxDB."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cloud.timeseries.port import Timeseries
from tests.influx_real import report
from tests.timeseries_stores import SORTS, MakeStore, make_empty


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nobody shall take the double for the server."""
    terminalreporter.write_line(report())


@pytest.fixture(params=SORTS)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Makes empty stores of one sort."""
    with ExitStack() as stack:

        def make(zone: str) -> Timeseries:
            return stack.enter_context(closing(make_empty(request.param, ZoneInfo(zone), tmp_path, stack)))

        yield make


@pytest.fixture
def store(make_store: MakeStore) -> Timeseries:
    """An empty store whose days are UTC's."""
    return make_store("UTC")
