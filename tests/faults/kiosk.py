"""A kiosk without a camera, for the fault tests: the real agent and register, and visitors who never stop coming.

It keeps a journal of its own beside the outbox: what was intended, what turned green, which commands it was about to carry out.
Run by the harness as a process.
"""

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import edge.agent
from edge import actions
from edge.agent import Agent
from edge.clock import Clock
from edge.commands import Action, Arguments, Commands, Results
from edge.errors import EdgeError
from edge.kept_commands import KeptCommand
from edge.kiosk.decision import Guest
from edge.kiosk.register import Register
from edge.outbox import Accepted, Outbox
from edge.settings import Settings, load_settings
from firmware_specs.messages import CheckIn, Record
from tests.faults.evidence import Intent, JournalWriter

ONE_GUEST_IN = 10
AFTER_FAILURE_S = 0.2
LOOK_EVERY_S = 0.2
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


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


def journaled_commands(journal: JournalWriter) -> type[Commands]:
    """The agent's commands, each with an entry in the journal before it is carried out; `identify` is shown to nobody."""

    class JournaledCommands(Commands):
        _present: KeptCommand

        def __init__(self, outbox: Outbox, clock: Clock, known: Mapping[str, Action]) -> None:
            shown = {**known, "identify": actions.identify(lambda _seconds: None)}
            super().__init__(outbox, clock, {name: self._noted(action) for name, action in shown.items()})

        def _carry_out(self, kept: KeptCommand) -> None:
            self._present = kept
            super()._carry_out(kept)

        def _noted(self, action: Action) -> Action:
            def run(arguments: Arguments) -> Results:
                journal.executed(self._present.id, self._present.name)
                return action(arguments)

            return run

    return JournaledCommands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; SIGUSR1 ends the visits, and the agent goes on sending. A command may end it: it starts itself again."""
    options = _options(arguments)
    closed, stop = threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: closed.set())

    def end(_number: int, _frame: object) -> None:
        closed.set()
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    journal = JournalWriter(options.journal)
    setattr(edge.agent, "Commands", journaled_commands(journal))  # noqa: B010 - mypy rightly refuses the plain assignment
    agent = Agent(load_settings(options.config, Settings))
    agent.start()
    journaled = Journaled(agent.outbox, journal)
    register = Register(journaled, agent.twin, agent.clock, time.monotonic)  # type: ignore[arg-type]
    cards = [(each["text"], each["member_id"]) for each in json.loads(options.cards.read_text())]
    chance = random.Random(options.seed)
    visitors = threading.Thread(target=_receive, args=(register, journaled, cards, chance, closed, 1 / options.pace))
    if not options.closed:
        visitors.start()
    while not stop.wait(LOOK_EVERY_S) and not agent.ended_for_restart.is_set():
        pass
    if not stop.is_set():
        _start_again(agent, visitors, closed)
    agent.stop()
    return 0


def _start_again(agent: Agent, visitors: threading.Thread, closed: threading.Event) -> None:
    """As `python -m edge run` does. The signals wait until the new program listens: before, they would end it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    is_closed = closed.is_set()
    closed.set()
    if visitors.is_alive():
        visitors.join()
    agent.stop()
    again = [each for each in sys.argv[1:] if each != "--closed"] + (["--closed"] if is_closed else [])
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "the harness starts it as a module"
    os.execv(sys.executable, [sys.executable, "-m", spec.name, *again])


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
    parser.add_argument("--closed", action="store_true", help="nobody comes any more")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
