"""The uplink without sockets: one batch in flight, resends, backoff, restores, forks, and nothing that spins."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from edge.errors import OutboxFull
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs.fields import MAX_BATCH_BYTES
from firmware_specs.messages import Health, Started, Stored
from firmware_specs.wire import decode_batch
from tests.unit.uplink_line import TERMINAL, TIMEOUT_S, Line, connected_line


@pytest.fixture
def line() -> Iterator[Line]:
    line = connected_line()
    yield line
    line.outbox.close()


def test_connection_begins_with_a_question() -> None:
    line = Line()
    line.check_in()
    line.uplink.connected(line.now_s)
    line.run()
    assert [batch.header.count for batch in line.sent] == [0, 2]
    assert line.all_stored()
    line.outbox.close()


def test_nothing_is_sent_without_a_connection(line: Line) -> None:
    line.uplink.disconnected()
    line.check_in()
    assert line.send() is None
    assert line.uplink.wake_at_s is None


def test_live_record_is_sent_at_once_and_only_once(line: Line) -> None:
    line.check_in()
    assert line.run() == 1
    assert line.all_stored()


def test_one_batch_is_in_flight_until_its_answer(line: Line) -> None:
    line.check_in()
    answer = line.send()
    line.check_in(3)
    assert line.uplink.in_flight == 1
    assert line.send() is None
    line.hand(answer)
    line.run()
    assert [batch.header.count for batch in line.sent] == [1, 3]
    assert line.all_stored()


def test_time_until_the_answer_is_told_of_what_was_sent_once(line: Line) -> None:
    line.check_in()
    answer = line.send()
    line.pass_s(0.25)
    line.hand(answer)
    assert line.uplink.answer_s == pytest.approx(0.25)
    line.check_in()
    line.send()
    line.pass_s(2 * TIMEOUT_S)
    answer = line.send()
    line.pass_s(3)
    line.hand(answer)
    assert line.all_stored()
    assert line.uplink.answer_s == pytest.approx(0.25)


def test_backlog_goes_in_full_batches(line: Line) -> None:
    line.check_in(450)
    line.run()
    assert [batch.header.count for batch in line.sent] == [200, 200, 50]
    assert line.all_stored()


def test_lost_answer_is_made_good_by_the_repeat(line: Line) -> None:
    line.check_in()
    line.send()
    line.pass_s(TIMEOUT_S - 1)
    assert line.send() is None
    line.pass_s(TIMEOUT_S)
    line.run()
    assert [batch.header.first for batch in line.sent] == [2, 2]
    assert line.all_stored()


def test_repeats_come_ever_later_while_the_cloud_is_silent(line: Line) -> None:
    line.cloud.silent = True
    line.check_in()
    sent_at_s: list[float] = []
    for _ in range(3600):
        count = len(line.sent)
        line.hand(line.send())
        sent_at_s += [line.now_s] * (len(line.sent) - count)
        line.pass_s(1)
    pauses_s = [later - earlier for earlier, later in itertools.pairwise(sent_at_s)]
    assert pauses_s[0] >= TIMEOUT_S
    assert max(pauses_s) <= 60 * 1.25 + 1
    assert len(sent_at_s) < 3600 / 55
    line.cloud.silent = False
    line.uplink.heard(line.now_s)
    line.pass_s(2.5)
    line.run()
    assert line.all_stored()


def test_repeated_and_old_answers_cause_no_extra_sending(line: Line) -> None:
    answers: list[Stored] = []
    for _ in range(20):
        line.check_in()
        answer = line.send()
        assert answer is not None
        answers.append(answer)
        for repeated in answers[-3:] * 3:
            line.hand(repeated)
        while (extra := line.send()) is not None:
            answers.append(extra)
            line.hand(extra)
    assert line.all_stored()
    assert len(line.sent) <= 40


def test_restored_cloud_is_sent_again_what_it_lost(line: Line) -> None:
    line.check_in(5)
    line.run()
    backup = line.cloud.backup()
    line.check_in(7)
    line.run()
    line.cloud.restore(backup)
    line.uplink.heard(line.now_s, line.cloud.epoch)
    line.run()
    assert line.all_stored()
    assert len(line.cloud.streams) == 1


def test_new_epoch_in_an_answer_without_position_is_followed_by_a_question(line: Line) -> None:
    line.check_in()
    line.cloud.error_next = [Stored(epoch=2, error="busy", retry_after_s=5.0)]
    line.hand(line.send())
    line.cloud.epoch = 2
    line.pass_s(10)
    line.run()
    assert [batch.header.count for batch in line.sent] == [1, 0, 1]
    assert line.all_stored()


def test_rolled_back_disk_opens_a_stream_with_a_parent_and_facts_stay_single(line: Line) -> None:
    line.check_in(4)
    line.run()
    (stream,) = line.cloud.streams.values()
    stream.lines.append(b"{}")
    line.check_in()
    line.uplink.connected(line.now_s)
    line.run()
    assert line.outbox.status().depth == 0
    stream.lines.pop()
    assert line.cloud.check_in_ids() == line.made
    assert len(line.cloud.streams) == 2
    assert line.sent[-1].header.parent is not None
    started = [record for record in line.cloud.records() if isinstance(record, Started)]
    assert started[-1].reason == "diverged"


def test_foreign_stream_opens_a_stream_of_its_own(line: Line) -> None:
    line.check_in(4)
    line.run()
    (stream,) = line.cloud.streams.values()
    stream.terminal = "kiosk-2"
    line.check_in()
    line.run()
    assert line.all_stored()
    assert {kept.terminal for kept in line.cloud.streams.values()} == {"kiosk-1", "kiosk-2"}


def test_cloud_that_refuses_every_stream_does_not_make_it_spin(line: Line) -> None:
    line.check_in()
    for _ in range(3600):
        publish = line.uplink.step(line.now_s)
        if publish is not None:
            line.sent.append(decode_batch(publish.payload))
            stream = line.sent[-1].header.stream
            line.hand(Stored(epoch=1, stream=stream, error="foreign_stream"))
        line.pass_s(1)
    assert len(line.sent) < 25


def test_doubtful_answer_is_believed_only_when_questions_confirm_it() -> None:
    line = Line()
    line.outbox = Outbox.open(":memory:", terminal=TERMINAL, clock=line.clock)
    line.uplink = Uplink(line.outbox, resend_timeout_s=TIMEOUT_S, chance=random.Random(1))
    line.outbox.on_append = line.uplink.appended
    line.uplink.connected(line.now_s)
    line.check_in(5)
    line.run()
    (name, kept) = next(iter(line.cloud.streams.items()))
    trim(line)
    old = Stored(epoch=1, stream=name, through=1, chain="ab" * 32)
    line.hand(old)
    line.run()
    assert len(line.cloud.streams) == 1
    for _ in range(4):
        line.hand(old)
        line.uplink.step(line.now_s)
    assert line.outbox.status().stream != name
    assert kept.terminal == TERMINAL
    line.outbox.close()


def trim(line: Line) -> None:
    """Let two weeks pass, and one more record be stored."""
    line.pass_s(15 * 86_400)
    line.check_in()
    line.run()


@pytest.mark.parametrize(
    "error", ["busy", "broken", "too_large", "unknown_version", "too_many_streams", "bad_signature", "fork", "what"]
)
def test_refusals_without_end_never_spin_and_end_well(line: Line, error: str) -> None:
    line.check_in(64)
    for _ in range(600):
        publish = line.uplink.step(line.now_s)
        if publish is not None:
            line.sent.append(decode_batch(publish.payload))
            line.hand(Stored(epoch=1, error=error))
        line.pass_s(0.5)
    assert len(line.sent) < 30
    assert line.uplink.problem is not None
    line.pass_s(1000)
    line.run()
    assert line.all_stored()
    assert line.uplink.problem is None


def test_batch_that_is_too_large_is_halved(line: Line) -> None:
    line.check_in(64)
    for _ in range(3):
        line.send()
        line.hand(Stored(epoch=1, error="too_large"))
        line.pass_s(30)
    line.send()
    counts = [batch.header.count for batch in line.sent]
    assert all(0 < smaller <= larger / 2 for larger, smaller in itertools.pairwise(counts))


def test_batch_keeps_to_the_brokers_packet_size(line: Line) -> None:
    line.uplink.disconnected()
    line.uplink.connected(line.now_s, 4096)
    line.check_in(64)
    line.run()
    assert all(len(payload) <= 4096 for payload in line.cloud.payloads[1:])
    assert line.all_stored()


def test_line_that_fits_into_no_packet_is_reported_and_not_sent_for_ever(line: Line) -> None:
    line.uplink.disconnected()
    line.uplink.connected(line.now_s, 480)
    line.check_in()
    line.run()
    line.sent.clear()
    assert line.uplink.problem is not None
    assert "Record 2 has" in line.uplink.problem
    for _ in range(300):
        line.send()
        line.pass_s(1)
    assert not line.sent
    line.uplink.connected(line.now_s, MAX_BATCH_BYTES)
    line.run()
    assert line.all_stored()


def test_packets_too_small_even_for_a_question_are_reported(line: Line) -> None:
    line.uplink.connected(line.now_s, 100)
    assert line.send() is None
    assert line.uplink.problem is not None


def test_connection_that_is_cut_by_every_batch_gets_smaller_ones(line: Line) -> None:
    line.check_in(128)
    for _ in range(4):
        line.uplink.step(line.now_s)
        line.uplink.disconnected()
        line.uplink.connected(line.now_s)
        line.hand(line.send())
    line.sent.clear()
    line.send()
    assert 0 < line.sent[0].header.count <= 16


def test_long_line_goes_alone_where_batches_were_made_smaller_than_it(line: Line) -> None:
    metrics = {f"metric_with_a_long_name_{index}": 123456.789 for index in range(60)}
    line.outbox.append([Health(**line.clock.stamp((0, 0)), metrics=metrics)])
    for _ in range(6):
        line.uplink.step(line.now_s)
        line.uplink.disconnected()
        line.uplink.connected(line.now_s)
        line.hand(line.send())
    line.check_in(3)
    line.run()
    assert line.all_stored()


def test_long_line_beyond_what_the_broker_allows_is_still_too_long(line: Line) -> None:
    metrics = {f"metric_with_a_long_name_{index}": 123456.789 for index in range(60)}
    line.outbox.append([Health(**line.clock.stamp((0, 0)), metrics=metrics)])
    for _ in range(3):
        line.uplink.step(line.now_s)
        line.uplink.disconnected()
        line.uplink.connected(line.now_s, 2500)
        line.hand(line.send())
    line.run()
    assert line.uplink.problem is not None
    assert "Record 2 has" in line.uplink.problem


def test_batch_that_is_swallowed_again_and_again_gets_smaller(line: Line) -> None:
    line.check_in(64)
    for _ in range(4):
        line.uplink.step(line.now_s)
        line.pass_s(100)
    line.send()
    assert line.sent[0].header.count < 32
    line.cloud.payloads.clear()


def test_disk_that_refuses_is_reported_and_tried_again(line: Line) -> None:
    line.check_in()
    answer = line.send()
    assert answer is not None
    line.uplink._queue = FullDisk()
    with pytest.raises(OutboxFull):
        line.hand(answer)
    line.pass_s(100)
    assert line.send() is None
    assert line.uplink.problem == "no room"
    line.uplink._queue = line.outbox
    line.pass_s(10)
    line.run()
    assert line.all_stored()


class FullDisk:
    """An outbox that cannot write."""

    def _refuse(self, *_: object) -> Any:
        raise OutboxFull("no room")

    position = next_batch = question = stored = saw_epoch = open_stream = _refuse


def test_rejected_records_are_remembered(line: Line) -> None:
    line.check_in()
    answer = line.send()
    assert answer is not None
    line.hand(answer.model_copy(update={"rejected": [2]}))
    counted = line.outbox._store.read(lambda sql, _: sql.execute("SELECT count(*) FROM rejected").fetchone()[0])
    assert counted == 1


@pytest.mark.parametrize("seed", range(30))
def test_everything_arrives_once_and_in_order_over_a_bad_line(seed: int) -> None:
    chance = random.Random(seed)
    line = Line()
    waiting: list[Stored] = []
    for _ in range(400):
        if chance.random() < 0.3:
            line.check_in(chance.randint(1, 4))
        if chance.random() < 0.05:
            line.uplink.connected(line.now_s)
        publish = line.uplink.step(line.now_s)
        for _ in range(chance.choice([0, 1, 1, 1, 2]) if publish else 0):
            assert publish is not None
            answer = line.cloud.answer(TERMINAL, publish.payload)
            waiting += [answer] * chance.choice([0, 1, 1, 2]) if answer else []
        if waiting and chance.random() < 0.6:
            line.hand(waiting.pop(chance.randrange(len(waiting))))
        line.pass_s(chance.choice([0.1, 1, 30]))
    waiting.clear()
    line.uplink.connected(line.now_s)
    for _ in range(50):
        line.run()
        line.pass_s(700)
    assert line.all_stored()
    assert len(line.cloud.streams) == 1
    line.outbox.close()
