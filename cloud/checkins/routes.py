"""HTTP: check-ins as facts, in the order of their arrival."""

import json
from typing import Annotated

from fastapi import Query
from pydantic import field_validator

from cloud.api import PageOf, Pages, TheCloud, View, problems, router
from cloud.attendance.service import OccurrenceId
from cloud.checkins import service
from cloud.forms import InstantUs
from cloud.members.service import MemberId
from cloud.rooms.service import RoomId
from cloud.security import Viewer
from cloud.terminals.service import TerminalId

routes = router("/check-ins", "check-ins")


class CheckInView(View):
    """One check-in of any outcome; (stream, number) is its record.

    `member_id` is the link, null for guests and for cards that nobody knows yet.
    `effective_at` is right give or take `uncertainty_us` microseconds; `said_at` is the terminal's own clock.
    """

    id: int
    stream: str
    number: int
    record_id: str
    terminal_id: str
    room_id: str | None
    organisation_id: str | None
    occurrence_id: str | None
    method: str
    outcome: str
    reason: str | None
    credential_id: str | None
    member_id: str | None
    effective_at: int
    uncertainty_us: int
    said_at: int
    received_at: int
    flags: list[str]

    @field_validator("flags", mode="before")
    @classmethod
    def _as_list(cls, flags: str) -> list[str]:
        return list(json.loads(flags))


@routes.get("", responses=problems(404))
def list_check_ins(
    cloud: TheCloud,
    by: Viewer,
    pages: Pages,
    terminal_id: Annotated[TerminalId | None, Query(description="Only this terminal's.")] = None,
    room_id: Annotated[RoomId | None, Query(description="Only this room's.")] = None,
    occurrence_id: Annotated[OccurrenceId | None, Query(description="Only this occurrence's.")] = None,
    member_id: Annotated[MemberId | None, Query(description="Only this member's.")] = None,
    since_at: Annotated[InstantUs | None, Query(description="Received at or after it.")] = None,
) -> PageOf[CheckInView]:
    """Check-ins in your scope, oldest arrival first: the last page's cursor asks for what came since."""
    with cloud.reading() as session:
        found = service.list_check_ins(
            session,
            by.scope,
            pages,
            terminal_id=terminal_id,
            room_id=room_id,
            occurrence_id=occurrence_id,
            member_id=member_id,
            since_at=since_at,
        )
        return PageOf[CheckInView].of(found)
