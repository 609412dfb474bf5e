"""Thousands of histories of terminals, a lossy broker and a cloud; what breaks a promise is shrunk to its shortest."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cloud.ingest.accept import Delivery, Positions, accept
from cloud.ingest.accept import Verdict as CloudVerdict
from edge import stream
from edge.acknowledgement import Advance, Position, Verdict, judge
from firmware_specs.messages import Stored
from tests.unit.simulated import BrokenPromise, Faults, World

NAMES = ("kiosk-0", "kiosk-1")
names = st.sampled_from(NAMES)
picks = st.integers(0, 7)
flags = st.booleans()


class Histories(RuleBasedStateMachine):
    """Any steps in any order; a history ends with a world that heals."""

    faults = Faults()

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.world = World(seed, len(NAMES), self.faults)
        self.world.check()

    @rule(name=names)
    def check_in(self, name: str) -> None:
        self.world.check_in(name)

    @rule(name=names, squeezed=flags)
    def sample(self, name: str, squeezed: bool) -> None:
        self.world.sample(name)
        if squeezed:
            self.world.squeeze(name)

    @rule(chosen=st.lists(picks, min_size=1, max_size=3), keep=flags, crash=flags, deaf=flags)
    def deliver_up(self, chosen: list[int], keep: bool, crash: bool, deaf: bool) -> None:
        self.world.deliver_up(chosen, keep=keep, crash=crash, deaf=deaf)

    @rule(chosen=st.lists(picks, min_size=1, max_size=3))
    def deliver_up_well(self, chosen: list[int]) -> None:
        self.world.deliver_up(chosen)

    @rule(pick=picks, keep=flags)
    def deliver_down(self, pick: int, keep: bool) -> None:
        self.world.deliver_down(pick, keep=keep)

    @rule(pick=picks)
    def deliver_down_well(self, pick: int) -> None:
        self.world.deliver_down(pick)

    @rule(pick=picks, upward=flags)
    def lose(self, pick: int, upward: bool) -> None:
        self.world.lose(pick, upward=upward)

    @rule(seconds=st.sampled_from([1.0, 30.0, 700.0]))
    def tick(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule(name=names, count=st.integers(1, 9))
    def trim(self, name: str, count: int) -> None:
        self.world.trim(name, count)

    @rule(name=names, how=st.sampled_from(["crash", "disconnect", "connect", "tell_epoch", "see_birth", "snapshot"]))
    def happen(self, name: str, how: str) -> None:
        getattr(self.world, how)(name)

    @rule(pick=picks)
    def rollback(self, pick: int) -> None:
        self.world.rollback(pick)

    @rule(pick=picks, name=names, noticed=flags)
    def clone(self, pick: int, name: str, noticed: bool) -> None:
        self.world.clone(pick, name, noticed=noticed)

    @rule(name=names)
    def wipe(self, name: str) -> None:
        self.world.wipe(name)

    @rule()
    def backup(self) -> None:
        self.world.backup()

    @rule(pick=picks)
    def restore(self, pick: int) -> None:
        self.world.restore(pick)

    @invariant()
    def keeps_its_promises(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.heal()


HOW = settings(
    derandomize=True,
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestHistories = Histories.TestCase
TestHistories.settings = HOW


class Draws:
    """What may happen next in one history, drawn by its seed."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def pick(self) -> int:
        return self.chance.randrange(8)

    def everyday(self) -> list[Callable[[], None]]:
        """Cards, and messages that arrive."""
        world, name, pick, chance = self.world, self.name, self.pick, self.chance
        return [
            lambda: world.check_in(name()),
            lambda: world.sample(name()),
            lambda: world.deliver_up([pick(), pick()]),
            lambda: world.deliver_up([pick()], keep=chance.random() < 0.2, deaf=chance.random() < 0.2),
            lambda: world.deliver_down(pick(), keep=chance.random() < 0.2),
            lambda: world.deliver_down(0),
            lambda: world.deliver_up([pick(), pick(), pick()]),
            lambda: world.deliver_down(pick()),
            lambda: world.tick(chance.choice([1.0, 30.0])),
        ]

    def rare(self) -> list[Callable[[], None]]:
        """Crashes, lost messages and the long night."""
        world, name, pick, chance = self.world, self.name, self.pick, self.chance
        return [
            lambda: world.deliver_up([pick(), pick()], crash=True),
            lambda: world.lose(pick(), upward=chance.random() < 0.5),
            lambda: world.trim(name(), chance.randint(1, 9)),
            lambda: world.squeeze(name()),
            lambda: world.crash(name()),
            lambda: world.disconnect(name()),
            lambda: world.connect(name()),
            lambda: world.tell_epoch(name()),
            lambda: world.see_birth(name()),
            lambda: world.snapshot(name()),
            lambda: world.tick(700.0),
            lambda: world.snapshot(name()),
            world.backup,
            world.backup,
        ]

    def disasters(self) -> list[Callable[[], None]]:
        """What happens to disks."""
        world, name, pick, chance = self.world, self.name, self.pick, self.chance
        return [
            lambda: world.rollback(pick()),
            lambda: world.clone(pick(), name(), noticed=chance.random() < 0.5),
            lambda: world.wipe(name()),
            lambda: world.restore(pick()),
            lambda: world.restore(pick()),
        ]


