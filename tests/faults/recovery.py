"""When the kiosks are well again after a fault: what was on their disks is stored, and they go on. For harness and faults."""

from collections.abc import Sequence

from tests.faults.kiosks import Kiosk, Queue
from tests.faults.stack import FaultStack
from tests.process import wait_until

RECOVER_WITHIN_S = 120.0
SOON = 3
"""Records that may wait in a new stream that is as good as sent."""


class Stuck(Exception):
    """A kiosk does not get rid of what it has: nothing more can be tried, and what is there is compared."""


def wait_until_stored(stack: FaultStack, within_s: float = RECOVER_WITHIN_S) -> None:
    """Until all that is on the kiosks' disks now is stored, and a later visitor's record with it: so they run, too.

    Stuck where it takes longer than ``within_s``.
    """
    before = {kiosk.name: kiosk.queue() for kiosk in stack.kiosks}
    waiting = list(stack.kiosks)

    def recovered() -> bool:
        waiting[:] = [kiosk for kiosk in waiting if not _is_past(kiosk.queue(), before[kiosk.name])]
        return not waiting

    if not wait_until(recovered, within_s):
        raise Stuck(state_of(stack, waiting))


def _is_past(now: Queue | None, before: Queue | None) -> bool:
    """Whether all of ``before`` is stored, and more; where a new stream took it over, whether that is stored."""
    if now is None:
        return False
    if before is None or now.stream != before.stream:
        return now.through > 0 and now.depth <= SOON
    return now.through > before.last


def state_of(stack: FaultStack, kiosks: Sequence[Kiosk]) -> str:
    """How much each has to send, and the last words of all."""
    names = ", ".join(f"{kiosk.name} ({kiosk.depth()} to send)" for kiosk in kiosks)
    tails = "\n".join(kiosk.process.log_tail(20) for kiosk in kiosks)
    return f"not recovered: {names}\n{tails}\ncloud:\n{stack.cloud.log_tail(30)}"
