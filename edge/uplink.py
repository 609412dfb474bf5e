"""From the outbox to the cloud and back: one batch in flight, without a socket, a thread or a clock of its own.

Promises that a record is taken as stored only on the cloud's word, and that no answer, repeat or loss makes it spin.
Driven by the MQTT link (edge/link.py), by the fleet, and by the simulation in the tests.
"""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from edge.acknowledgement import Advance, Ignore, OpenStream, Position, Rewind, Wait, judge
from edge.errors import LineTooLong, OutboxError
from edge.outbox import Outgoing
from firmware_specs.fields import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from firmware_specs.messages import Stored, StoredError

log = logging.getLogger(__name__)

LEAST_BATCH_BYTES: Final = 2 * 1024
LEAST_WAIT_S: Final = 0.25
SOON_S: Final = 2.0
"""So late at most goes again what may be lost, once the cloud is known to be there."""
MOST_RESEND_S: Final = 60.0
DISK_WAIT_S: Final = 2.0
TOO_LONG_WAIT_S: Final = 60.0
MOST_FORK_WAIT_S: Final = 600.0
DOUBTS: Final = 3
"""So often a doubtful answer must come to a question before it is believed."""


_SAID: Final[dict[str, str]] = {
    StoredError.BAD_SIGNATURE: "The cloud takes nothing that this terminal signs (bad_signature): claim the terminal again."
}
"""What a person must do, where the cloud's word alone does not say it."""


class Queue(Protocol):
    """What the uplink needs of the outbox; each call is atomic and durable, and raises OutboxError."""

    def position(self) -> Position: ...
    def next_batch(self, max_records: int, max_bytes: int) -> Outgoing | None: ...
    def question(self) -> Outgoing: ...
    def stored(self, stream: str, through: int, epoch: int, rejected: Iterable[int] = ()) -> None: ...
    def saw_epoch(self, epoch: int) -> bool: ...
    def open_stream(self, verdict: OpenStream) -> None: ...


@dataclass(frozen=True, slots=True)
class Publish:
    """A batch to publish now; it is worth nothing after ``expires_s``."""

    payload: bytes
    expires_s: int


@dataclass(frozen=True, slots=True)
class _Flight:
    batch: Outgoing
    resend_at_s: float
    sent_s: float

    @property
    def is_question(self) -> bool:
        return self.batch.count == 0


