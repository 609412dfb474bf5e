"""The worker outlives what goes wrong: one terminal's delivery, an answer that cannot be sent, a database that is away."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import structlog
from paho.mqtt.client import Client
from sqlalchemy.exc import DataError, IntegrityError

from cloud.broker import Broker
from cloud.errors import Conflict, Unavailable
from cloud.ingest import subscriber
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Alarm, Answer, Result
from cloud.ingest.slots import Slots
from cloud.ingest.subscriber import Subscriber
from cloud.ingest.worker import FAILING, SAY_AGAIN_S, Worker
from tests.process import wait_until


class FakeLine:
    """Answers every delivery; `refuse` may raise at a group."""

    def __init__(self, refuse: Callable[[Sequence[Delivery]], None] = lambda _group: None) -> None:
        self.refuse = refuse

    def ingest(self, deliveries: Sequence[Delivery]) -> Result:
        self.refuse(deliveries)
        return Result([Answer(each.terminal, 1, b"") for each in deliveries], batches=len(deliveries))

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def working(line: FakeLine, slots: Slots, send: Callable[[Sequence[Answer]], None]) -> Iterator[Worker]:
    worker = Worker(line, slots, send)
    worker.start()
    yield worker
    worker.stop()


def delivery(terminal: str) -> Delivery:
    return Delivery(terminal, b"x", 0)


@pytest.mark.parametrize(
    "error",
    [
        Conflict("The same came in at the same moment."),
        IntegrityError("INSERT", {}, Exception("NOT NULL")),
        DataError("INSERT", {}, Exception("out of range")),
        KeyError("the code"),
    ],
    ids=["conflict", "integrity", "data", "code"],
)
def test_delivery_that_cannot_be_stored_holds_up_no_other_terminal(error: Exception) -> None:
    def refuse(group: Sequence[Delivery]) -> None:
        if any(each.terminal == "bad" for each in group):
            raise error

    slots, answered = Slots(), list[str]()
    for terminal in ("bad", "good-1", "good-2"):
        slots.put(delivery(terminal))
    with working(FakeLine(refuse), slots, lambda answers: answered.extend(each.terminal for each in answers)) as worker:
        assert wait_until(lambda: answered == ["good-1", "good-2"])
        assert (worker.trouble, len(slots)) == (None, 0)


def test_failure_of_every_delivery_is_said_until_one_is_stored() -> None:
    broken = True

    def refuse(_group: Sequence[Delivery]) -> None:
        if broken:
            raise DataError("INSERT", {}, Exception("no such table"))

    slots = Slots()
    for number in range(FAILING):
        slots.put(delivery(f"kiosk-{number}"))
    with working(FakeLine(refuse), slots, lambda _answers: None) as worker:
        assert wait_until(lambda: worker.trouble is not None)
        broken = False
        slots.put(delivery("kiosk-0"))
        assert wait_until(lambda: worker.trouble is None)


def test_database_that_is_away_keeps_the_group_until_it_is_back() -> None:
    away = True

    def refuse(_group: Sequence[Delivery]) -> None:
        if away:
            raise Unavailable("The database does not answer.", retry_after_s=5)

    slots, answered = Slots(), list[str]()
    slots.put(delivery("kiosk-1"))
    with working(FakeLine(refuse), slots, lambda answers: answered.extend(each.terminal for each in answers)) as worker:
        assert wait_until(lambda: worker.trouble is not None)
        away = False
        assert wait_until(lambda: answered == ["kiosk-1"])
        assert worker.trouble is None


def test_answers_that_cannot_be_sent_do_not_end_the_worker() -> None:
    slots, tries = Slots(), list[str]()

    def send(answers: Sequence[Answer]) -> None:
        tries.extend(each.terminal for each in answers)
        if len(tries) == 1:
            raise KeyError("what was answered")

    with working(FakeLine(), slots, send) as worker:
        slots.put(delivery("kiosk-1"))
        assert wait_until(lambda: tries == ["kiosk-1"])
        slots.put(delivery("kiosk-2"))
        assert wait_until(lambda: tries == ["kiosk-1", "kiosk-2"])
        assert worker.trouble is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_has_ended_is_trouble() -> None:
    class Ends(Slots):
        def take(self, timeout_s: float) -> list[Delivery]:
            raise SystemExit

    worker = Worker(FakeLine(), Ends(), lambda _answers: None)
    assert worker.trouble is None
    worker.start()
    assert wait_until(lambda: worker.trouble is not None)
    worker.stop()
    assert worker.trouble is None


def test_the_same_alarm_is_logged_once_a_minute_for_each_terminal() -> None:
    now_s = 0.0
    fork = Result(alarms=[Alarm("kiosk-1", None, "fork", None)])
    other = Result(alarms=[Alarm("kiosk-1", None, "broken", "cut"), Alarm("kiosk-2", None, "fork", None)])

    class Alarming(FakeLine):
        results = itertools.chain([fork, fork, other, fork], itertools.repeat(fork))

        def ingest(self, deliveries: Sequence[Delivery]) -> Result:
            return next(self.results)

    sent = list[int]()
    slots = Slots()
    worker = Worker(Alarming(), slots, lambda _answers: sent.append(1), lambda: now_s)
    with structlog.testing.capture_logs() as logged:
        worker.start()
        for group in range(1, 6):
            now_s = SAY_AGAIN_S + 1.5 if group == 5 else float(group)
            slots.put(delivery("kiosk-1"))
            assert wait_until(lambda group=group: len(sent) == group)  # type: ignore[misc]
        worker.stop()
    said = [(each["terminal"], each["mark"]) for each in logged if each["event"] == "alarm"]
    assert said == [("kiosk-1", "fork"), ("kiosk-1", "broken"), ("kiosk-2", "fork"), ("kiosk-1", "fork")]


def test_two_workers_may_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "ANSWERED", 3)
    monkeypatch.setattr(Client, "publish", lambda *_args, **_more: None)
    telling = Subscriber(Broker("127.0.0.1", 1, "cloud", None), client_id="test", hears={})
    failed = list[BaseException]()

    def answer(name: str) -> None:
        try:
            for number in range(60):
                telling.answer([Answer(f"{name}-{number}-{each}", 1, b"") for each in range(20)])
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=answer, args=(f"kiosk-{number}",)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