def random_history(seed: int, faults: Faults, steps: int = 150) -> None:
    """One history without Hypothesis: faster, and long enough for what needs many steps."""
    chance = random.Random(seed)
    world = World(seed, len(NAMES), faults)
    calm = chance.random()

    draws = Draws(world, chance)
    everyday, rare, disasters = draws.everyday(), draws.rare(), draws.disasters()
    world.check()
    for _ in range(steps):
        drawn = chance.random()
        steps_now = everyday if drawn < 0.6 + 0.2 * calm else rare if drawn < 0.9 + 0.09 * calm else disasters
        chance.choice(steps_now)()
        world.check()
    world.heal()


@pytest.mark.parametrize("tens", range(10))
def test_random_histories_keep_the_promises(tens: int) -> None:
    for seed in range(tens * 100, tens * 100 + 100):
        try:
            random_history(seed, Faults())
        except BrokenPromise as error:
            raise BrokenPromise(f"seed {seed}: {error}") from error


# --- a checker that cannot fail is worthless ----------------------------------------------------------------------


def trusting(position: Position, answer: Stored) -> Verdict:
    """Takes any `through` at its word."""
    if answer.through is None or answer.through > position.state.last:
        return judge(position, answer)
    return Advance(answer.through, max(answer.epoch, position.state.epoch))


def takes_anything(deliveries: Sequence[Delivery], positions: Positions) -> list[CloudVerdict]:
    """Stores every batch that can be read, wherever it stands in the stream."""
    verdicts = accept(deliveries, positions)
    return [
        one._replace(taken=one.reading.batch is not None and one.batch.header.count > 0, error=None) for one in verdicts
    ]


BROKEN = {
    "trim early": Faults(trim_early=True),
    "acknowledge before commit": Faults(acknowledge_before_commit=True),
    "place in the stream not checked": Faults(accept=takes_anything),
    "copies counted twice": Faults(count_copies_twice=True),
    "trust any through": Faults(),
    "leave stored facts behind at a fork": Faults(),
}


@pytest.fixture(params=sorted(BROKEN))
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """A world in which one rule is broken."""
    if request.param == "trust any through":
        monkeypatch.setattr("edge.uplink.judge", trusting)
    if request.param == "leave stored facts behind at a fork":
        monkeypatch.setattr(stream, "is_copied", lambda number, _type, known: number > known)
    return BROKEN[request.param]


def test_broken_rule_is_noticed(broken: Faults) -> None:
    def histories() -> None:
        for seed in range(300):
            random_history(seed, broken)

    with pytest.raises(BrokenPromise):
        histories()


def test_history_that_breaks_a_promise_is_shrunk_to_a_short_one() -> None:
    class Broken(Histories):
        faults = Faults(accept=takes_anything)

    how = settings(HOW, report_multiple_bugs=False, phases=[Phase.generate, Phase.shrink])
    with pytest.raises(BrokenPromise) as caught:
        run_state_machine_as_test(Broken, settings=how)
    told = "\n".join(getattr(caught.value, "__notes__", []))
    steps = [line for line in told.splitlines() if "state." in line and "keeps_its_promises" not in line]
    assert 0 < len(steps) <= 8, told
