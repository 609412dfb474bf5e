"""A terminal carries a command out once, says every step through its outbox, and never begins one twice."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.actions import identify, reboot
from edge.clock import SteppedClock
from edge.commands import Action, Arguments, CommandFailed, Commands, EndsTheProcess, Results
from edge.errors import OutboxError
from edge.kept_commands import KEEP_US
from edge.outbox import Limits, Outbox
from firmware_specs.command_messages import Command
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Clock, CommandState
from firmware_specs.wire import decode_batch, decode_record, encode
from tests.process import wait_until

TERMINAL = "kiosk-1"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(file: Path, clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    yield outbox
    outbox.close()


def command(clock: SteppedClock, name: str = "note", lasts_s: float = 600, **more: Any) -> Command:
    now_us = clock.now_us()
    fields = {"id": str(uuid.uuid4()), "name": name, "issued_at": now_us, "deadline_at": now_us + int(lasts_s * 1e6)}
    return Command.model_validate(fields | more)


def words(outbox: Outbox) -> list[tuple[str, str | None]]:
    """State and reason of every command_state record, in order."""
    outgoing = outbox.next_batch(200, 65_536)
    assert outgoing is not None
    records = [decode_record(line) for line in decode_batch(outgoing.payload).lines]
    return [(each.state.value, each.reason) for each in records if isinstance(each, CommandState)]


def noting(done: list[Arguments]) -> Action:
    """An action that only counts how often it was begun."""

    def run(arguments: Arguments) -> Results:
        done.append(arguments)
        return {}

    return run


def running(outbox: Outbox, clock: SteppedClock, actions: Mapping[str, Action]) -> Commands:
    commands = Commands(outbox, clock, actions)
    commands.start()
    return commands


def ended(outbox: Outbox, count: int) -> bool:
    return wait_until(lambda: len(words(outbox)) >= count)


def test_command_is_accepted_running_and_done_with_what_it_found(outbox: Outbox, clock: SteppedClock) -> None:
    commands = running(outbox, clock, {"note": lambda arguments: {"seen": str(arguments["a"])}})
    commands.receive(encode(command(clock, arguments={"a": 7})), 600)
    assert ended(outbox, 3)
    commands.stop()
    assert words(outbox) == [("accepted", None), ("running", None), ("done", None)]
    outgoing = outbox.next_batch(200, 65_536)
    assert outgoing is not None
    last = decode_record(decode_batch(outgoing.payload).lines[-1])
    assert isinstance(last, CommandState)
    assert last.results == {"seen": "7.0"}


def test_repeat_is_not_carried_out_again(outbox: Outbox, clock: SteppedClock) -> None:
    done = list[Arguments]()
    commands = running(outbox, clock, {"note": noting(done)})
    payload = encode(command(clock))
    for _ in range(3):
        commands.receive(payload, 600)
    assert ended(outbox, 3)
    commands.receive(payload, 600)
    commands.stop()
    assert (len(done), len(words(outbox))) == (1, 3)


def test_repeat_is_known_after_a_restart_of_the_agent(file: Path, clock: SteppedClock) -> None:
    payload = encode(command(clock))
    done = list[Arguments]()
    for _ in range(2):
        outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
        commands = running(outbox, clock, {"note": noting(done)})
        commands.receive(payload, 600)
        assert ended(outbox, 3)
        commands.stop()
        outbox.close()
    assert len(done) == 1


def test_what_was_running_at_the_end_is_interrupted_and_not_begun_again(file: Path, clock: SteppedClock) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    commands = running(outbox, clock, {"note": _ends})
    commands.receive(encode(command(clock)), 600)
    assert ended(outbox, 2)
    commands.stop()
    outbox.close()
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    again = running(outbox, clock, {"note": _never})
    assert words(outbox)[-1] == ("failed", "interrupted")
    again.stop()
    outbox.close()


def _ends(_arguments: Mapping[str, Any]) -> Mapping[str, str]:
    raise EndsTheProcess


def _never(_arguments: Mapping[str, Any]) -> Mapping[str, str]:
    raise AssertionError("begun twice")


@pytest.mark.parametrize(("name", "boots"), [("restart_agent", False), ("reboot", True)])
def test_restart_and_reboot_are_proved_by_what_comes_after(
    file: Path, clock: SteppedClock, name: str, boots: bool
) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    commands = running(outbox, clock, {name: _ends})
    commands.receive(encode(command(clock, name)), 600)
    assert ended(outbox, 2)
    commands.stop()
    outbox.close()
    if boots:
        clock.boot = str(uuid.uuid4())
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    running(outbox, clock, {name: _never}).stop()
    assert words(outbox)[-1] == ("done", None)
    outbox.close()


def test_reboot_that_did_not_happen_is_interrupted(file: Path, clock: SteppedClock) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    commands = running(outbox, clock, {"reboot": _ends})
    commands.receive(encode(command(clock, "reboot")), 600)
    assert ended(outbox, 2)
    commands.stop()
    running(outbox, clock, {}).stop()
    assert words(outbox)[-1] == ("failed", "interrupted")
    outbox.close()


def test_ids_of_long_ago_are_forgotten_and_what_is_unfinished_is_not(outbox: Outbox, clock: SteppedClock) -> None:
    commands = running(outbox, clock, {"note": lambda _: {}})
    old = command(clock)
    commands.receive(encode(old), 600)
    assert ended(outbox, 3)
    clock.step(42 * 86_400)
    commands.receive(encode(command(clock)), 600)
    assert ended(outbox, 6)
    commands.stop()
    assert not outbox.knows_command(old.id)


def test_accepted_command_is_carried_out_after_a_restart(file: Path, clock: SteppedClock) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    Commands(outbox, clock, {}).receive(encode(command(clock)), 600)
    outbox.close()
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    commands = running(outbox, clock, {"note": lambda _: {}})
    assert ended(outbox, 3)
    commands.stop()
    assert [state for state, _ in words(outbox)] == ["accepted", "running", "done"]
    outbox.close()


def test_command_that_comes_after_its_deadline_is_expired_and_not_done(outbox: Outbox, clock: SteppedClock) -> None:
    commands = running(outbox, clock, {"note": _never})
    late = encode(command(clock, lasts_s=60))
    clock.step(61)
    commands.receive(late, 600)
    commands.stop()
    assert words(outbox) == [("expired", None)]


def test_clock_that_is_not_synced_goes_by_the_messages_expiry(outbox: Outbox, clock: SteppedClock) -> None:
    commands = running(outbox, clock, {"note": lambda _: {}})
    wrong = command(clock, lasts_s=60)
    clock.set_wall(clock.now_us() + 10 * 86_400_000_000)
    clock.quality = lambda: Clock.HOLDOVER  # type: ignore[method-assign]
    commands.receive(encode(wrong), 60)
    assert ended(outbox, 3)
    commands.stop()
    assert words(outbox)[-1] == ("done", None)


def test_accepted_command_of_an_unsynced_clock_is_over_after_a_reboot(file: Path, clock: SteppedClock) -> None:
    clock.quality = lambda: Clock.UNSET  # type: ignore[method-assign]
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    Commands(outbox, clock, {}).receive(encode(command(clock)), 600)
    clock.boot = str(uuid.uuid4())
    commands = running(outbox, clock, {"note": _never})
    assert ended(outbox, 2)
    commands.stop()
    assert words(outbox)[-1] == ("expired", None)
    outbox.close()


def _refuses(_arguments: Mapping[str, Any]) -> Mapping[str, str]:
    raise CommandFailed("not_possible", "There is none here.")


def _breaks(_arguments: Mapping[str, Any]) -> Mapping[str, str]:
    raise KeyError("the code")


@pytest.mark.parametrize(
    ("name", "reason"), [("fly", "unknown_command"), ("refuse", "not_possible"), ("break", "error")]
)
def test_failure_says_why_and_the_next_command_is_carried_out(
    outbox: Outbox, clock: SteppedClock, name: str, reason: str
) -> None:
    commands = running(outbox, clock, {"refuse": _refuses, "break": _breaks, "note": lambda _: {}})
    commands.receive(encode(command(clock, name)), 600)
    commands.receive(encode(command(clock)), 600)
    assert wait_until(lambda: words(outbox)[-1][0] == "done")
    commands.stop()
    assert ("failed", reason) in words(outbox)


def test_command_that_cannot_be_kept_is_not_done_and_may_come_again(tmp_path: Path, clock: SteppedClock) -> None:
    limits = Limits(max_bytes=64 * 4096, reserved_bytes=0, keep_us=0)
    outbox = Outbox.open(tmp_path / "small.db", terminal=TERMINAL, limits=limits, clock=clock)
    commands = running(outbox, clock, {"note": lambda _: {}})
    payload = encode(command(clock))
    try:
        while True:
            commands.receive(encode(command(clock, arguments={"a": "x" * 200})), 600)
            clock.step(0.001)
    except OutboxError:
        pass
    with pytest.raises(OutboxError):
        commands.receive(payload, 600)
    assert not outbox.knows_command(decode_id(payload))
    commands.stop()
    outbox.close()


def decode_id(payload: bytes) -> str:
    return Command.model_validate_json(payload).id


def test_payload_that_is_no_command_is_refused(outbox: Outbox, clock: SteppedClock) -> None:
    with pytest.raises(DecodeError):
        Commands(outbox, clock, {}).receive(b"{}", 60)


@pytest.mark.parametrize("seconds", [0, -1, 301, True, "long"])
def test_identify_takes_a_number_of_seconds(seconds: object) -> None:
    shown: list[float] = []
    with pytest.raises(CommandFailed, match="seconds must be a number"):
        identify(shown.append)({"seconds": seconds})
    assert shown == []


def test_identify_shows_for_half_a_minute_unless_told_otherwise() -> None:
    shown: list[float] = []
    act: Callable[[Mapping[str, Any]], object] = identify(shown.append)
    act({})
    act({"seconds": 5})
    assert shown == [30.0, 5.0]


@pytest.mark.parametrize(
    ("hook", "says"),
    [((), "No reboot_hook"), (("/nothing/there",), "cannot be run"), (("false",), "ended with 1")],
)
def test_reboot_without_a_hook_that_works_says_so(hook: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandFailed, match=says):
        reboot(hook)({})


def test_reboot_runs_its_hook_and_waits_for_the_boot(tmp_path: Path) -> None:
    with pytest.raises(EndsTheProcess):
        reboot(("touch", str(tmp_path / "rebooted")))({})
    assert (tmp_path / "rebooted").exists()


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ({"cloud": "no answer:\n\tcertificate \ud800 expired"}, ("done", None)),
        ({f"part_{index}": "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 200 for index in range(32)}, ("failed", "error")),
        ({"Not a word": "of the contract"}, ("failed", "error")),
    ],
    ids=["control characters", "more than a record holds", "no word"],
)
def test_result_that_no_record_holds_ends_its_command_and_no_other(
    outbox: Outbox, clock: SteppedClock, found: Mapping[str, str], kept: tuple[str, str | None]
) -> None:
    commands = running(outbox, clock, {"note": lambda _: found, "next": lambda _: {}})
    commands.receive(encode(command(clock)), 600)
    assert ended(outbox, 3)
    commands.receive(encode(command(clock, "next")), 600)
    assert ended(outbox, 6)
    commands.stop()
    assert words(outbox)[2:] == [kept, ("accepted", None), ("running", None), ("done", None)]


def test_command_accepted_by_a_clock_that_was_far_off_is_still_known_when_it_is_right(
    outbox: Outbox, clock: SteppedClock
) -> None:
    commands = Commands(outbox, clock, {})
    first = command(clock)
    clock.set_wall(1_000_000)
    clock.claimed = Clock.UNSET
    commands.receive(encode(first), 600)
    commands.start()
    assert ended(outbox, 2)
    clock.set_wall(first.issued_at)
    clock.claimed = Clock.SYNCED
    commands.receive(encode(command(clock)), 600)
    assert ended(outbox, 4)
    assert outbox.knows_command(first.id)
    clock.step(KEEP_US / 1e6 + 1)
    commands.receive(encode(command(clock)), 600)
    assert not outbox.knows_command(first.id)
    commands.stop()


def test_reboot_is_proved_by_a_boot_after_it_was_begun_and_not_after_it_was_accepted(
    file: Path, clock: SteppedClock
) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    Commands(outbox, clock, {}).receive(encode(command(clock, "reboot")), 600)
    clock.boot = str(uuid.uuid4())  # the power was cut
    commands = running(outbox, clock, {"reboot": _ends})
    assert ended(outbox, 2)
    commands.stop()
    running(outbox, clock, {}).stop()
    assert words(outbox)[-1] == ("failed", "interrupted")
    outbox.close()


def test_reboot_of_which_nothing_came_is_failed_and_the_next_command_is_carried_out(
    outbox: Outbox, clock: SteppedClock
) -> None:
    commands = Commands(outbox, clock, {"reboot": reboot(("true",)), "note": lambda _: {}}, ends_within_s=0.1)
    commands.start()
    commands.receive(encode(command(clock, "reboot")), 600)
    commands.receive(encode(command(clock)), 600)
    assert ended(outbox, 6)
    commands.stop()
    assert ("failed", "error") in words(outbox)
    assert words(outbox)[-1] == ("done", None)


def test_command_that_waits_behind_what_ends_the_process_is_taken_up_at_the_next_start(
    outbox: Outbox, clock: SteppedClock
) -> None:
    commands = running(outbox, clock, {"reboot": _ends, "note": _never})
    commands.receive(encode(command(clock, "reboot")), 600)
    assert ended(outbox, 2)
    commands.receive(encode(command(clock)), 600)
    commands.stop()
    assert words(outbox) == [("accepted", None), ("running", None), ("accepted", None)]


def test_clone_of_a_disk_leaves_its_commands_to_the_terminal_that_they_were_given_to(
    file: Path, clock: SteppedClock
) -> None:
    outbox = Outbox.open(file, terminal=TERMINAL, clock=clock)
    Commands(outbox, clock, {}).receive(encode(command(clock)), 600)
    outbox.close()
    clone = Outbox.open(file, terminal="kiosk-2", clock=clock)
    assert clone.unfinished_commands() == []
    clone.close()
