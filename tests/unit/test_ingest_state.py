"""What terminals say of themselves waits with a bound, and the newest of it is what is kept."""

import pytest

from cloud.ingest import report_loop, state
from cloud.ingest.report_loop import HELD_S, MOST, WINDOW_S, ReportLoops
from cloud.ingest.state import STATES, StateBoard, StateMessage


def message(terminal: str, at: int) -> StateMessage:
    return StateMessage(terminal, str(at).encode(), at, retained=False)


def waiting(board: StateBoard) -> dict[str, list[int]]:
    heard = board.take()
    board.put_back(heard)
    return {terminal: [each.at for each in states] for terminal, states in heard.states.items()}


def test_births_and_deaths_come_in_order() -> None:
    board = StateBoard()
    for at in range(3):
        board.hear_state(message("kiosk-1", at))
    assert waiting(board) == {"kiosk-1": [0, 1, 2]}


def test_terminal_that_comes_and_goes_pushes_out_only_its_own_oldest() -> None:
    board = StateBoard()
    board.hear_state(message("kiosk-2", 0))
    for at in range(100):
        board.hear_state(message("kiosk-1", at))
    assert waiting(board) == {"kiosk-2": [0], "kiosk-1": list(range(100 - STATES, 100))}


def test_what_could_not_be_written_makes_room_for_what_came_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "TERMINALS", 2)
    board = StateBoard()
    for at, terminal in enumerate(("kiosk-1", "kiosk-2")):
        board.hear_state(message(terminal, at))
        board.hear_live(terminal, at)
        board.hear_reported(terminal, b"", at)
    heard = board.take()
    for at, terminal in enumerate(("kiosk-1", "kiosk-3"), 10):
        board.hear_state(message(terminal, at))
        board.hear_live(terminal, at)
        board.hear_reported(terminal, b"", at)
    board.put_back(heard)
    assert waiting(board) == {"kiosk-1": [0, 10], "kiosk-3": [11]}
    heard = board.take()
    assert heard.live == {"kiosk-1": 10, "kiosk-3": 11}
    assert {terminal: at for terminal, (_, at) in heard.reported.items()} == heard.live


def test_what_was_heard_is_told_apart_by_when() -> None:
    board = StateBoard()
    for at in (1, 2, 3):
        board.hear_state(message("kiosk-1", at))
    board.hear_live("kiosk-1", 2)
    board.hear_reported("kiosk-2", b"", 3)
    until, since = board.take().split(2)
    assert [each.at for each in until.states["kiosk-1"]] == [1, 2]
    assert [each.at for each in since.states["kiosk-1"]] == [3]
    assert (until.live, since.live) == ({"kiosk-1": 2}, {})
    assert (until.reported, since.reported) == ({}, {"kiosk-2": (b"", 3)})


class Time:
    """Monotonic seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def reports(board: StateBoard) -> dict[str, int]:
    """Those that are given out to be written: when each was heard."""
    return {terminal: at for terminal, (_, at) in board.take().reported.items()}


def test_report_in_a_loop_is_written_rarely_and_its_last_word_all_the_same() -> None:
    time = Time()
    board = StateBoard(ReportLoops(time))
    for at in range(MOST + 1):
        board.hear_reported("kiosk-1", b"", at)
    board.hear_reported("kiosk-2", b"", 0)
    heard = board.take()
    assert (set(heard.reported), heard.looping) == ({"kiosk-1", "kiosk-2"}, {"kiosk-1"})
    for at in range(100, 5_000):
        board.hear_reported("kiosk-1", b"", at)
        if at % 1_000 == 0:
            assert reports(board) == {}
    time.now_s += HELD_S
    assert reports(board) == {"kiosk-1": 4_999}
    assert reports(board) == {}


def test_terminal_that_has_come_to_its_senses_is_heard_at_once() -> None:
    time = Time()
    board = StateBoard(ReportLoops(time))
    for at in range(MOST + 1):
        board.hear_reported("kiosk-1", b"", at)
    board.take()
    time.now_s += WINDOW_S
    board.hear_reported("kiosk-1", b"", 9_000)
    heard = board.take()
    assert (heard.reported, heard.looping) == ({"kiosk-1": (b"", 9_000)}, set())


def test_who_loops_is_still_known_when_it_could_not_be_written() -> None:
    board = StateBoard(ReportLoops(Time()))
    for at in range(MOST + 1):
        board.hear_reported("kiosk-1", b"", at)
    board.put_back(board.take())
    until, _ = board._heard.split(MOST)
    assert until.looping == {"kiosk-1"}


def test_counts_are_kept_of_those_heard_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_loop, "TERMINALS", 2)
    loops = ReportLoops(Time())
    for terminal in ("kiosk-1", "kiosk-2", "kiosk-3"):
        for _ in range(MOST + 1):
            loops.hear(terminal)
    assert [loops.is_looping(f"kiosk-{number}") for number in (1, 2, 3)] == [False, True, True]
