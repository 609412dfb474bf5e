"""Ledgers with the newest schema for tests: the migrations run once for each kind of database, the rest are copies.

Promises the tables and rows that `cloud.schema.upgrade` makes, with an epoch of their own.
"""

import atexit
import functools
import secrets
import shutil
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, make_url, text

from cloud.database import create_engine_for
from cloud.schema import upgrade

TEMPLATE = "migrated"


def migrated(url: str) -> Engine:
    """An engine on an empty ledger with the newest schema; what the database held before is gone."""
    parsed = make_url(url)
    engine = create_engine_for(url)
    if parsed.get_backend_name() != "sqlite":
        _copy_postgres(parsed)
    elif parsed.database:
        shutil.copyfile(_sqlite_template(), parsed.database)
    else:  # in memory
        upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE epoch SET epoch = :now"), {"now": time.time_ns() // 1_000_000})
    return engine


@functools.cache
def _sqlite_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="roomlink-ledger-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "ledger.db"
    _migrate(f"sqlite:///{path}")
    return path


@functools.cache
def _postgres_template(server: URL) -> str:
    """Its name; it stays as long as the server."""
    name = f"{TEMPLATE}_{secrets.token_hex(4)}"
    with _administering(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _migrate(server.set(database=name).render_as_string(hide_password=False))
    return name


def _copy_postgres(url: URL) -> None:
    template = sql.Identifier(_postgres_template(url.set(database="postgres")))
    name = sql.Identifier(str(url.database))
    with _administering(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))


def _administering(url: URL) -> psycopg.Connection[tuple[object, ...]]:
    address = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)


def _migrate(url: str) -> None:
    engine = create_engine_for(url)
    upgrade(engine)
    engine.dispose()
