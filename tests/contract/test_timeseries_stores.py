"""Addresses of stores, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.influx_http import shard_duration_s
from cloud.timeseries.influx_store import InfluxTimeseries
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import StoreUnusable
from cloud.timeseries.stores import open_store


def test_memory_is_an_address() -> None:
    assert isinstance(open_store("memory:"), MemoryTimeseries)


def test_a_duckdb_address_names_a_file(tmp_path: Path) -> None:
    store = open_store(f"duckdb:///{tmp_path}/a%20series.duckdb", zone="Asia/Shanghai")
    try:
        assert isinstance(store, DuckDBTimeseries)
        assert (tmp_path / "a series.duckdb").exists()
    finally:
        store.close()


def test_a_relative_duckdb_address_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("duckdb:///series.duckdb").close()
    assert (tmp_path / "series.duckdb").exists()


@pytest.mark.parametrize("scheme", ["influx+http", "influx+https"])
def test_an_influx_store_is_made_without_its_server(scheme: str) -> None:
    store = open_store(f"{scheme}://localhost:1/an%20organisation/bucket", token="word")
    assert isinstance(store, InfluxTimeseries)
    store.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "for example duckdb:///"),
        ("sqlite:///series.db", "no address of a time-series store"),
        ("duckdb://host/series", "names no file"),
        ("duckdb:///", "names no file"),
        ("duckdb:///no-such-folder/series.duckdb", "there is no folder no-such-folder"),
        ("influx+http://localhost:8086/only-one", "does not name server, organisation and bucket"),
        ("influx+http:///org/bucket", "does not name server"),
        ("influx+http://user:word@localhost/org/bucket", "its token is a setting of its own"),
        ("influx+http://localhost/org/bucket?token=x", "its token is a setting of its own"),
    ],
)
def test_a_wrong_address_is_answered_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(StoreUnusable, match=sentence):
        open_store(url, token="word")


def test_an_influx_address_needs_a_token() -> None:
    with pytest.raises(StoreUnusable, match="needs an API token"):
        open_store("influx+http://localhost:8086/org/bucket")


def test_an_unknown_zone_is_answered_in_a_sentence() -> None:
    with pytest.raises(StoreUnusable, match="no time zone 'Mars/Olympus'"):
        open_store("memory:", zone="Mars/Olympus")


@pytest.mark.parametrize(
    ("retention_days", "shard_hours"), [(0, 168), (1, 1), (2, 24), (90, 24), (180, 24), (365, 168)]
)
def test_shards_are_shorter_than_the_retention(retention_days: int, shard_hours: int) -> None:
    assert shard_duration_s(retention_days * 86_400) == shard_hours * 3600
