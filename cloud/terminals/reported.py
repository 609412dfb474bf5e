"""What all terminals say that they have, from the twins that they reported.

A terminal is believed by its word only: a twin that was published may never have arrived. Called before a new issuer key
signs, and by the terminal's page.
"""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from cloud.terminals.fleet import IN_SERVICE
from cloud.terminals.models import Terminal, Twin


def know_issuer_key(session: Session, key_id: str) -> bool:
    """Whether every terminal in service has put a twin into force that holds this issuer key; true where there is none."""
    reports = session.execute(select(Terminal.id, Terminal.reported).where(IN_SERVICE)).all()
    return all(_holds(session, terminal, reported or {}, key_id) for terminal, reported in reports)


def lags_since(session: Session, terminal: Terminal, newest: Twin) -> datetime | None:
    """Since when the terminal is without a twin that was made for it, or without all of it; None when it has the newest."""
    version = _version(terminal.reported or {})
    if version is None:
        return None
    if version >= (newest.epoch, newest.number):
        return None if (terminal.reported or {}).get("applied") else newest.created_at
    later = select(func.min(Twin.created_at)).where(
        Twin.terminal_id == terminal.id, tuple_(Twin.epoch, Twin.number) > tuple_(*version)
    )
    return session.scalar(later)


def _version(reported: dict[str, Any]) -> tuple[int, int] | None:
    version = reported.get("version")
    return tuple(version) if isinstance(version, list | tuple) and len(version) == 2 else None


def _holds(session: Session, terminal_id: str, reported: dict[str, Any], key_id: str) -> bool:
    version = _version(reported)
    if not reported.get("applied") or version is None:
        return False
    twin = session.get(Twin, version)
    if twin is None or twin.terminal_id != terminal_id:
        return False
    return any(key["key_id"] == key_id for key in json.loads(twin.document).get("issuer_keys", []))
