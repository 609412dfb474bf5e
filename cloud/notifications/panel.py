"""Console: to whom an alarm was told and when, on the alarm's page."""

from collections.abc import Sequence

from markupsafe import Markup

from cloud.accounts.service import Role
from cloud.console.markup import Content, tag
from cloud.console.view import View
from cloud.console.widgets import Column, link, none, panel, table
from cloud.notifications import telling
from cloud.notifications.service import ToldOf


def panel_of(view: View, told: Sequence[ToldOf]) -> Markup:
    """The panel; a receiver beyond the branch is not named."""
    words = view.words
    title = words("told.of_alarm")
    if not told:
        who = tag("p", link("/receivers", words("receiver.title"))) if view.may(Role.OPERATOR) else None
        return panel(title, none(words("told.nobody"), words("told.nobody_more"), who))
    columns = (
        Column(words("told.time"), "nowrap", h=True),
        Column(words("told.receiver"), "b"),
        Column(words("told.what")),
        Column(words("told.state"), "rl-whole"),
    )
    return panel(title, table(columns, [_cells(view, each) for each in told], title))


def _cells(view: View, told: ToldOf) -> list[Content]:
    words, one = view.words, told.notification
    name = told.name if told.name is not None else words("told.beyond")
    return [words.clock(one.at), name, words(f"letter_what.{one.what}"), telling.state(view, one)]
