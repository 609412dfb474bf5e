"""Keeps one core half busy: ten milliseconds of work, ten of sleep. Ends when it is terminated."""

import os
import sys
import time

SLICE_S = 0.010


def main() -> None:
    """Burn on the core that the command line names."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    while True:
        began = time.perf_counter()
        while time.perf_counter() - began < SLICE_S:
            pass
        time.sleep(SLICE_S)


if __name__ == "__main__":
    main()
