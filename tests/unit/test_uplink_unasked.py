"""What a terminal makes of a `stored` that it did not ask for: the cloud saw its birth, and tells how far it is."""

from collections.abc import Iterator

import pytest

from edge.uplink import LEAST_WAIT_S, SOON_S
from firmware_specs.messages import Stored
from tests.unit.uplink_line import TIMEOUT_S, Line, connected_line


@pytest.fixture
def line() -> Iterator[Line]:
    line = connected_line()
    yield line
    line.outbox.close()


def birth_seen(line: Line) -> Stored:
    return line.cloud.see_birth(line.outbox.position().state.stream)


def lose(line: Line) -> None:
    """What is sent now never reaches the cloud."""
    assert line.uplink.step(line.now_s) is not None


def test_batch_that_never_arrived_goes_again_soon_and_not_after_the_resend_timeout(line: Line) -> None:
    line.check_in(3)
    lose(line)
    line.hand(birth_seen(line))
    assert line.send() is None, "a thousand terminals would send together"
    line.pass_s(SOON_S)
    line.run()
    assert line.all_stored()


def test_answer_that_comes_after_all_spares_the_repeat(line: Line) -> None:
    line.check_in(3)
    answer, chain = line.send(), line.outbox.position().chain_at(1)
    assert chain is not None
    line.hand(birth_seen(line).model_copy(update={"through": 1, "chain": chain.hex()}))
    line.hand(answer)
    line.pass_s(TIMEOUT_S)
    line.run()
    assert [batch.header.first for batch in line.sent] == [2]
    assert line.all_stored()


def test_batch_whose_answer_was_lost_is_known_to_be_stored_at_once(line: Line) -> None:
    line.check_in(3)
    line.send()
    line.hand(birth_seen(line))
    assert line.all_stored()
    assert line.send() is None


def test_question_that_never_arrived_is_answered(line: Line) -> None:
    line.check_in(3)
    line.uplink.disconnected()
    line.uplink.connected(line.now_s)
    lose(line)
    line.hand(birth_seen(line))
    line.run()
    assert [batch.header.count for batch in line.sent] == [3]
    assert line.all_stored()


def test_restored_cloud_is_sent_again_what_it_lost(line: Line) -> None:
    backup = line.cloud.backup()
    line.check_in(5)
    line.run()
    line.cloud.restore(backup)
    line.hand(birth_seen(line))
    line.run()
    assert line.all_stored()
    assert len(line.cloud.streams) == 1


def test_repeats_of_it_cause_one_batch_each_at_most_and_none_where_nothing_waits(line: Line) -> None:
    for _ in range(20):
        line.hand(birth_seen(line))
        line.pass_s(SOON_S)
        assert line.send() is None
    line.check_in()
    lose(line)
    for _ in range(20):
        line.hand(birth_seen(line))
    line.pass_s(LEAST_WAIT_S + SOON_S)
    line.run()
    assert len(line.sent) == 1
    assert line.all_stored()


def test_word_of_a_stream_that_was_left_behind_changes_nothing(line: Line) -> None:
    line.check_in()
    lose(line)
    line.hand(Stored(epoch=1, stream="00000000-0000-4000-8000-00000000dead", through=0, chain="0" * 64, unasked=True))
    line.pass_s(SOON_S)
    assert line.send() is None
