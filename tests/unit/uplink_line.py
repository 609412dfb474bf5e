"""A terminal and a small cloud with a wire between them that does what the test says, without sockets or real time."""

import random

from edge.clock import SteppedClock
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, Method, Outcome, Stored
from firmware_specs.wire import Batch, decode_batch
from tests.cloud_double import CloudDouble

TERMINAL = "kiosk-1"
TIMEOUT_S = 20.0


class Line:
    """A terminal, a cloud, and a wire between them that does what the test says."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.outbox = Outbox.open(":memory:", terminal=TERMINAL, clock=self.clock)
        self.uplink = Uplink(self.outbox, resend_timeout_s=TIMEOUT_S, chance=random.Random(1))
        self.outbox.on_append = self.uplink.appended
        self.cloud = CloudDouble()
        self.now_s = 100.0
        self.sent: list[Batch] = []
        self.made: list[str] = []

    def check_in(self, count: int = 1) -> None:
        records = [
            CheckIn(**self.clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT) for _ in range(count)
        ]
        self.outbox.append(records)
        self.made += [record.id for record in records]

    def send(self) -> Stored | None:
        """One step: the cloud's answer to what was published; None where nothing was, or the cloud is silent."""
        publish = self.uplink.step(self.now_s)
        if publish is None:
            return None
        self.sent.append(decode_batch(publish.payload))
        return self.cloud.answer(TERMINAL, publish.payload)

    def hand(self, answer: Stored | None) -> None:
        if answer is not None:
            self.uplink.answered(self.now_s, answer)

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.clock.step(seconds)

    def run(self, turns: int = 50) -> int:
        """Until nothing is published any more; how many batches it took."""
        for turn in range(turns):
            count = len(self.sent)
            self.hand(self.send())
            if len(self.sent) == count:
                return turn
        raise AssertionError(f"still sending after {turns} turns")

    def all_stored(self) -> bool:
        return self.outbox.status().depth == 0 and self.cloud.check_in_ids() == self.made


def connected_line() -> Line:
    """Connected, and its first question answered."""
    line = Line()
    line.uplink.connected(line.now_s)
    line.run()
    line.sent.clear()
    return line
