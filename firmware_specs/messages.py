"""The payloads of the contract, as pydantic models: the only definition of each.

Fields and words may be added within version 1: unknown fields are ignored, and a word that only informs (a reason, a flag,
an error, a clock's quality) never makes a message unreadable. Times are integer microseconds since 1970-01-01T00:00:00Z.
Beside them lie presence (`presence_messages`), commands (`command_messages`) and what is in files (`file_messages`).
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from firmware_specs.fields import (
    MAX_BATCH_RECORDS,
    MAX_OCCURRENCES,
    VERSION,
    Chain,
    CredentialId,
    FilePath,
    HeaderCheck,
    HeaderSign,
    Issuer,
    KeyId,
    Major,
    MonoMs,
    Number,
    OccurrenceId,
    Position,
    Sha256,
    Subject,
    Text,
    TimeUs,
    Uuid,
    Version,
    Word,
    open_words,
    or_else,
)


class Message(BaseModel):
    """Base of every payload: frozen, unknown fields ignored, no silent NaN."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Clock(StrEnum):
    """How far the terminal trusts its own wall clock."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSET = "unset"

    @classmethod
    def _missing_(cls, value: object) -> "Clock | None":
        """A newer terminal's word is not trusted, and its record is not lost for it."""
        return cls.UNSET if isinstance(value, str) else None


ClockQuality = Annotated[Clock, open_words("unset", "synced", "holdover", "unset")]


# --- the batch ---------------------------------------------------------------------------------------------------


class Parent(Message):
    """The stream that this one continues after a fork: the last number known to be stored there, and its own chain at it."""

    stream: Uuid
    through: Position
    chain: Chain


class Header(Message):
    """First line of a batch. ``count`` 0 asks how far the cloud is: then ``first`` is the number that would come next.

    ``check`` covers the header itself, which the chain does not; `wire.encode_batch` writes it,
    and ``sign`` where it is given a signer (`signing`).
    """

    v: Major
    stream: Uuid
    parent: Parent | None = None
    first: Number
    count: Annotated[int, Field(strict=True, ge=0, le=MAX_BATCH_RECORDS)]
    prev: Chain
    chain: Chain
    sent_at: TimeUs
    sent_mono_ms: MonoMs
    boot: Uuid
    clock: ClockQuality
    sign: HeaderSign | None = None
    check: HeaderCheck | None = None


class StoredError(StrEnum):
    """Why a batch changed nothing."""

    BROKEN = "broken"
    FORK = "fork"
    FOREIGN_STREAM = "foreign_stream"
    TOO_MANY_STREAMS = "too_many_streams"
    UNKNOWN_VERSION = "unknown_version"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    BAD_SIGNATURE = "bad_signature"


class Stored(Message):
    """The cloud's answer: everything of ``stream`` through ``through`` is stored. ``busy`` comes without through and chain.

    ``unasked``: it answers a birth, not a batch; what is in flight may be lost.
    """

    v: Major = VERSION
    epoch: Position
    stream: Uuid | None = None
    through: Position | None = None
    chain: Chain | None = None
    error: Annotated[StoredError | Word, Field(union_mode="left_to_right")] | None = None
    retry_after_s: Annotated[float, Field(strict=True, ge=0, le=86_400)] | None = None
    rejected: Annotated[list[Number], Field(max_length=MAX_BATCH_RECORDS)] | None = None
    unasked: Annotated[bool, Field(strict=True)] | None = None


# --- records -----------------------------------------------------------------------------------------------------


class RecordBase(Message):
    """What every record carries."""

    id: Uuid
    at: TimeUs
    boot: Uuid
    mono_ms: MonoMs
    clock: ClockQuality
    config: Version


class Gap(Message):
    """Numbers of the parent stream that nobody has any more."""

    stream: Uuid
    first: Number
    last: Number
    reason: Word

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("a gap's last number comes before its first")
        return self


class Started(RecordBase):
    """The agent began to run, or opened a new stream; declares a gap where records were lost."""

    type: Literal["started"] = "started"
    versions: Annotated[dict[Word, Text], Field(max_length=20)]
    reason: Word
    gap: Gap | None = None


class Dropped(RecordBase):
    """Stands in the place of a health sample that was never sent, because space was needed."""

    type: Literal["dropped"] = "dropped"
    dropped_type: Word
    reason: Word


class CredentialReference(Message):
    """Whose card was shown: opaque. A typed card number gives only the id."""

    issuer: Issuer | None = None
    subject: Subject | None = None
    id: CredentialId
    key_id: KeyId | None = None


class Method(StrEnum):
    """How a person was checked in."""

    QR = "qr"
    STAFF = "staff"
    GUEST = "guest"


