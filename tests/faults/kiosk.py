"""A kiosk without a camera, for the fault tests: the real agent and register, and visitors who never stop coming.

It keeps a journal of its own beside the outbox: what was intended, and what turned green. Run by the harness as a process.
"""

import argparse
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edge.agent import Agent
from edge.errors import EdgeError
from edge.kiosk.decision import Guest
from edge.kiosk.register import Register
from edge.outbox import Accepted, Outbox
from edge.settings import Settings, load_settings
from firmware_specs.messages import CheckIn, Record
from tests.faults.evidence import Intent, JournalWriter

ONE_GUEST_IN = 10
AFTER_FAILURE_S = 0.2


class Journaled:
    """The outbox, with an entry in the journal before and after each append."""

    def __init__(self, outbox: Outbox, journal: JournalWriter) -> None:
        self.visitor: str | None = None
        self._outbox, self._journal = outbox, journal
        self.is_accepted = outbox.is_accepted

    def append(self, records: Sequence[Record], *, accepted: Sequence[Accepted] = ()) -> int:
        """As the outbox's; raises OSError where the journal itself cannot be written, before anything is appended."""
        for record in records:
            if isinstance(record, CheckIn):
                self._journal.intent(Intent(record.id, self.visitor, record.outcome, record.occurrence))
        last = self._outbox.append(records, accepted=accepted)
        for record in records:
            if isinstance(record, CheckIn):
                self._journal.green(record.id)
        return last


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; SIGUSR1 ends the visits, and the agent goes on sending."""
    options = _options(arguments)
    closed, stop = threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: closed.set())

    def end(_number: int, _frame: object) -> None:
        closed.set()
        stop.set()

    signal.signal(signal.SIGTERM, end)
    agent = Agent(load_settings(options.config, Settings))
    agent.start()
    journaled = Journaled(agent.outbox, JournalWriter(options.journal))
    register = Register(journaled, agent.twin, agent.clock, time.monotonic)  # type: ignore[arg-type]
    cards = [(each["text"], each["member_id"]) for each in json.loads(options.cards.read_text())]
    _receive(register, journaled, cards, random.Random(options.seed), closed, 1 / options.pace)
    stop.wait()
    agent.stop()
    return 0


def _receive(
    register: Register,
    journaled: Journaled,
    cards: Sequence[tuple[str, str]],
    chance: random.Random,
    closed: threading.Event,
    pause_s: float,
) -> None:
    """One visitor after the other; where the kiosk cannot keep the record, the visitor is not let in and tries later."""
    while not closed.wait(pause_s):
        try:
            if chance.randrange(ONE_GUEST_IN) == 0:
                journaled.visitor = None
                register.check_in(Guest())
            else:
                text, journaled.visitor = chance.choice(cards)
                register.check_in(register.read(text))
        except (EdgeError, OSError) as error:
            print(f"nobody was let in: {error}", file=sys.stderr, flush=True)
            closed.wait(AFTER_FAILURE_S)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kiosk")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--cards", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--pace", type=float, default=20.0, help="visitors per second")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
