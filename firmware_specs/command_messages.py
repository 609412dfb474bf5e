"""What a terminal is told to do: the payload of `down/commands`. What it says of it is a record (messages.CommandState)."""

from typing import Annotated

from pydantic import Field

from firmware_specs.fields import VERSION, Major, Text, TimeUs, Uuid, Word
from firmware_specs.messages import Message

Argument = Annotated[bool, Field(strict=True)] | Annotated[float, Field(strict=True, ge=-1e15, le=1e15)] | Text


class Command(Message):
    """Something that a terminal is to do once. What it says of it goes into its outbox, as `command_state` records.

    ``deadline_at`` binds a terminal whose clock is synced; any other goes by what is left of the message's expiry (MQTT 5,
    3.3.2.3.3) when it arrives. ``name`` is any word, so that a terminal can say that it does not know a newer cloud's command.
    """

    v: Major = VERSION
    id: Uuid
    name: Word
    arguments: Annotated[dict[Word, Argument], Field(default_factory=dict, max_length=10)]
    issued_at: TimeUs
    deadline_at: TimeUs
