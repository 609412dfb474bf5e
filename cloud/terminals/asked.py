"""HTTP: which terminals a list or an export is about, and in which order, from a request's query."""

from typing import Annotated

from fastapi import Depends, Query

from cloud.forms import Search
from cloud.organisations.service import OrganisationId
from cloud.rooms.service import RoomId
from cloud.terminals.service import Kind, Profile
from cloud.terminals.wanted import Presence, Service, Sort, Version, Wanted


def _wanted(
    organisation_id: Annotated[OrganisationId | None, Query(description="Only of this one and those below it.")] = None,
    room_id: Annotated[RoomId | None, Query(description="Only this room's.")] = None,
    kind: Annotated[Kind | None, Query(description="Only kiosks, or only TVs.")] = None,
    profile: Annotated[Profile | None, Query(description="Only of this profile.")] = None,
    presence: Annotated[Presence | None, Query(description="Only those in service in this state.")] = None,
    service: Annotated[Service | None, Query(description="Only those in service, or only those out of it.")] = None,
    version: Annotated[Version | None, Query(description="Only of this agent.")] = None,
    alarm: Annotated[bool, Query(description="Only those about which an alarm is open.")] = False,
    flapping: Annotated[bool, Query(description="Only those whose link flaps now.")] = False,
    search: Annotated[Search | None, Query(description="Part of the id, the room's number or name.")] = None,
) -> Wanted:
    return Wanted(
        organisation_id=organisation_id, room_id=room_id, kind=kind, profile=profile, presence=presence, service=service,
        version=version, alarm=alarm, flapping=flapping, search=search or "", sort=Sort.ID,
    )  # fmt: skip


Matching = Annotated[Wanted, Depends(_wanted)]
"""Which; by id."""


def _sorted(
    wanted: Matching,
    sort: Annotated[Sort, Query(description="By what; the id decides where it is the same.")] = Sort.ID,
    descending: Annotated[bool, Query(description="The other way round.")] = False,
) -> Wanted:
    return wanted.but(sort=sort, descending=descending)


Sorted = Annotated[Wanted, Depends(_sorted)]
"""Which, and in which order."""
