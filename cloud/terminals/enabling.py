"""Disabling a terminal and letting it in again: its password, its certificates and its session, all three together.

Promises that a disabled terminal has no way in, whatever it signed in with, and loses none of it: enabled, it comes back with
what it had. Called by the route, the page, and whoever replaces a terminal.
"""

from sqlalchemy.orm import Session

from cloud.audit.service import Change, note, state
from cloud.certificates import service as certificates
from cloud.counters import Counts, advance
from cloud.database import next_version
from cloud.scope import Scope
from cloud.terminals import service
from cloud.terminals.models import Terminal


def enable(
    session: Session, change: Change, scope: Scope, terminal_id: str, version: int, *, enabled: bool
) -> Terminal:
    """Disabled, nothing opens for it, and what it still holds waits until it is enabled again. Stale for another version."""
    terminal = service.get(session, scope, terminal_id, to_edit=True)
    is_repeat = terminal.enabled == enabled and terminal.version == version
    before = state(terminal, ("enabled",))
    if not is_repeat:
        next_version(terminal, version)
    put(session, change, terminal, enabled=enabled)  # a repeat cuts its session again
    if not is_repeat:
        advance(session, Counts.TWIN_INPUTS)
        action = "terminal.enable" if enabled else "terminal.disable"
        note(session, change, action, terminal_id, before=before, enabled=enabled)
    return terminal


def put(session: Session, change: Change, terminal: Terminal, *, enabled: bool) -> None:
    """The same without version and audit: for a caller that edits more of it and writes the audit."""
    terminal.enabled = enabled
    session.flush()
    certificates.hold(session, change, terminal.id, held=not enabled)
