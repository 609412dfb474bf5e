"""What the cloud may say of a terminal's connection (design, section 3, Presence). Pure.

Promises that nothing stale makes a terminal online: only its own live birth does, or a live message of a terminal that is
merely suspect. Births and wills carry (incarnation, connection); the pair in force is that of the newest birth.
Called by ingest with what comes on `up/state`, and when something else is heard.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from firmware_specs.presence_messages import Birth, Death

SILENT_US: Final = 300_000_000
"""A terminal that is online and says nothing for so long is suspect, unless its health samples are farther apart."""
SAMPLES: Final = 2
"""It may be silent for as long as so many of its health samples are apart: one may be late."""
HEARD_EVERY_US: Final = 5_000_000
"""How exactly the time when a terminal was last heard is kept."""


class Presence(StrEnum):
    """What is known. `suspect`: it was online, but the broker or the cloud was away since, or it is silent."""

    NEVER = "never"
    ONLINE = "online"
    SUSPECT = "suspect"
    OFFLINE = "offline"
    ASLEEP = "asleep"
    MAINTENANCE = "maintenance"


CONNECTED: Final = frozenset({Presence.ONLINE, Presence.ASLEEP, Presence.MAINTENANCE})


@dataclass(frozen=True, slots=True)
class Standing:
    """A terminal's presence since `since_at`, and the birth in force, with the state that it says. Times in microseconds."""

    presence: Presence = Presence.NEVER
    since_at: int | None = None
    incarnation: str | None = None
    connection: int | None = None
    heard_at: int | None = None
    said: Presence = Presence.ONLINE


def on_state(standing: Standing, message: Birth | Death, at: int, *, retained: bool) -> Standing:
    """A birth or a death came, live or as the broker's retained copy."""
    if isinstance(message, Birth):
        return _on_birth(standing, message, at, retained=retained)
    return _on_death(standing, message, at, retained=retained)


def is_second(standing: Standing, birth: Birth, boot: str | None) -> bool:
    """Whether a live birth tells of two devices with one identity, or of a disk that was put back to an older copy.

    Each device counts on its own disk: the number goes back, or is the one in force while the `boot` of that birth was another
    (copies of one disk that cut each other off count up in step). A birth that is delivered twice has the same boot.
    """
    if birth.incarnation != standing.incarnation or standing.connection is None:
        return False
    same = birth.connection == standing.connection and boot is not None and birth.boot != boot
    return same or birth.connection < standing.connection


def on_heard(standing: Standing, at: int) -> Standing:
    """Something else came from it, live. It may have waited in a broker, so it never renews a dead connection."""
    heard = replace(standing, heard_at=max(at, standing.heard_at or 0))
    if standing.presence in {Presence.SUSPECT, Presence.NEVER}:
        return _become(heard, standing.said if standing.presence is Presence.SUSPECT else Presence.SUSPECT, at)
    return heard


def is_no_news(standing: Standing, at: int) -> bool:
    """Whether hearing it now changes nothing that anybody would notice: it saves a row written twice a second."""
    known = standing.presence not in {Presence.SUSPECT, Presence.NEVER}
    return known and standing.heard_at is not None and 0 <= at - standing.heard_at < HEARD_EVERY_US


def on_broker_lost(standing: Standing, at: int) -> Standing:
    """The cloud was cut off from the broker, or did not run: until a terminal speaks nothing is known of it."""
    return _become(standing, Presence.SUSPECT, at) if standing.presence in CONNECTED else standing


def silent_us(health_every_s: float | None) -> int:
    """How long a terminal may say nothing, by its own setting."""
    return max(SILENT_US, int(SAMPLES * (health_every_s or 0) * 1_000_000))


def on_time(standing: Standing, at: int, may_be_silent_us: int = SILENT_US) -> Standing:
    """Time has passed."""
    silent = at - max(standing.heard_at or 0, standing.since_at or 0) > may_be_silent_us
    return _become(standing, Presence.SUSPECT, at) if standing.presence is Presence.ONLINE and silent else standing


def _on_birth(standing: Standing, birth: Birth, at: int, *, retained: bool) -> Standing:
    if not retained:
        return _become(_in_force(standing, birth, at), Presence(birth.state), at)
    if _is_older(standing, birth) or (_is_in_force(standing, birth) and standing.presence is not Presence.NEVER):
        return standing
    return _become(_in_force(standing, birth, standing.heard_at), Presence.SUSPECT, at)


def _on_death(standing: Standing, death: Death, at: int, *, retained: bool) -> Standing:
    """It counts if it names the birth in force; retained, also if it names a later one, which came while we were away."""
    if _is_in_force(standing, death):
        return _become(standing, Presence.OFFLINE, at)
    if not retained or _is_older(standing, death):
        return standing
    return _become(_in_force(standing, death, standing.heard_at), Presence.OFFLINE, at)


def _is_in_force(standing: Standing, message: Birth | Death) -> bool:
    return (message.incarnation, message.connection) == (standing.incarnation, standing.connection)


def _is_older(standing: Standing, message: Birth | Death) -> bool:
    """Whether a retained message is known to be no news. Numbers of two incarnations cannot be compared: while the birth
    in force was heard live, and is not over, the other one is the old one."""
    if standing.incarnation is None or standing.connection is None:
        return False
    if message.incarnation == standing.incarnation:
        return message.connection < standing.connection
    return standing.presence in CONNECTED


def _in_force(standing: Standing, message: Birth | Death, heard_at: int | None) -> Standing:
    said = Presence(message.state) if isinstance(message, Birth) else Presence.ONLINE
    return replace(
        standing, incarnation=message.incarnation, connection=message.connection, heard_at=heard_at, said=said
    )


def _become(standing: Standing, presence: Presence, at: int) -> Standing:
    return standing if standing.presence is presence else replace(standing, presence=presence, since_at=at)
