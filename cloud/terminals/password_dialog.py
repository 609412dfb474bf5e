"""Console: a terminal's new password, shown this once, and whether the broker knows of it."""

from cloud.console import dialogs
from cloud.console.markup import tag
from cloud.console.view import View
from cloud.console.widgets import button_link, note
from cloud.terminals.broker_users import BrokerUsers


def show_password(view: View, terminal_id: str, password: str, told: BrokerUsers) -> None:
    """A terminal's new password, this once."""
    words = view.words
    broker = note("warn", words("terminal.restart_broker")) if told is BrokerUsers.RESTART_NEEDED else None
    if told is BrokerUsers.FAILED:
        broker = note("bad", words("terminal.broker_failed"))
    to_it = button_link(f"/terminals/{terminal_id}", words("terminal.to_it"))
    dialogs.tell(view, words("terminal.password_title", terminal=terminal_id), tag("p", words("terminal.password_once")),
                 tag("p", tag("code", password, class_="mono rl-secret")), broker, to_it)  # fmt: skip
