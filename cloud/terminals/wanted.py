"""Which terminals of the list, and in which order: as the address, a saved view, the API and the audit say it. Pure.

Promises that what an address says and nobody knows is passed over, so that an old link still shows a list, and that an address
and what was read from it say the same. Called by pages, routes and `views`.
"""

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from cloud.forms import NO_CONTROLS, Form, Search
from cloud.organisations.service import OrganisationId
from cloud.rooms.service import RoomId
from cloud.terminals.service import Kind, Profile
from cloud.terminals.versions import LONGEST

Version = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=NO_CONTROLS)]
"""An agent's, as its birth says it."""


class Service(StrEnum):
    """Whether a terminal is in service: enabled, and not replaced by another."""

    IN = "in"
    OUT = "out"


class Presence(StrEnum):
    """How a terminal is; `never` is shown as unknown."""

    ONLINE = "online"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    ASLEEP = "asleep"
    MAINTENANCE = "maintenance"
    NEVER = "never"


class Sort(StrEnum):
    """By what the list is sorted; the id decides where it is the same."""

    ID = "id"
    ALARM = "alarm"
    ROOM = "room"
    SINCE = "since"
    HEARD = "heard"
    WAITING = "waiting"
    VERSION = "version"


FIRST_DOWN: Final = frozenset({Sort.WAITING, Sort.VERSION})
"""What is asked for by the greatest first."""


class Wanted(Form):
    """Each that is not said excludes nothing. `alarm` and `flapping` are asked for, or not looked at.

    A presence is asked of terminals in service only.
    """

    presence: Presence | None = None
    service: Service | None = None
    kind: Kind | None = None
    profile: Profile | None = None
    version: Version | None = None
    organisation_id: OrganisationId | None = None
    room_id: RoomId | None = None
    alarm: bool = False
    flapping: bool = False
    search: Search = ""
    sort: Sort = Sort.ALARM
    descending: bool = False

    @property
    def is_filtered(self) -> bool:
        """Whether it may exclude anything."""
        return bool(self.said().keys() - {"sort", "descending"})

    def is_as_wide_as(self, other: "Wanted") -> bool:
        """Whether both are about the same terminals, in whatever order."""
        return self.but(sort=other.sort, descending=other.descending) == other

    def said(self) -> dict[str, Any]:
        """What differs from the list that nobody has asked anything of, in plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def but(self, **changed: object) -> "Wanted":
        """The same with something changed; the values are trusted."""
        return self.model_copy(update=changed)

    def sorted_by(self, sort: Sort) -> "Wanted":
        """By that column; by the same one again, the other way round."""
        again = self.sort is sort
        return self.but(sort=sort, descending=not self.descending if again else sort in FIRST_DOWN)


SHORT: Final = {"organisation_id": "organisation", "room_id": "room", "descending": "down"}
"""Fields that addresses call otherwise."""


def read(query: Mapping[str, str]) -> Wanted:
    """What an address asks for. A presence is asked of terminals in service."""
    wanted = known({name: text for name in Wanted.model_fields if (text := query.get(SHORT.get(name, name)))})
    return wanted if wanted.presence is None else wanted.but(service=Service.IN)


def known(said: Mapping[str, Any]) -> Wanted:
    """What was said once, without what is not known (any more)."""
    values: dict[str, Any] = {}
    for name in said.keys() & Wanted.model_fields.keys():
        with suppress(ValidationError):
            values[name] = getattr(Wanted.model_validate({name: said[name]}), name)
    return Wanted(**values)


def query_of(wanted: Wanted) -> dict[str, str]:
    """The other way round, without what goes without saying."""
    said = wanted.said()
    if wanted.presence is not None:
        said.pop("service", None)
    return {SHORT.get(name, name): "yes" if value is True else str(value) for name, value in said.items()}
