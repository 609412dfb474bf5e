"""What can go wrong on a terminal, and whether trying again helps.

EdgeError
├── SettingsError            a setting is missing or wrong: no, a person must change it
├── LineTooLong              one line fits into no batch of this broker: no, until the broker allows larger packets
└── OutboxError              nothing was stored, no number was given
    ├── OutboxFull             the budget or the disk is used up: yes, once something was sent or space was made
    ├── OutboxReadOnly         the disk is mounted read-only: yes, once it is writable again
    ├── OutboxUnavailable      the disk reports errors: yes
    ├── OutboxInUse            another agent holds the file: yes, once it has ended
    └── OutboxDamaged          the file is not a sound database: the outbox moves it aside by itself
"""

from typing import Literal

StorageState = Literal["ok", "full", "read_only", "damaged"]


class EdgeError(Exception):
    """Root of all errors of this package; the message is a sentence for a person."""


class SettingsError(EdgeError):
    """A setting is missing or wrong; the sentence names it and gives an example."""


class OutboxError(EdgeError):
    """Nothing was stored. ``state`` is what the screen says about the disk."""

    state: StorageState = "damaged"


class OutboxFull(OutboxError):
    """The space budget or the disk is used up."""

    state = "full"


class OutboxReadOnly(OutboxError):
    """The disk is mounted read-only."""

    state = "read_only"


class OutboxUnavailable(OutboxError):
    """The disk reports errors."""


class OutboxInUse(OutboxError):
    """Another agent holds the file: two would give the same numbers."""


class OutboxDamaged(OutboxError):
    """The file is not a sound database."""


class LineTooLong(EdgeError):
    """The next line does not fit into a batch of the size that the broker allows."""

    def __init__(self, number: int, line_bytes: int, room_bytes: int, needed_bytes: int) -> None:
        super().__init__(f"Record {number} has {line_bytes} bytes; a packet of this broker has room for {room_bytes}.")
        self.number = number
        self.needed_bytes = needed_bytes
        """The size of a batch that holds this line alone."""