class Uplink:
    """The sender's state. All times are seconds of one monotonic clock, given by the caller.

    Call `connected`, `disconnected`, `answered`, `appended` and `heard` as these happen, then `step` until it returns None,
    and again at `wake_at_s`. Not for several threads at once.
    """

    def __init__(self, queue: Queue, *, resend_timeout_s: float = 20.0, chance: random.Random | None = None) -> None:
        self.resend_timeout_s = resend_timeout_s
        self.problem: str | None = None
        self.answer_s: float | None = None
        self._queue = queue
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not secrets
        self._is_connected = False
        self._flight: _Flight | None = None
        self._must_ask = False
        self._idle = False
        self._not_before_s = 0.0
        self._tries = 0
        self._cuts = 0
        self._doubts = 0
        self._forks = 0
        self._allowed_bytes = MAX_BATCH_BYTES
        self._max_bytes = MAX_BATCH_BYTES
        self._max_records = MAX_BATCH_RECORDS

    @property
    def in_flight(self) -> int:
        """Records in the batch that waits for its answer."""
        return 0 if self._flight is None else self._flight.batch.count

    # --- inputs ---------------------------------------------------------------------------------------------------

    def connected(self, now_s: float, max_payload_bytes: int | None = None) -> None:
        """A connection is up and the answers' topic is subscribed. ``max_payload_bytes`` is what the broker lets through."""
        self._is_connected = True
        self._allowed_bytes = min(MAX_BATCH_BYTES, max_payload_bytes or MAX_BATCH_BYTES)
        self._max_bytes = min(self._max_bytes, self._allowed_bytes) if self._cuts else self._allowed_bytes
        self._flight, self._must_ask, self._idle = None, True, False
        self._tries, self._not_before_s, self.problem = 0, now_s, None

    def disconnected(self) -> None:
        """The connection is gone. A broker may cut it for the size of a batch without saying so: then try smaller ones."""
        flight, self._flight = self._flight, None
        self._is_connected = False
        if flight is not None and not flight.is_question:
            self._cuts += 1
            if self._cuts > 1:
                self._shrink(flight.batch)

    def appended(self) -> None:
        """There is something new in the outbox."""
        self._idle = False

    def heard(self, now_s: float, epoch: int | None = None) -> None:
        """Something else came from the cloud: it is alive, so a long wait for an answer is cut short."""
        if epoch is not None and self._queue.saw_epoch(epoch):
            self._ask()
        elif self._tries:
            self._hurry(now_s)

    def sync(self, now_s: float) -> None:
        """Somebody wants to know now how far the cloud is: ask, whatever was waited for."""
        self._not_before_s, self._tries = now_s, 0
        self._ask()

    def answered(self, now_s: float, answer: Stored) -> None:
        """A `down/stored` came."""
        position = self._queue.position()
        verdict = judge(position, answer)
        flight, sent_again = self._flight, self._tries > 0
        if not isinstance(verdict, OpenStream) or verdict.sure:
            self._doubts = 0
        match verdict:
            case Advance():
                self._advance(verdict, position, answer)
            case Rewind():
                self._rewind(verdict, position.state.stream)
            case OpenStream():
                self._open_stream(now_s, verdict)
            case Wait():
                self._wait(now_s, verdict)
            case Ignore():
                log.debug("answer ignored: %s", verdict.reason)
        if flight is not None and self._flight is None and not sent_again and isinstance(verdict, Advance):
            self.answer_s = now_s - flight.sent_s
        if answer.unasked and isinstance(verdict, Advance | Rewind):
            self._hurry(now_s)

    # --- output ---------------------------------------------------------------------------------------------------

    def step(self, now_s: float) -> Publish | None:
        """What to publish now, if anything."""
        if not self._is_connected or now_s < self._not_before_s:
            return None
        if self._flight is not None:
            if now_s < self._flight.resend_at_s:
                return None
            self._time_out(self._flight)
        elif self._idle and not self._must_ask:
            return None
        return self._send(now_s)

    @property
    def wake_at_s(self) -> float | None:
        """When `step` has something to do, if no input comes before; None where it only waits for inputs."""
        if not self._is_connected:
            return None
        if self._flight is not None:
            return max(self._flight.resend_at_s, self._not_before_s)
        return None if self._idle and not self._must_ask else self._not_before_s

    def _send(self, now_s: float) -> Publish | None:
        try:
            batch = self._queue.question() if self._must_ask else self._next_batch()
        except LineTooLong as error:
            self._report(now_s, str(error), TOO_LONG_WAIT_S)
            return None
        except OutboxError as error:
            self._report(now_s, str(error), DISK_WAIT_S)
            return None
        if batch is None:
            self._idle = True
            return None
        if len(batch.payload) > self._allowed_bytes:
            self._report(now_s, f"The broker's packets hold {self._allowed_bytes} bytes: too few.", TOO_LONG_WAIT_S)
            return None
        self._must_ask = False
        self._flight = _Flight(batch, now_s + self._resend_after_s(), now_s)
        return Publish(batch.payload, max(1, round(self.resend_timeout_s)))

    def _hurry(self, now_s: float) -> None:
        """What is in flight may be lost: it goes again soon, unless its answer comes first. Not at once, and by chance, so that
        a thousand terminals of a cloud that came back do not send together."""
        if self._flight is not None:
            soon_s = now_s + self._chance.uniform(LEAST_WAIT_S, SOON_S)
            self._flight = _Flight(self._flight.batch, min(self._flight.resend_at_s, soon_s), self._flight.sent_s)

    def _time_out(self, flight: _Flight) -> None:
        """No answer. After the second time it may be the size that something in between does not let through."""
        self._tries += 1
        self._flight = None
        if flight.is_question:
            self._must_ask = True
        elif self._tries > 1:
            self._shrink(flight.batch)

    def _next_batch(self) -> Outgoing | None:
        """Where batches were made smaller than the next line, that line goes alone: too long is only what no packet holds."""
        try:
            return self._queue.next_batch(self._max_records, self._max_bytes)
        except LineTooLong as error:
            if self._max_bytes >= self._allowed_bytes:
                raise
            self._max_bytes = min(self._allowed_bytes, error.needed_bytes)
            return self._queue.next_batch(1, self._allowed_bytes)

    def _resend_after_s(self) -> float:
        """Exponential, up to a quarter of jitter on top: the first repeat never comes before the timeout."""
        longest_s = max(self.resend_timeout_s, min(MOST_RESEND_S, 8 * self.resend_timeout_s))
        return min(longest_s, self.resend_timeout_s * 2.0 ** min(self._tries, 10)) * self._chance.uniform(1.0, 1.25)

    # --- verdicts -------------------------------------------------------------------------------------------------

    def _advance(self, verdict: Advance, position: Position, answer: Stored) -> None:
        state = position.state
        moved = verdict.through > state.through
        if moved or verdict.epoch > state.through_epoch or answer.rejected:
            self._queue.stored(state.stream, verdict.through, verdict.epoch, answer.rejected or ())
        self._forks = 0
        if moved:
            self._tries = self._cuts = 0
            self._grow()
        if moved or (self._flight is not None and self._flight.is_question):
            self._flight, self._idle, self.problem = None, False, None

    def _rewind(self, verdict: Rewind, stream: str) -> None:
        """An old answer may say less within an epoch: then what is in flight is not sent again before its time."""
        self._queue.stored(stream, verdict.through, verdict.epoch)
        log.info("the cloud has records through %d: sending again from there", verdict.through)
        self._idle = False
        if verdict.sure or self._flight is None or self._flight.is_question:
            self._flight, self._tries = None, 0

    def _open_stream(self, now_s: float, verdict: OpenStream) -> None:
        if not verdict.sure and not self._confirmed():
            return
        if self._forks:
            wait_s = min(MOST_FORK_WAIT_S, 2.0 ** min(self._forks, 10))
            self._not_before_s = now_s + wait_s * self._chance.uniform(1.0, 1.25)
        self._queue.open_stream(verdict)
        self._forks += 1
        self._flight, self._tries, self._idle = None, 0, False

    def _confirmed(self) -> bool:
        """Whether a doubtful answer came often enough, each time to a new question."""
        if self._flight is None or not self._flight.is_question:
            self._ask()
            return False
        self._doubts += 1
        self._ask()
        return self._doubts >= DOUBTS

    def _ask(self) -> None:
        self._flight, self._must_ask = None, True

    def _wait(self, now_s: float, verdict: Wait) -> None:
        if verdict.epoch > self._queue.position().state.epoch:
            self._queue.saw_epoch(verdict.epoch)
            self._must_ask = True
        if self._flight is None:
            return
        if verdict.smaller and (self._tries or verdict.error == StoredError.TOO_LARGE):
            self._shrink(self._flight.batch)
        self._must_ask = self._must_ask or self._flight.is_question
        backoff_s = min(MOST_RESEND_S, LEAST_WAIT_S * 2.0 ** min(self._tries, 10))
        self._tries += 1
        self._flight = None
        said = _SAID.get(verdict.error, f"The cloud answered {verdict.error}.")
        self._report(now_s, said, max(verdict.retry_after_s, backoff_s))

    def _report(self, now_s: float, problem: str, wait_s: float) -> None:
        """Say what stands in the way, once, and try again later."""
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem
        self._not_before_s = now_s + wait_s * self._chance.uniform(1.0, 1.25)

    def _shrink(self, batch: Outgoing) -> None:
        self._max_records = max(1, batch.count // 2)
        self._max_bytes = max(min(LEAST_BATCH_BYTES, self._allowed_bytes), len(batch.payload) // 2)

    def _grow(self) -> None:
        self._max_records = min(MAX_BATCH_RECORDS, self._max_records * 2)
        self._max_bytes = min(self._allowed_bytes, self._max_bytes * 2)
