"""What each stage of the decoder gains and costs, on tuning pictures: the table of docs/decoding.md.

Every stage runs on every picture that the first one did not read, whether or not another read it before.
Run with `python -m tests.bench.qr_stages`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import mean

from edge.kiosk.decoding.stages import STAGES, Picture
from tests.bench.qr_images import TUNING_SEED, hard_images

IMAGES = 350


def stage_reads(seed: int, count: int) -> tuple[dict[str, set[int]], dict[str, list[float]]]:
    """For each stage the pictures that it reads right, and its milliseconds on each that it saw."""
    reads: dict[str, set[int]] = {stage.name: set() for stage in STAGES}
    times: dict[str, list[float]] = defaultdict(list)
    for number, hard in enumerate(hard_images(seed, count)):
        picture = Picture(hard.image)
        for stage in STAGES:
            started_s = time.perf_counter()
            found = stage.read(picture)
            times[stage.name].append((time.perf_counter() - started_s) * 1000)
            if any(f.text == hard.text for f in found):
                reads[stage.name].add(number)
                if stage is STAGES[0]:
                    break
    return reads, times


def main() -> None:
    """Print the table in Markdown."""
    reads, times = stage_reads(TUNING_SEED, IMAGES)
    print("| stage | ms, mean | adds | reads by itself | no other stage reads |")
    print("| --- | --- | --- | --- | --- |")
    before: set[int] = set()
    for name, read in reads.items():
        others = set().union(*(other for stage, other in reads.items() if stage != name))
        row = (name, f"{mean(times[name]):.1f}", len(read - before), len(read), len(read - others))
        print("| " + " | ".join(str(cell) for cell in row) + " |")
        before |= read
    print(f"\n{len(before)} of {IMAGES}")


if __name__ == "__main__":
    main()
