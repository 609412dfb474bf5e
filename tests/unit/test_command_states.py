"""Every history of three events keeps the promises of the table of command states."""

import itertools

import pytest

from cloud.commands.states import OPEN, TOLD_ENDS, Event, State, after
from firmware_specs.messages import CommandWord

ANYTHING = [*Event, *CommandWord]
Happening = Event | CommandWord


def walk(history: tuple[Happening, ...]) -> list[State]:
    """The states that a new command goes through."""
    states, given = [State.QUEUED], False
    for event in history:
        state = after(states[-1], event, given=given)
        given = given or (event is Event.GIVE and state is State.SENT)
        states.append(state)
    return states


HISTORIES = [history for length in (1, 2, 3, 4) for history in itertools.product(ANYTHING, repeat=length)]


def test_every_history_up_to_four_events_was_walked() -> None:
    assert len(HISTORIES) == 8 + 8**2 + 8**3 + 8**4


@pytest.mark.parametrize("history", [h for h in HISTORIES if len(h) <= 3], ids="-".join)
def test_only_the_terminals_own_word_moves_it_past_sent(history: tuple[Happening, ...]) -> None:
    states = walk(history)
    said = {State(event.value) for event in history if isinstance(event, CommandWord)}
    assert {State.ACCEPTED, State.RUNNING, State.DONE, State.FAILED} & set(states) <= said


def test_expired_is_said_of_what_was_never_given_or_by_the_terminal() -> None:
    for history in HISTORIES:
        states = walk(history)
        if states[-1] is State.EXPIRED and CommandWord.EXPIRED not in history:
            assert State.SENT not in states


def test_what_was_given_and_not_answered_is_unknown_after_its_deadline() -> None:
    assert walk((Event.GIVE, Event.DEADLINE))[-1] is State.UNKNOWN
    assert walk((Event.GIVE, CommandWord.ACCEPTED, Event.DEADLINE))[-1] is State.UNKNOWN
    assert walk((Event.GIVE, CommandWord.RUNNING, Event.DEADLINE))[-1] is State.UNKNOWN


def test_later_word_replaces_unknown() -> None:
    for word in CommandWord:
        assert walk((Event.GIVE, Event.DEADLINE, word))[-1] == State(word.value)


def test_no_word_undoes_an_end_that_the_terminal_told() -> None:
    for history in HISTORIES:
        states = walk(history)
        for before, behind in itertools.pairwise(states):
            if before in TOLD_ENDS:
                assert behind is before


def test_every_open_command_ends_at_its_deadline() -> None:
    for history in HISTORIES:
        last = walk((*history, Event.DEADLINE))[-1]
        assert last not in OPEN


def test_what_was_given_cannot_be_cancelled() -> None:
    for history in HISTORIES:
        states = walk(history)
        if State.CANCELLED in states and Event.GIVE in history:
            assert history.index(Event.CANCEL) < history.index(Event.GIVE)


def test_copies_of_earlier_words_change_nothing() -> None:
    words = (CommandWord.ACCEPTED, CommandWord.RUNNING, CommandWord.DONE)
    assert walk((Event.GIVE, *words, *words))[-1] is State.DONE
    assert walk((Event.GIVE, CommandWord.RUNNING, CommandWord.ACCEPTED))[-1] is State.RUNNING
