"""The cloud, but killed at the moment between a commit and its answer: for tests, as `-m tests.integration.dying_cloud`."""

import os
import signal
from collections.abc import Sequence

from cloud.__main__ import main
from cloud.ingest.line import Answer
from cloud.ingest.subscriber import Subscriber
from firmware_specs.wire import decode_stored

answer = Subscriber.answer


def die(subscriber: Subscriber, answers: Sequence[Answer]) -> None:
    """As the cut of power that comes at the worst moment: something is stored, and nobody has been told."""
    if any(decode_stored(each.payload).through for each in answers):
        os.kill(os.getpid(), signal.SIGKILL)
    answer(subscriber, answers)


if __name__ == "__main__":
    setattr(Subscriber, "answer", die)  # noqa: B010 - mypy rightly refuses the plain assignment
    main()
