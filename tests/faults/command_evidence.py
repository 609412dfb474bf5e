"""What each side says of commands: who asked, what a kiosk carried out, how the cloud says it ended. Plain data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """A command that the cloud has taken, as its answer came."""

    command: str
    kiosk: str
    name: str
    at_us: int


@dataclass(frozen=True)
class Execution:
    """A kiosk began to carry a command out; written before it did."""

    command: str
    kiosk: str
    name: str
    at_us: int


@dataclass(frozen=True)
class StoredCommand:
    """One row of the cloud's commands, with the words of its terminal that are in the ledger; ``was_given``: published once at
    least, as the cloud says itself."""

    command: str
    kiosk: str
    name: str
    state: str
    is_settled: bool
    words: frozenset[str]
    was_given: bool = True
