"""`python -m cloud doctor`: looks at each thing the cloud needs, and says what to do about what is wrong."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from cloud import schema
from cloud.certificates import standing
from cloud.clock import utc_now
from cloud.database import create_engine_for, transaction, wait_for_database
from cloud.errors import CloudError, StartError
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
    if not path.exists():
        yield Result("key file", True, f"{path} is not there yet; it is made with the first issuer key")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    yield Result("key file", mode & 0o077 == 0, f"{path} has mode {mode:04o}; it should be 0600 (chmod 600)")


def _authority(settings: Settings) -> Iterator[Result]:
    """Nothing where the database does not answer, which is said already."""
    path = settings.authority_key()
    if path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
        yield Result("authority", mode & 0o077 == 0, f"{path} has mode {mode:04o}; it should be 0600 (chmod 600)")
    engine = create_engine_for(settings.ledger_url())
    with suppress(CloudError):
        wait_for_database(engine, 0, lambda _line: None)
        schema.check(engine)
        lasts = timedelta(days=settings.revocation_list_days)
        with transaction(engine, read_only=True) as session:
            for well, says in standing.judge(session, settings.authority_folder(), lasts, utc_now()):
                yield Result("authority", well, says)
    engine.dispose()


def _broker(settings: Settings) -> Iterator[Result]:
    where = f"{settings.mqtt_host}:{settings.mqtt_port}"
    try:
        socket.create_connection((settings.mqtt_host, settings.mqtt_port), timeout=3).close()
    except OSError as error:
        yield Result("broker", False, f"{where} does not answer ({error}); start it or set ROOMLINK_MQTT_HOST")
    else:
        yield Result("broker", True, f"{where} takes connections")
