"""The metrics that rules may name: those that the profiles of terminals promise. Pure."""

from collections.abc import Mapping
from functools import cache

from firmware_specs.profiles import NAMES, Metric, load


@cache
def metrics(terminal_kind: str | None = None) -> Mapping[str, Metric]:
    """Those of one kind of terminal, or of any, by name in order."""
    profiles = [load(name) for name in NAMES if terminal_kind in {None, name}]
    found = {name: metric for profile in profiles for name, metric in profile.telemetry.items()}
    return dict(sorted(found.items()))


def is_switch(name: str | None) -> bool:
    """Whether the metric is 1 or 0 and nothing between."""
    found = metrics().get(name or "")
    return found is not None and (found.unit, found.low, found.high) == ("1", 0.0, 1.0)
