"""Every feature's pages: from an address to the function that builds it, `page.py` of its feature."""

from collections.abc import Callable

from cloud.accounts import page as accounts
from cloud.accounts import session_page as sessions
from cloud.accounts import token_page as tokens
from cloud.activities import page as activities
from cloud.alarms import page as alarms
from cloud.audit import page as audit
from cloud.commands import bulk_page as commands
from cloud.console import search_page as search
from cloud.console.shell import Shell
from cloud.members import page as members
from cloud.notifications import page as notifications
from cloud.organisations import page as organisations
from cloud.overview import page as overview
from cloud.quarantine import page as quarantine
from cloud.rooms import page as rooms
from cloud.templates import page as templates
from cloud.terminals import page as terminals
from cloud.timeline import page as timeline

PAGES: tuple[Callable[[Shell], None], ...] = (
    overview.register,
    activities.register,
    members.register,
    rooms.register,
    terminals.register,
    timeline.register,
    alarms.register,
    notifications.register,
    commands.register,
    quarantine.register,
    audit.register,
    organisations.register,
    templates.register,
    accounts.register,
    tokens.register,
    sessions.register,
    search.register,
)
