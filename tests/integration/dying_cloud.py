"""The cloud, but killed at the moment between the commit and the answer: for tests."""

import os
import signal

from cloud.__main__ import main
from cloud.ingest.subscriber import Subscriber


def die(*_: object) -> None:
    """As the cut of power that comes at the worst moment."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setattr(Subscriber, "answer", die)  # noqa: B010 - mypy rightly refuses the plain assignment
    main()
