"""Appends to an outbox and prints each number that `append` has given back; killed from outside by the crash tests.

    python -m tests.integration.outbox_child FILE COUNT [--send] [--threads N]

Prints `got NUMBER` after each append, `error CLASS` for each that was refused, `stored NUMBER` before each mark. Opening the file
prints `open`. With --send it plays the cloud too: every few records it makes a batch and marks it stored.
"""

import argparse
import os
import threading
from pathlib import Path

from edge.clock import Clock
from edge.errors import OutboxError
from edge.outbox import Accepted, Limits, Outbox
from firmware_specs.messages import CheckIn, Method, Outcome


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--send", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    clock = Clock(trusted=True)
    limits = Limits(4 * 1024 * 1024, 1024 * 1024, keep_us=-2 * 3_600_000_000)  # what was stored this hour is old enough
    outbox = Outbox.open(options.file, terminal="kiosk-1", limits=limits, clock=clock)
    say("open")

    def work() -> None:
        for index in range(options.count):
            append_one(outbox, clock)
            if options.send and index % 5 == 4:
                send(outbox)

    threads = [threading.Thread(target=work) for _ in range(options.threads - 1)]
    for thread in threads:
        thread.start()
    work()  # strace counts the calls of each thread by itself, so one alone must make them all
    for thread in threads:
        thread.join()


def append_one(outbox: Outbox, clock: Clock) -> None:
    record = CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT)
    try:
        number = outbox.append([record], accepted=[Accepted("act/20261123T000000Z", record.id, record.at)])
    except OutboxError as error:
        say(f"error {type(error).__name__}")
    else:
        say(f"got {number} {record.id}")


def send(outbox: Outbox) -> None:
    try:
        batch = outbox.next_batch(200, 65_536)
        if batch is not None:
            say(f"stored {batch.last}")  # said by the cloud: from here on these may be trimmed
            outbox.stored(batch.stream, batch.last, 1)
    except OutboxError as error:
        say(f"error {type(error).__name__}")


def say(line: str) -> None:
    """In one write, so that a kill leaves no half a line."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