class Outcome(StrEnum):
    """What the kiosk decided."""

    ACCEPTED = "accepted"
    ALREADY_IN = "already_in"
    VISIT = "visit"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why it was refused."""

    NOT_FOR_THIS_ACTIVITY = "not_for_this_activity"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REVOKED = "revoked"
    UNKNOWN_ISSUER = "unknown_issuer"
    FORGED = "forged"
    UNREADABLE = "unreadable"


class Flag(StrEnum):
    """What a later reader should know about an accepted check-in."""

    CLOCK_UNSURE = "clock_unsure"
    NOT_IN_ROSTER = "not_in_roster"
    NO_ROSTER = "no_roster"
    NOT_VERIFIED = "not_verified"
    """The terminal had no twin yet, so no key to check the signature with; the cloud knows whether the card exists."""
    NO_SCHEDULE = "no_schedule"
    """The terminal knew nothing of what is on any more; the cloud chooses the occurrence by time and room."""


class CheckIn(RecordBase):
    """A person was at the kiosk. ``credential`` is absent for guests and unreadable codes."""

    type: Literal["check_in"] = "check_in"
    method: Method
    outcome: Outcome
    credential: CredentialReference | None = None
    occurrence: OccurrenceId | None = None
    reason: Annotated[Reason | Word, Field(union_mode="left_to_right")] | None = None
    flags: Annotated[list[Annotated[Flag | Word, Field(union_mode="left_to_right")]], Field(max_length=8)] = []


class CheckOut(RecordBase):
    """A member touched "leave" and showed the card."""

    type: Literal["check_out"] = "check_out"
    credential: CredentialReference
    occurrence: OccurrenceId | None = None


class Interaction(RecordBase):
    """Touches of one screen within one minute, and whether help was called; never one by one."""

    type: Literal["interaction"] = "interaction"
    screen: Word
    minute_at: TimeUs
    touches: Annotated[int, Field(strict=True, ge=0, le=100_000)]
    help_called: Annotated[int, Field(strict=True, ge=0, le=1_000)] = 0


Metric = Annotated[float, Field(strict=True, ge=-1e15, le=1e15)]


class Health(RecordBase):
    """One sample of the measurements that the terminal's profile names; units are in the profile."""

    type: Literal["health"] = "health"
    metrics: Annotated[dict[Word, Metric], Field(max_length=64)]


class CommandWord(StrEnum):
    """What a terminal says of a command. Accepted: kept, nothing done yet. Expired: past its deadline, and not carried out."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


class CommandState(RecordBase):
    """A command's new state, in the terminal's own word; ``failed`` says why, such as `interrupted` or `unknown_command`."""

    type: Literal["command_state"] = "command_state"
    command: Uuid
    state: CommandWord
    reason: Word | None = None
    detail: Text | None = None
    results: Annotated[dict[Word, Text], Field(max_length=32)] = {}


AnyRecord = Started | Dropped | CheckIn | CheckOut | Interaction | Health | CommandState
Record = Annotated[AnyRecord, Field(discriminator="type")]
FACT_TYPES: Final = frozenset({"check_in", "check_out", "interaction", "command_state"})
"""Record types whose ids are unique over all streams; a copy in a new stream counts once."""


# --- the twin ---------------------------------------------------------------------------------------------------


class RoomFacts(Message):
    """The room that a terminal stands in."""

    id: Text
    number: Text
    name: Text
    name_en: Text = ""


class OrganisationFacts(Message):
    """The branch that the room belongs to."""

    id: Text
    name: Text
    name_en: Text = ""
    timezone: Text


class Occurrence(Message):
    """One date of an activity. An empty audience means everybody; it includes the organisations below those named."""

    id: OccurrenceId
    title: Text
    title_en: Text = ""
    starts_at: TimeUs
    ends_at: TimeUs
    opens_at: TimeUs
    audience: Annotated[list[Text], Field(max_length=50)] = []


class IssuerKey(Message):
    """A key whose signatures a kiosk accepts."""

    issuer: Issuer
    key_id: KeyId
    public_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="Ed25519, hex")]


class FileReference(Message):
    """A file too large for the twin: fetched over HTTP with the terminal's own credential, checked by its hash."""

    sha256: Sha256
    size: Annotated[int, Field(strict=True, ge=0, le=1 << 30)]
    path: FilePath


class Desired(Message):
    """The desired twin, version 0: what a kiosk needs to decide for weeks without a network.

    ``occurrences`` are the coming ones in order of their start; where not all fit, ``occurrences_until`` is when the first of
    those left out opens, from when on the terminal knows nothing of what is on, unless it has ``occurrences_file``, which
    holds all of them.
    """

    v: Major = VERSION
    version: Version
    room: RoomFacts | None = None
    organisation: OrganisationFacts | None = None
    language: Annotated[Literal["zh", "en"], or_else("en", "zh", "en"), open_words("en", "zh", "en")] = "zh"
    occurrences: Annotated[list[Occurrence], Field(max_length=MAX_OCCURRENCES)] = []
    occurrences_until: TimeUs | None = None
    occurrences_file: FileReference | None = None
    issuer_keys: Annotated[list[IssuerKey], Field(max_length=16)] = []
    roster: FileReference | None = None
    revocations: FileReference | None = None
    staff_pin_hash: Annotated[str, StringConstraints(max_length=200)] | None = None
    resend_timeout_s: Annotated[float, Field(strict=True, ge=1, le=600)] = 20.0
    health_every_s: Annotated[float, Field(strict=True, ge=5, le=86_400)] = 60.0


class Reported(Message):
    """The reported twin: which desired version is in force, and what of it could not be applied."""

    v: Major = VERSION
    version: Version
    applied: Annotated[bool, Field(strict=True)]
    problems: Annotated[list[Text], Field(max_length=20)] = []
    settings: Annotated[dict[Word, Text], Field(max_length=64)] = {}
