"""What can go wrong on a terminal, and whether trying again helps.

EdgeError
├── SettingsError            a setting is missing or wrong: no, a person must change it
│   └── Unclaimed              the terminal is nobody yet, or its identity is damaged: yes, once it was claimed
├── IdentityError            key, certificate or claim on the disk are damaged, or what came is not for this terminal: no
├── EnrolmentError           the cloud did not do what a claim or a renewal asked: yes, unless it refused (4xx)
├── ExportFailed             the file for what the outbox holds could not be written: yes, to another place
├── LineTooLong              one line fits into no batch of this broker: no, until the broker allows larger packets
└── OutboxError              nothing was stored, no number was given
    ├── OutboxFull             the budget or the disk is used up: yes, once something was sent or space was made
    ├── OutboxReadOnly         the disk is mounted read-only: yes, once it is writable again
    ├── OutboxUnavailable      the disk reports errors: yes
    ├── OutboxInUse            another agent holds the file: yes, once it has ended
    └── OutboxDamaged          the file is not a sound database: the outbox moves it aside by itself
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

StorageState = Literal["ok", "full", "read_only", "damaged"]


class EdgeError(Exception):
    """Root of all errors of this package; the message is a sentence for a person."""


class SettingsError(EdgeError):
    """A setting is missing or wrong; the sentence names it and gives an example."""


class Unclaimed(SettingsError):
    """Nothing says which terminal this is; ``folder`` is its data folder, ``kiosk`` what is set of its screen."""

    def __init__(self, sentence: str, folder: Path, kiosk: Mapping[str, Any] | None) -> None:
        super().__init__(sentence)
        self.folder, self.kiosk = folder, kiosk


class IdentityError(EdgeError):
    """The terminal's identity cannot be used as it is; the sentence says what to do."""


class EnrolmentError(EdgeError):
    """A claim or a renewal did not come to its end. ``status``: the cloud's answer (RFC 9110, 15), where there was one."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class ExportFailed(EdgeError):
    """The exported outbox could not be written; nothing in the outbox itself is lost."""


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
        self._line_bytes, self._room_bytes = line_bytes, room_bytes
        self.needed_bytes = needed_bytes
        """The size of a batch that holds this line alone."""

    def with_more(self, around_bytes: int) -> "LineTooLong":
        """The same where the batch has so many more bytes around its lines."""
        return LineTooLong(self.number, self._line_bytes, self._room_bytes, self.needed_bytes + around_bytes)
