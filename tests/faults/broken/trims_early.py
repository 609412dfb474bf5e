"""A kiosk that forgets a record as soon as it has sent it, and does not wait for the cloud's word."""

import sys

from edge import agent
from edge.outbox import Outgoing
from edge.rows import HOUR_US
from edge.settings import Settings
from edge.store import Limits
from edge.uplink import Publish, Uplink
from tests.faults.kiosk import main

limits_of, step = agent.limits_of, Uplink.step


def keep_nothing_of_what_is_stored(settings: Settings) -> Limits:
    limits = limits_of(settings)
    return Limits(limits.max_bytes, limits.reserved_bytes, -2 * HOUR_US)  # marks of what is stored are kept by the hour


def send_and_forget(uplink: Uplink, now_s: float) -> Publish | None:
    published = step(uplink, now_s)
    batch: Outgoing | None = uplink._flight.batch if uplink._flight else None
    if published is not None and batch is not None and batch.count:
        uplink._queue.stored(batch.stream, batch.last, uplink._queue.position().state.epoch)
        uplink._flight = None
    return published


if __name__ == "__main__":
    setattr(agent, "limits_of", keep_nothing_of_what_is_stored)  # noqa: B010 - mypy rightly refuses the plain assignment
    setattr(Uplink, "step", send_and_forget)  # noqa: B010
    sys.exit(main())
