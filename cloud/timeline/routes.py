"""HTTP: what happened at one terminal, merged from all lists that are kept of it."""

from typing import Annotated, Any

from fastapi import Query

from cloud.api import Pages, TheCloud, View, problems, router
from cloud.forms import InstantUs
from cloud.security import Viewer
from cloud.terminals.routes import Id
from cloud.timeline import service
from cloud.timeline.service import Sort

routes = router("/terminals", "terminals")


class EventView(View):
    """Something that happened: `what` is a word of its sort, `detail` what is known of it; times in it are microseconds."""

    at: InstantUs
    sort: Sort
    what: str
    detail: dict[str, Any]


class TimelineView(View):
    """A page of events, newest first; `missing` are the sorts that cannot be asked now."""

    items: list[EventView]
    next_cursor: str | None
    missing: list[Sort]


@routes.get("/{terminal_id}/timeline", responses=problems(404))
def get_timeline(
    cloud: TheCloud,
    by: Viewer,
    terminal_id: Id,
    pages: Pages,
    sort: Annotated[Sort | None, Query(description="Only events of this sort.")] = None,
) -> TimelineView:
    """Connections, alarms, twins, commands, marks, check-ins as counts per hour, and what people did to it; the newest first."""
    with cloud.reading() as session:
        kept = service.kept(session, by.scope, cloud.timeseries, cloud.clock(), terminal_id, pages, sort=sort)
    found = service.timeline(kept)
    items = [EventView.model_validate(event) for event in found.events]
    return TimelineView(items=items, next_cursor=found.next_cursor, missing=list(found.missing))
