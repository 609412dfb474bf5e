"""Deliveries wait in one slot per terminal; what does not fit is refused at once."""

import threading

from cloud.ingest.accept import Delivery
from cloud.ingest.occurrences import Held, choose
from cloud.ingest.slots import GROUP, GROUP_BYTES, Slots


def delivery(terminal: str, payload: bytes = b"x") -> Delivery:
    return Delivery(terminal, payload, 0)


def test_groups_come_in_the_order_of_arrival() -> None:
    slots = Slots()
    for name in "cab":
        assert slots.put(delivery(name))
    assert [each.terminal for each in slots.take(0)] == ["c", "a", "b"]
    assert slots.take(0) == []


def test_newer_delivery_takes_the_place_of_the_older_one() -> None:
    slots = Slots()
    for name, payload in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        slots.put(delivery(name, payload))
    assert [(each.terminal, each.payload) for each in slots.take(0)] == [("a", b"3"), ("b", b"2")]


def test_terminal_that_invents_streams_holds_one_slot() -> None:
    slots = Slots(slots=2)
    for number in range(100):
        assert slots.put(delivery("a", str(number).encode()))
    assert slots.put(delivery("b"))
    assert len(slots) == 2


def test_when_all_slots_are_taken_others_are_refused_and_those_inside_may_be_renewed() -> None:
    slots = Slots(slots=1)
    assert slots.put(delivery("a"))
    assert not slots.put(delivery("b"))
    assert slots.put(delivery("a", b"newer"))


def test_question_of_the_cloud_itself_takes_only_a_free_slot() -> None:
    slots = Slots(slots=2)
    slots.put(delivery("a", b"what it sent"))
    assert not slots.put_if_free(delivery("a"))
    assert slots.put_if_free(delivery("b"))
    assert not slots.put_if_free(delivery("c"))
    assert [each.payload for each in slots.take(0)] == [b"what it sent", b"x"]


def test_bytes_are_bounded_too() -> None:
    slots = Slots(size=10)
    assert slots.put(delivery("a", b"x" * 8))
    assert not slots.put(delivery("b", b"x" * 3))
    slots.take(0)
    assert slots.put(delivery("b", b"x" * 3))


def test_groups_are_bounded_in_number_and_bytes() -> None:
    slots = Slots()
    for number in range(GROUP + 1):
        slots.put(delivery(str(number)))
    assert len(slots.take(0)) == GROUP
    assert len(slots.take(0)) == 1
    for number in range(3):
        slots.put(delivery(str(number), b"x" * (GROUP_BYTES // 2)))
    assert len(slots.take(0)) == 2


def test_one_delivery_larger_than_a_group_is_a_group() -> None:
    slots = Slots()
    slots.put(delivery("a", b"x" * (GROUP_BYTES + 1)))
    assert len(slots.take(0)) == 1


def test_group_that_failed_is_next_again_unless_something_newer_came() -> None:
    slots = Slots()
    slots.put(delivery("a", b"old"))
    slots.put(delivery("b", b"old"))
    group = slots.take(0)
    slots.put(delivery("a", b"new"))
    slots.put_back(group)
    assert {(each.terminal, each.payload) for each in slots.take(0)} == {("a", b"new"), ("b", b"old")}


def test_waiting_taker_is_woken_by_a_delivery_and_by_the_end() -> None:
    slots, got = Slots(), list[int]()

    def take() -> None:
        got.append(len(slots.take(10)))
        got.append(len(slots.take(10)))

    thread = threading.Thread(target=take)
    thread.start()
    slots.put(delivery("a"))
    while len(got) < 1:
        thread.join(0.001)
    slots.close()
    thread.join(10)
    assert got == [1, 0]


MORNING, NOON = Held("m", 0, 10, 100), Held("n", 90, 120, 200)


def test_occurrence_that_was_on_is_chosen_whatever_the_kiosk_said() -> None:
    assert choose("n", 50, 0, [MORNING, NOON]) == "m"


def test_of_two_that_were_on_the_kiosks_own_word_decides() -> None:
    assert choose("m", 95, 0, [MORNING, NOON]) == "m"


def test_of_two_that_were_on_the_later_one_is_chosen_where_the_kiosk_said_nothing() -> None:
    assert choose(None, 95, 0, [MORNING, NOON]) == "n"


def test_uncertainty_reaches_out_to_the_nearest() -> None:
    assert choose(None, 210, 15, [MORNING, NOON]) == "n"
    assert choose(None, 210, 9, [MORNING, NOON]) is None


def test_where_nothing_was_on_nothing_is_chosen() -> None:
    assert choose("m", 50, 1_000, []) is None
