"""Writes the terminals into Mosquitto's password file and has the broker read it again.

Lines of users that are no terminals stay, except the cloud's own, which follows the settings. Called after the
commit that changed a terminal, and when the service starts, so that a write that failed is made up for.
"""

import fcntl
from collections.abc import Iterator
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
            _write(path, settings, dict(service.broker_hashes(session)))
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


def _write(path: Path, settings: Settings, terminals: dict[str, str | None]) -> None:
    before = passwords.read_password_file(path)
    after = {name: hashed for name, hashed in before.items() if name not in terminals}
    after |= {name: hashed for name, hashed in terminals.items() if hashed is not None}
    if settings.mqtt_password is not None and settings.mqtt_user not in before:
        after[settings.mqtt_user] = passwords.hash_password(settings.mqtt_password.get_secret_value())
    if after != before:
        passwords.write_password_file(path, after)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
