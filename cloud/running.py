"""What every command of `python -m cloud` does first: settings, logs, a ledger that answers and has our schema; and where it
writes what it exports."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer
from sqlalchemy import Engine, make_url

from cloud import schema
from cloud.database import create_engine_for, wait_for_database
from cloud.errors import StartError
from cloud.logs import start_logging
from cloud.settings import Settings, load_settings


def start() -> Settings:
    """The settings, with logging begun as they say. StartError when one is wrong."""
    settings = load_settings()
    start_logging(settings.log_level, settings.log_format)
    return settings


def open_ledger(settings: Settings | None = None) -> Engine:
    """An engine whose database answers and has this program's schema. StartError when not."""
    engine = connect_ledger(settings or start())
    schema.check(engine)
    return engine


def connect_ledger(settings: Settings) -> Engine:
    """An engine whose database answers, whatever its schema."""
    url = make_url(settings.ledger_url())
    if url.get_backend_name() == "sqlite" and url.database:
        _make_folder(url.database)
    engine = create_engine_for(settings.ledger_url())
    wait_for_database(engine, settings.database_wait_s, lambda line: typer.echo(line, err=True))
    return engine


@contextmanager
def writing(to: Path | None, newline: str | None = None) -> Iterator[TextIO]:
    """A new file of mode 0600, for it may name people; standard output without one. StartError where it cannot be written."""
    if to is None:
        yield sys.stdout
        return
    try:
        with open(to, "w", encoding="utf-8", newline=newline, opener=_private) as file:
            yield file
    except OSError as error:
        raise StartError(f"{to} cannot be written: {error.strerror}.") from error


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)  # one that was there, too; a device stays as it is
    return descriptor


def _make_folder(database: str) -> None:
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"The folder of the database {database} cannot be made: {error.strerror}.") from error
