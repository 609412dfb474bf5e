"""The demo: everything on one machine until Ctrl-C; started again, all data is still there.

Called by `make demo`.
"""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from demo.parts import HOST, Part, PartError, busy
from demo.stack import OPERATOR, Kept, Ports, Stack
from demo.video import write_room_video

CARDS_IN_VIDEO = 8
CARDS_TO_PRINT = 20
WATCH_EVERY_S = 1.0


def refuse_busy_ports(ports: Ports) -> None:
    """PartError with every taken port and the option that changes it."""
    options = {"--port": ports.cloud, "--broker-port": ports.broker, "--kiosk-port": ports.kiosk}
    taken = [
        f"Port {port} of {HOST} is taken; choose another with {name}." for name, port in options.items() if busy(port)
    ]
    if taken:
        raise PartError(" ".join([*taken, 'By make: make demo ARGS="--port 8099".']))


def run(folder: Path, ports: Ports, kiosks: int, members: int, camera: str | None, say: Callable[[str], None]) -> None:
    """Start all, print the addresses, and wait for Ctrl-C or SIGTERM; PartError when a part does not come up or goes away."""
    refuse_busy_ports(ports)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    stack = Stack(folder, ports, say)
    parts: list[Part] = []
    try:
        say("Starting the cloud")
        stack.start_cloud()
        kept = stack.prepare(kiosks, members)
        say("Starting the broker and the kiosks")
        stack.start_broker()
        stack.start_kiosk(camera or str(_video(folder, kept)))
        stack.start_fleet(kept)
        parts = [stack.broker, stack.cloud, stack.kiosk, stack.fleet]
        _print_addresses(stack, kept)
        while not stop.wait(WATCH_EVERY_S):
            for part in parts:
                if not part.running:
                    raise PartError(f"The {part.name} went away. The end of {part.log}:\n{part.log_tail()}")
    finally:
        say("Ending all parts")
        stack.stop()


def _video(folder: Path, kept: Kept) -> Path:
    """Cards before a room, for a machine without a camera; made once."""
    video = folder / "camera" / "room.avi"
    if not video.exists():
        draft = video.with_suffix(".new.avi")
        write_room_video(draft, [card.text for card in kept.world.cards[:CARDS_IN_VIDEO]])
        draft.rename(video)
    return video


def _print_addresses(stack: Stack, kept: Kept) -> None:
    lines = (
        "",
        "Roomlink runs. Ctrl-C ends it; what it stored stays.",
        "",
        f"  Console            {stack.url}/",
        f"                     sign in as {OPERATOR} with the password {kept.operator_password}",
        f"  API documentation  {stack.url}/api/v1/docs",
        f"  Kiosk page         {stack.kiosk_url}",
        f"  Cards to print     {stack.cards_page(kept, CARDS_TO_PRINT)}",
        "",
    )
    print("\n".join(lines), flush=True)
