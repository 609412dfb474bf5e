"""The terminal's copy of its desired twin and of the files that it names; what is in force, and what is reported.

Promises that a twin or file in force stays so until a newer one is whole and checked, over restarts and for weeks; only a
file of occurrences counts for no other twin than the one that names it, because an old one would tell of dates that were moved.
Called by the link (receive, reported), the kiosk (current, roster, revoked) and the fetcher.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.errors import OutboxError
from edge.outbox import Outbox
from edge.roster import Roster, bounded_lines
from firmware_specs import profiles
from firmware_specs.errors import DecodeError
from firmware_specs.fields import as_text
from firmware_specs.messages import Desired, FileReference, Occurrence, Reported
from firmware_specs.profile_settings import Misfit, Settings, Value, defaults, read_desired, value_text
from firmware_specs.roster import read_occurrences, read_revocations
from firmware_specs.wire import encode

log = logging.getLogger(__name__)

ROSTER: Final = "roster"
REVOCATIONS: Final = "revocations"
OCCURRENCES: Final = "occurrences"
DESIRED: Final = "desired"
"""Under this name it is reported that a desired twin could not be read."""
KINDS: Final = (REVOCATIONS, OCCURRENCES, ROSTER)
"""In the order in which they are read and fetched: a revoked card is to be refused first of all."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """A revocation file: the cloud's epoch when it was written, and the revoked card ids (16 hex digits)."""

    epoch: int
    revoked: frozenset[str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A file of occurrences: all coming ones, and from when on (microseconds) nothing is known."""

    until: int
    occurrences: list[Occurrence]


Content = Roster | Revocations | Schedule
"""What a file holds, by its kind."""


class TwinStore:
    """What the cloud wants of this terminal. Reading never blocks and never raises."""

    def __init__(self, outbox: Outbox, files_dir: Path, profile: str = "kiosk") -> None:
        """``profile`` says which settings there are; one that this agent does not know yet has those of a kiosk."""
        self.files_dir = files_dir
        self._settings: Settings = profiles.load(profile if profile in profiles.NAMES else "kiosk").settings
        self._set: dict[str, Value] = defaults(self._settings)
        self._outbox = outbox
        self._lock = threading.Lock()
        self._desired: Desired | None = None
        self._whole: Desired | None = None
        self._schedule: Schedule | None = None
        self._roster: Roster | None = None
        self._revocations = Revocations(0, frozenset())
        self._in_force: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._to_report = True
        self._told: dict[str, str] = {}
        self._listeners: list[Callable[[], None]] = []

    def load(self) -> None:
        """Take the kept twin in force; its files follow from the fetcher's own thread."""
        try:
            document = self._outbox.load_twin()
            read = None if document is None else read_desired(document, self._settings, self._set)
        except (OutboxError, DecodeError) as error:
            log.warning("the kept twin cannot be read: %s", error)
            return
        if read is not None:
            self._take(*read)

    # --- for the kiosk --------------------------------------------------------------------------------------------

    def current(self) -> Desired | None:
        """The twin in force, with all occurrences of the file that it names, once that is here; None before the first."""
        return self._whole

    def roster(self) -> Roster | None:
        """The roster in force; None before the first, and under a twin that names none."""
        return self._roster if ROSTER in self.wanted() else None

    def revoked(self) -> frozenset[str]:
        """Ids of revoked cards, 16 hex digits each."""
        return self._revocations.revoked

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, number) of the twin in force; (0, 0) before the first."""
        return (0, 0) if self._desired is None else self._desired.version

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each change of twin, roster or revocations, from whichever thread made it."""
        self._listeners.append(listener)

    # --- for the link ---------------------------------------------------------------------------------------------

    def receive(self, payload: bytes) -> int | None:
        """A desired twin arrived: its epoch. One older than that in force, or than a restore, changes nothing.

        A setting that this terminal does not take stays as it is in force, and is reported. Raises DecodeError for what is no
        twin.
        """
        try:
            desired, refused = read_desired(payload, self._settings, self._set)
        except DecodeError as error:
            self.note_problem(DESIRED, f"not taken: {error}")
            raise
        if desired.version > self.version and desired.version[0] >= self._outbox.epoch:
            self._keep(payload)
            self._take(desired, refused)
        return desired.version[0]

    def tell(self, settings: Mapping[str, str]) -> None:
        """Report these settings, too: what is in force here by other means than the twin."""
        with self._lock:
            self._told = dict(settings)
        self._to_report = True

    def connected(self) -> None:
        """A connection begins: the broker may have lost what was reported."""
        self._to_report = True

    def reported(self) -> bytes | None:
        """The reported twin where it is due to be published; None where it was given out already, or there is no twin."""
        if not self._to_report or self._desired is None:
            return None
        with self._lock:
            self._to_report = False
            wanted = {kind: reference.sha256 for kind, reference in self.wanted().items()}
            here = all(self._in_force.get(kind) == sha256 for kind, sha256 in wanted.items())
            applied = here and not self._problems.keys() & self._settings.keys()
            in_force = {name: value_text(value) for name, value in self._set.items()} | self._told
            problems = [as_text(f"{kind}: {problem}") for kind, problem in sorted(self._problems.items())]
        return encode(Reported(version=self.version, applied=applied, problems=problems[:20], settings=in_force))

    # --- for the fetcher ------------------------------------------------------------------------------------------

    def wanted(self) -> dict[str, FileReference]:
        """The files that the twin in force names, by their kind."""
        desired = self._desired
        if desired is None:
            return {}
        named = {
            OCCURRENCES: desired.occurrences_file,
            ROSTER: desired.roster,
            REVOCATIONS: desired.revocations,
        }
        return {kind: reference for kind, reference in named.items() if reference is not None}

    def missing(self) -> dict[str, FileReference]:
        """Those of them that are not in force yet."""
        return {kind: r for kind, r in self.wanted().items() if self._in_force.get(kind) != r.sha256}

    def read_file(self, kind: str, file: Path) -> Content:
        """Read a file that is whole; raises DecodeError where it breaks the contract, OSError where it cannot be read."""
        if kind == ROSTER:
            return Roster.load(file)
        with file.open("rb") as lines:
            if kind == OCCURRENCES:
                schedule, occurrences = read_occurrences(bounded_lines(lines))
                return Schedule(schedule.until, occurrences)
            head, revoked = read_revocations(bounded_lines(lines))
        if head.epoch < self._revocations.epoch:
            raise DecodeError(
                "line 1", f"epoch {head.epoch} is older than {self._revocations.epoch}, which is in force"
            )
        return Revocations(head.epoch, revoked)

    def put_in_force(self, content: Content, sha256: str) -> None:
        """Use what `read_file` gave from now on."""
        with self._lock:
            if isinstance(content, Roster):
                kind, self._roster = ROSTER, content
            elif isinstance(content, Schedule):
                kind, self._schedule = OCCURRENCES, content
            else:
                kind, self._revocations = REVOCATIONS, content
            self._in_force[kind] = sha256
            self._compose()
        self.note_problem(kind, None)

    def note_problem(self, kind: str, problem: str | None) -> None:
        """What stands in the way of a part of the twin, for the report; None once it is well."""
        problem = None if problem is None else as_text(problem)
        with self._lock:
            before = self._problems.get(kind)
            if problem is None:
                self._problems.pop(kind, None)
            else:
                self._problems[kind] = problem
        if problem != before and problem is not None:
            log.warning("%s: %s", kind, problem)
        if problem is None or problem != before:
            self._changed()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _keep(self, payload: bytes) -> None:
        """On the disk for weeks without a network; in force all the same where the disk does not take it."""
        try:
            self._outbox.save_twin(payload)
        except OutboxError as error:
            self.note_problem("twin", f"not kept: {error}")
        else:
            self._problems.pop("twin", None)

    def _take(self, desired: Desired, refused: Sequence[Misfit]) -> None:
        with self._lock:
            self._desired = desired
            self._set = {name: getattr(desired, name) for name in self._settings}
            for name in (DESIRED, *self._settings):
                self._problems.pop(name, None)
            self._problems |= {each.name: as_text(each.says) for each in refused}
            self._compose()
        for each in refused:
            log.warning("setting %s of twin %d stays as it is: %s", each.name, desired.version[1], each.says)
        self._outbox.config = desired.version
        log.info("twin %d of epoch %d is in force", desired.version[1], desired.version[0])
        self._changed()

    def _compose(self) -> None:
        """Put the twin and the file of occurrences that it names together; the caller holds the lock."""
        self._whole, schedule = self._desired, self._schedule
        named = self.wanted().get(OCCURRENCES)
        here = named is not None and self._in_force.get(OCCURRENCES) == named.sha256
        if here and self._desired is not None and schedule is not None:
            all_of_them = {"occurrences": schedule.occurrences, "occurrences_until": schedule.until}
            self._whole = self._desired.model_copy(update=all_of_them)

    def _changed(self) -> None:
        self._to_report = True
        for listener in self._listeners:
            listener()
