"""Builds and parses every MQTT topic of the contract; the only place that spells one.

A terminal's id is its user name, its client id and its place in the topic. Used by the uplink, the cloud and the broker's rules.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from firmware_specs.errors import TopicError

PREFIX: Final = "roomlink/v1"
TERMINAL_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
RESERVED_IDS: Final = frozenset({"roomlink", "roomlink-cloud", "cloud", "broker", "admin"})


class Channel(StrEnum):
    """The part of a topic after the terminal's id."""

    RECORDS = "up/records"
    STATE = "up/state"
    REPORTED = "up/reported"
    STORED = "down/stored"
    DESIRED = "down/desired"
    COMMANDS = "down/commands"


@dataclass(frozen=True, slots=True)
class Topic:
    """One terminal's channel."""

    terminal: str
    channel: Channel

    def __str__(self) -> str:
        return f"{PREFIX}/{self.terminal}/{self.channel}"


def check_terminal_id(terminal: str) -> str:
    """Return the id, or raise TopicError: 1 to 40 of ``a-z 0-9 -``, not at the ends a hyphen, none of the reserved names."""
    if not TERMINAL_ID.fullmatch(terminal):
        raise TopicError(f"terminal id {terminal[:60]!r}: 1 to 40 of a-z, 0-9 and hyphen, such as kiosk-302-a")
    if terminal in RESERVED_IDS:
        raise TopicError(f"terminal id {terminal!r} is reserved")
    return terminal


def topic(terminal: str, channel: Channel) -> str:
    """Spell one terminal's topic."""
    return str(Topic(check_terminal_id(terminal), channel))


def parse(text: str) -> Topic:
    """Read a topic; raises TopicError."""
    parts = text.split("/", 3)
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != PREFIX:
        raise TopicError(f"topic {text[:80]!r} does not begin with {PREFIX}/<terminal>/")
    try:
        channel = Channel(parts[3])
    except ValueError:
        raise TopicError(f"topic {text[:80]!r} ends in no channel of the contract") from None
    return Topic(check_terminal_id(parts[2]), channel)


def every(channel: Channel) -> str:
    """The cloud's subscription for one channel of every terminal."""
    return f"{PREFIX}/+/{channel}"


def downward(terminal: str) -> str:
    """A terminal's only subscription."""
    return f"{PREFIX}/{check_terminal_id(terminal)}/down/#"
