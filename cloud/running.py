"""What every command of `python -m cloud` does first: settings, logs, a ledger that answers and has our schema."""

from pathlib import Path

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


def _make_folder(database: str) -> None:
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"The folder of the database {database} cannot be made: {error.strerror}.") from error
