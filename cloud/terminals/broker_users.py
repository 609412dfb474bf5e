"""Writes the terminals into Mosquitto's password file and has the broker read it again.

Lines that an operator added stay; the cloud's own follows the settings, and terminals that the ledger knows no more,
as after a restore, lose theirs: the names that were written here are kept beside the file. Called after the commit that
changed a terminal, and when the service starts, so that a write that failed is made up for.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import structlog

from broker_config import passwords
from cloud.api import Cloud
from cloud.settings import Settings
from cloud.terminals import service


class BrokerUsers(StrEnum):
    """What became of the broker's list of users."""

    WRITTEN = "written"
    RESTART_NEEDED = "restart_needed"  # no password file is configured: the embedded broker reads its users at start
    FAILED = "failed"  # the log says why; the next change or start tries again


def publish(cloud: Cloud) -> BrokerUsers:
    """Make the password file say what the database says. One process at a time, so that the last one is right."""
    settings = cloud.settings
    path = settings.mosquitto_password_file
    if path is None:
        return BrokerUsers.RESTART_NEEDED
    try:
        with _alone(path), cloud.reading() as session:
            write_users(path, settings, dict(service.broker_hashes(session)))
        if settings.mosquitto_pid_file is not None:
            passwords.ask_for_reload(settings.mosquitto_pid_file)
    except (OSError, passwords.PasswordFileError) as error:
        structlog.get_logger().error("broker_users_not_written", path=str(path), reason=str(error))
        return BrokerUsers.FAILED
    return BrokerUsers.WRITTEN


@contextmanager
def publishing(cloud: Cloud) -> Iterator[None]:
    """Publish once when the application starts, in case the last write failed."""
    publish(cloud)
    yield


def write_users(path: Path, settings: Settings, terminals: dict[str, str | None]) -> None:
    """Bring the file at `path` up to date with the ledger's terminals: their hashes, None for a disabled one."""
    before = passwords.read_password_file(path)
    written_before = _written_here(path)
    after = {name: hashed for name, hashed in before.items() if name not in terminals and name not in written_before}
    after |= {name: hashed for name, hashed in terminals.items() if hashed is not None}
    if settings.mqtt_password is not None:
        after[settings.mqtt_user] = _own_line(before, settings.mqtt_user, settings.mqtt_password.get_secret_value())
    elif settings.mqtt_user in before:
        after[settings.mqtt_user] = before[settings.mqtt_user]
    if written_before != terminals.keys():
        _names_file(path).write_text(json.dumps(sorted(written_before | terminals.keys())), "utf-8")
    if after != before:
        passwords.write_password_file(path, after)


def _own_line(before: Mapping[str, str], user: str, password: str) -> str:
    present = before.get(user)
    if present is not None and passwords.is_password(password, present):
        return present
    return passwords.hash_password(password)


def _written_here(path: Path) -> set[str]:
    """Names of terminals that this file was ever given; none when nothing was kept."""
    try:
        return set(json.loads(_names_file(path).read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return set()


def _names_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.names")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
