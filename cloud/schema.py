"""The schema's history: bring a database to the newest revision, or say why the program must not run on it.

Promises that a program never works on a schema it does not know. Called by the command line before
anything else.
"""

import importlib
import importlib.util
import pkgutil
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

import cloud
from cloud.errors import StartError


def import_models() -> None:
    """Import every feature's `models`, so that Base.metadata knows all tables."""
    importlib.import_module("cloud.counters")
    for package in pkgutil.iter_modules(cloud.__path__):
        name = f"cloud.{package.name}.models"
        if package.ispkg and importlib.util.find_spec(name):
            importlib.import_module(name)


def alembic_config() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision in one transaction; nothing to do is no error."""
    config = alembic_config()
    with engine.begin() as connection:
        _refuse_newer(_revision(connection))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(engine: Engine) -> None:
    """StartError when the schema is missing, older or newer than this program."""
    with engine.connect().execution_options(read_only=True) as connection:
        check_connection(connection)


def check_connection(connection: Connection) -> None:
    """The same, over a connection that is open already."""
    scripts = ScriptDirectory.from_config(alembic_config())
    current = _revision(connection)
    _refuse_newer(current)
    if current is None:
        raise StartError("The database has no tables yet; run: python -m cloud migrate")
    if current != scripts.get_current_head():
        raise StartError(f"The database's schema ({current}) is older than this program; run: python -m cloud migrate")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Whether this program can bring a schema of that revision up to date."""
    return revision in {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}


def _refuse_newer(current: str | None) -> None:
    if current is not None and not knows(current):
        raise StartError(
            f"The database's schema ({current}) is newer than this program; install the newer program, "
            "or restore a backup made with this one."
        )
