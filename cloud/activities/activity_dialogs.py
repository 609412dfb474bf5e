"""Console: an activity is edited; one date of it, or all that are to come, are cancelled."""

from collections.abc import Awaitable, Callable

from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import service
from cloud.activities.activity_form import activity_fields, activity_form, zone_of
from cloud.activities.models import Activity
from cloud.audit.service import Change
from cloud.console import dialogs
from cloud.console.lists import address
from cloud.console.view import View
from cloud.errors import NotFound
from cloud.scope import Scope

PATH = "/activities"


async def edit(view: View, activity: Activity, occurrence_id: str) -> None:
    """The form; afterwards the date it was opened from, or its day, when the date has moved."""
    words, zone = view.words, zone_of(view, activity)

    async def save(values: dict[str, str]) -> None:
        form = activity_form(words, values, zone)
        await view.write(
            Role.ORGANISER,
            lambda session, change, scope: service.edit(session, change, scope, activity.id, activity.version, form),
        )
        try:
            await view.read(lambda session, scope: service.get_occurrence(session, scope, occurrence_id))
            ui.navigate.to(f"{PATH}/{occurrence_id}")
        except NotFound:
            ui.navigate.to(address(PATH, day=f"{form.starts_at.astimezone(view.zone):%Y-%m-%d}"))

    fields = await activity_fields(view, activity)
    dialogs.ask(view, words("occurrence.edit_title"), fields, words("page.save"), save,
                intro=words("occurrence.edit_more"))  # fmt: skip


def cancel(view: View, activity: Activity, occurrence_id: str, saved: Callable[[], Awaitable[None]]) -> None:
    """This date, or the whole activity."""
    words = view.words
    options = [("one", words("occurrence.cancel_date")), ("all", words("occurrence.cancel_all"))]
    fields = dialogs.choice(words("occurrence.cancel_what"), "what", options[: 2 if activity.rrule else 1], "one")

    async def end(values: dict[str, str]) -> None:
        def write(session: Session, change: Change, scope: Scope) -> None:
            if values.get("what") == "all":
                service.cancel(session, change, scope, activity.id, activity.version)
            else:
                service.cancel_occurrence(session, change, scope, occurrence_id)

        await view.write(Role.ORGANISER, write)
        await saved()

    dialogs.ask(view, words("occurrence.cancel_title"), fields, words("occurrence.cancel_it"), end, danger=True,
                intro=words("occurrence.cancel_more"))  # fmt: skip
