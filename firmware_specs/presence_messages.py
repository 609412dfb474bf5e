"""Births and deaths: the payloads of `up/state`, retained, and of the will."""

from typing import Annotated, Literal

from pydantic import Field

from firmware_specs.fields import VERSION, Major, Number, Text, Uuid, Word, open_words, or_else
from firmware_specs.messages import Message


class Birth(Message):
    """Retained when a connection begins. ``incarnation`` is the stream's id at that moment; ``connection`` counts up in it."""

    v: Major = VERSION
    event: Literal["birth"] = "birth"
    incarnation: Uuid
    connection: Number
    boot: Uuid
    profile: Word
    versions: Annotated[dict[Word, Text], Field(max_length=20)]
    state: Annotated[
        Literal["online", "asleep", "maintenance"],
        or_else("online", "online", "asleep", "maintenance"),
        open_words("online", "online", "asleep", "maintenance"),
    ] = "online"


class Death(Message):
    """The will, and the farewell at an orderly end. It counts only if it names the birth in force."""

    v: Major = VERSION
    event: Literal["death"] = "death"
    incarnation: Uuid
    connection: Number
    reason: Annotated[
        Literal["lost", "stopped", "restarting"],
        or_else("lost", "lost", "stopped", "restarting"),
        open_words("lost", "lost", "stopped", "restarting"),
    ] = "lost"


State = Annotated[Birth | Death, Field(discriminator="event")]
