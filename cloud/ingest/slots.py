"""Where deliveries wait: one slot per terminal, a bounded number of slots and bytes.

Promises that a terminal never holds more than one slot (a newer delivery takes the place of an older one, whose answer it
gets too), that the oldest are taken first, and that what does not fit is refused at once. `put` never blocks: it runs in
paho's thread.
"""

import threading
from typing import Final

from cloud.ingest.accept import Delivery

SLOTS: Final = 10_000
BYTES: Final = 64 << 20
GROUP: Final = 512
"""Deliveries in one transaction."""
GROUP_BYTES: Final = 2 << 20
"""Payload in one transaction; more would hold the write lock, and decoded records, for too long."""


class Slots:
    """The waiting deliveries of one worker."""

    def __init__(self, slots: int = SLOTS, size: int = BYTES) -> None:
        self._bound, self._size_bound = slots, size
        self._waiting: dict[str, Delivery] = {}
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, delivery: Delivery) -> bool:
        """Take a slot; False when all are taken."""
        with self._changed:
            before = self._waiting.get(delivery.terminal)
            size = self._size + len(delivery.payload) - (len(before.payload) if before else 0)
            if (before is None and len(self._waiting) >= self._bound) or size > self._size_bound:
                return False
            self._waiting[delivery.terminal] = delivery
            self._size = size
            self._changed.notify()
            return True

    def put_if_free(self, delivery: Delivery) -> bool:
        """The same, where the terminal holds no slot: what it sent itself is answered anyway."""
        with self._changed:
            return delivery.terminal not in self._waiting and self.put(delivery)

    def take(self, timeout_s: float) -> list[Delivery]:
        """The next group, oldest first; none after `timeout_s`, or once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            return self._group()

    def put_back(self, deliveries: list[Delivery]) -> None:
        """What could not be stored now, before all others; a newer delivery of the same terminal stays instead."""
        with self._changed:
            again = {each.terminal: each for each in deliveries if each.terminal not in self._waiting}
            self._size += sum(len(each.payload) for each in again.values())
            self._waiting = again | self._waiting

    def close(self) -> None:
        """Wake whoever waits; what is inside can still be taken, nothing more comes in from outside."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)

    def _group(self) -> list[Delivery]:
        group: list[Delivery] = []
        size = 0
        for delivery in self._waiting.values():
            size += len(delivery.payload)
            if group and (len(group) >= GROUP or size > GROUP_BYTES):
                break
            group.append(delivery)
        for delivery in group:
            del self._waiting[delivery.terminal]
            self._size -= len(delivery.payload)
        return group
