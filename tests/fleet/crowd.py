"""One process of a fleet under test: simulated kiosks that note every check-in they have made, and say once a second who is away.

Run by the driver: `python -m tests.fleet.crowd CONFIG JOURNAL`. Of its journal nothing is lost but by a crash of the machine.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from edge.fleet import Fleet
from edge.kiosk.register import Register
from edge.outbox import Accepted, Outbox
from edge.settings import FleetSettings, load_settings
from firmware_specs.messages import CheckIn, Record

SAY_EVERY_S = 1.0
COUNT_EVERY = 10
"""What waits is asked of every outbox, so only now and then while people come."""


class Noted:
    """An outbox whose check-ins are written down once it has kept them, with the kiosk that made them."""

    def __init__(self, outbox: Outbox, terminal: str, journal: TextIO) -> None:
        self._outbox, self._terminal, self._journal = outbox, terminal, journal
        self.is_accepted = outbox.is_accepted

    def append(self, records: Sequence[Record], *, accepted: Sequence[Accepted] = ()) -> int:
        """As the outbox's."""
        last = self._outbox.append(records, accepted=accepted)
        for record in records:
            if isinstance(record, CheckIn):
                self._journal.write(f"{self._terminal} {record.id}\n")
        return last


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM; SIGUSR1: nobody comes any more, and what was kept is still sent."""
    closed, stop = threading.Event(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: closed.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    config, journal_file = (Path(each) for each in arguments)
    fleet = Fleet(load_settings(config, FleetSettings))
    with journal_file.open("a", buffering=1) as journal:
        for kiosk in fleet.kiosks:
            noted = Noted(kiosk.outbox, kiosk.link.address.terminal, journal)
            kiosk.register = Register(noted, kiosk.twin, kiosk.clock, time.monotonic)  # type: ignore[arg-type]
        fleet.start()
        _go_on(fleet, closed, stop)
        fleet.stop()
    return 0


def _go_on(fleet: Fleet, closed: threading.Event, stop: threading.Event) -> None:
    turns, waiting, is_open, unready = 0, 0, True, list(fleet.kiosks)
    while not stop.wait(SAY_EVERY_S):
        if is_open and closed.is_set():
            is_open = False
            fleet.stop_people()
        if not is_open or turns % COUNT_EVERY == 0:
            waiting = sum(kiosk.outbox.status().depth for kiosk in fleet.kiosks)
        turns += 1
        unready = [kiosk for kiosk in unready if kiosk.twin.current() is None or kiosk.twin.missing()]
        away = [kiosk.link.address.terminal for kiosk in fleet.kiosks if not kiosk.link.is_connected]
        said = {"at_s": time.time(), "away": away, "unready": len(unready), "closed": not is_open, "waiting": waiting}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
