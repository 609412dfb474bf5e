"""What all terminals say that they have, from the twins that they reported.

A terminal is believed by its word only: a twin that was published may never have arrived. Called before a new issuer key
signs.
"""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.terminals.models import Terminal, Twin


def know_issuer_key(session: Session, key_id: str) -> bool:
    """Whether every enabled terminal has put a twin into force that holds this issuer key; true where there is none."""
    reports = session.execute(select(Terminal.id, Terminal.reported).where(Terminal.enabled)).all()
    return all(_holds(session, terminal, reported or {}, key_id) for terminal, reported in reports)


def _holds(session: Session, terminal_id: str, reported: dict[str, Any], key_id: str) -> bool:
    version = reported.get("version")
    if not reported.get("applied") or not isinstance(version, list | tuple) or len(version) != 2:
        return False
    twin = session.get(Twin, tuple(version))
    if twin is None or twin.terminal_id != terminal_id:
        return False
    return any(key["key_id"] == key_id for key in json.loads(twin.document).get("issuer_keys", []))
