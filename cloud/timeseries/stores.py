"""Makes a store from its address. The one place that knows which stores there are.

Called by `app.py` and `__main__.py`; everything else takes a `Timeseries`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from cloud.timeseries.port import StoreUnusable, Timeseries

EXAMPLES = "duckdb:///var/timeseries.duckdb, influx+http://localhost:8086/organisation/bucket, memory:"


def open_store(url: str, *, zone: str = "UTC", token: str = "", memory_limit_mb: int = 256) -> Timeseries:
    """The store at an address.

    `zone` is the IANA time zone whose days the daily rollups are of, `token` InfluxDB's API token. InfluxDB
    need not be up; `memory_limit_mb` is DuckDB's.
    Raises StoreUnusable, StoreLocked, or TimeseriesUnavailable.
    """
    parts = urlsplit(url)
    day_zone = _zone(zone)
    if parts.scheme == "memory":
        from cloud.timeseries.memory import MemoryTimeseries

        return MemoryTimeseries(zone=day_zone)
    if parts.scheme == "duckdb":
        from cloud.timeseries.duckdb_schema import DuckDBLimits
        from cloud.timeseries.duckdb_store import DuckDBTimeseries

        path = _path(url)
        return DuckDBTimeseries(path, zone=day_zone, limits=DuckDBLimits(memory_limit_mb=memory_limit_mb))
    if parts.scheme in ("influx+http", "influx+https"):
        return _influx(url, token, day_zone)
    raise StoreUnusable(f"{url!r} is no address of a time-series store; for example {EXAMPLES}")


def _influx(url: str, token: str, zone: ZoneInfo) -> Timeseries:
    from cloud.timeseries.influx_http import InfluxServer
    from cloud.timeseries.influx_store import InfluxTimeseries

    parts = urlsplit(url)
    names = [unquote(name) for name in parts.path.split("/")[1:]]
    if not parts.hostname or len(names) != 2 or not all(names):
        raise StoreUnusable(f"{url!r} does not name server, organisation and bucket; for example {EXAMPLES}")
    if parts.username or parts.query:
        raise StoreUnusable("the address of InfluxDB holds no user and no options; its token is a setting of its own")
    if not token:
        raise StoreUnusable("InfluxDB needs an API token, that may read, write and make buckets")
    organisation, bucket = names
    server = InfluxServer(f"{parts.scheme.removeprefix('influx+')}://{parts.netloc}", token, organisation)
    return InfluxTimeseries(server, bucket, zone=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise StoreUnusable(f"there is no time zone {name!r}; for example Asia/Shanghai") from error


def _path(url: str) -> Path:
    """duckdb:///var/x is relative, duckdb:////var/x absolute, as in SQLAlchemy's addresses of SQLite."""
    parts = urlsplit(url)
    if parts.netloc or len(parts.path) < 2:
        raise StoreUnusable(f"{url!r} names no file; for example duckdb:///var/timeseries.duckdb")
    path = Path(unquote(parts.path[1:]))
    if not path.parent.is_dir():
        raise StoreUnusable(f"{path} cannot be made: there is no folder {path.parent}")
    return path
