"""`python -m cloud doctor`: looks at each thing the cloud needs, and says what to do about what is wrong."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from cloud import schema
from cloud.certificates import authorities, standing
from cloud.clock import utc_now
from cloud.credentials import issuer_keys
from cloud.database import create_engine_for, transaction, wait_for_database
from cloud.errors import CloudError, StartError, Unavailable
from cloud.keybox import KeyBox
from cloud.settings import Settings, unknown_variables

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Result:
    """One line of the report."""

    what: str
    ok: bool
    says: str


def examine(settings: Settings) -> list[Result]:
    """Every check's result, in the order in which they are worth mending."""
    checks: dict[str, Callable[[Settings], Iterator[Result]]] = {
        "settings": _settings,
        "database": _database,
        "folder": _folder,
        "key file": _key_file,
        "authority": _authority,
        "broker": _broker,
    }
    return [result for check in checks.values() for result in check(settings)]


def _settings(_settings: Settings) -> Iterator[Result]:
    unknown = unknown_variables()
    yield Result(
        "settings",
        not unknown,
        f"{', '.join(unknown)}: no setting of the cloud; see python -m cloud settings" if unknown else "all known",
    )


def _database(settings: Settings) -> Iterator[Result]:
    try:
        engine = create_engine_for(settings.ledger_url())
        wait_for_database(engine, 0, lambda _line: None)
        schema.check(engine)
        engine.dispose()
    except StartError as error:
        yield Result("database", False, error.sentence)
    else:
        yield Result("database", True, "answers, and has this program's schema")


def _folder(settings: Settings) -> Iterator[Result]:
    folder = settings.data_dir
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield Result("folder", False, f"{folder} is no folder that can be written; make it or set ROOMLINK_DATA_DIR")
        return
    free = shutil.disk_usage(folder).free
    yield Result("folder", free > LOW_DISK_BYTES, f"{folder} has {free >> 20} MiB free; below 1024 is little")


def _key_file(settings: Settings) -> Iterator[Result]:
    path = settings.key_file()
    trouble = None
    with suppress(CloudError), _ledger(settings) as session:
        trouble = _trouble(lambda: issuer_keys.check_box(session, KeyBox(path), utc_now()))
    if path.exists():
        yield _mode("key file", path)
    elif trouble is None:
        yield Result("key file", True, f"{path} is not there yet; it is made with the first issuer key")
    if trouble is not None:
        yield Result("key file", False, f"no card can be signed: {trouble}")
    if settings.notification_key().exists():
        yield _mode("key file", settings.notification_key())


def _authority(settings: Settings) -> Iterator[Result]:
    path = settings.authority_key()
    if path.exists():
        yield _mode("authority", path)
    lasts = timedelta(days=settings.revocation_list_days)
    with suppress(CloudError), _ledger(settings) as session:
        issuer = authorities.in_use(session)
        trouble = _trouble(lambda: authorities.opened(issuer, KeyBox(path))) if issuer else None
        if trouble is not None:
            yield Result("authority", False, f"no list can be signed: {trouble} Or: python -m cloud ca restore FILE")
        for well, says in standing.judge(session, settings.authority_folder(), lasts, utc_now()):
            yield Result("authority", well, says)


def _mode(what: str, path: Path) -> Result:
    mode = stat.S_IMODE(path.stat().st_mode)
    return Result(what, mode & 0o077 == 0, f"{path} has mode {mode:04o}; it should be 0600 (chmod 600)")


def _trouble(open_key: Callable[[], object]) -> str | None:
    """Why a key of the ledger cannot be opened under its key file."""
    try:
        open_key()
    except Unavailable as error:
        return error.sentence
    return None


@contextmanager
def _ledger(settings: Settings) -> Iterator[Session]:
    """To read in. CloudError where it does not answer or has another schema, which `_database` has said."""
    engine = create_engine_for(settings.ledger_url())
    try:
        wait_for_database(engine, 0, lambda _line: None)
        schema.check(engine)
        with transaction(engine, read_only=True) as session:
            yield session
    finally:
        engine.dispose()


def _broker(settings: Settings) -> Iterator[Result]:
    where = f"{settings.mqtt_host}:{settings.mqtt_port}"
    try:
        socket.create_connection((settings.mqtt_host, settings.mqtt_port), timeout=3).close()
    except OSError as error:
        yield Result("broker", False, f"{where} does not answer ({error}); start it or set ROOMLINK_MQTT_HOST")
    else:
        yield Result("broker", True, f"{where} takes connections")
