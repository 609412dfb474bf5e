"""A terminal that reports its twin in a loop: bounded and marked, its last word kept, and the others not slowed."""

import threading
import time

from cloud.database import transaction
from cloud.ingest.report_loop import HELD_S, MOST
from cloud.terminals.models import Terminal
from firmware_specs.messages import Reported
from firmware_specs.topics import Channel, topic
from firmware_specs.wire import encode
from tests.integration.conftest import Start
from tests.integration.mqtt_kiosk import Kiosk, count, kiosk_of
from tests.servers import MosquittoServer, wait_until
from tests.town import Town, person

REPORTS = 3_000
CHECK_INS = 10
SLOWED_S = 10.0
"""More than one check-in may ever take here, on a machine with much else to do; alone it is some hundredths."""


def loop(kiosk: Kiosk, town: Town, until: threading.Event, sent: list[int]) -> None:
    """Reports one after the other as fast as the broker takes them, each another text, until it is enough and `until` is set."""
    version, number = town.twins[kiosk.pen.terminal], 0
    while number < REPORTS or not until.is_set():
        number += 1
        said = Reported(version=version, applied=True, settings={"language": str(number)})
        kiosk.client.publish(topic(kiosk.pen.terminal, Channel.REPORTED), encode(said), retain=True)
    sent.append(number)


def row(town: Town, terminal: str) -> Terminal:
    with transaction(town.engine, read_only=True) as session:
        found = session.get(Terminal, terminal)
        assert found is not None
        return found


def test_reports_in_a_loop_are_bounded_and_marked_and_others_are_not_slowed(
    start: Start, town_broker: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(town_broker, town, "kiosk-2") as looping, kiosk_of(town_broker, town) as kiosk:
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        enough, sent = threading.Event(), list[int]()
        flood = threading.Thread(target=loop, args=(looping, town, enough, sent))
        flood.start()
        slowest_s, written = 0.0, set()
        try:
            assert wait_until(lambda: row(town, "kiosk-2").marks == ["report_loop"])
            began_s = time.monotonic()
            for number in range(1, CHECK_INS + 1):
                asked_s = time.monotonic()
                kiosk.pen.check_in(person(1), town.occurrence)
                assert kiosk.ask(kiosk.pen.batch(number)).through == number
                slowest_s = max(slowest_s, time.monotonic() - asked_s)
                written.add(row(town, "kiosk-2").reported_at)
        finally:
            enough.set()
            flood.join()
        took_s = time.monotonic() - began_s
        assert slowest_s < SLOWED_S
        assert count(town) == CHECK_INS
        assert len(written) <= 2 + took_s / HELD_S
        assert sent[0] > 10 * MOST
        last = {"language": str(sent[0])}
        assert wait_until(lambda: (row(town, "kiosk-2").reported or {}).get("settings") == last, within_s=3 * HELD_S)
        assert row(town, "kiosk-1").marks == []
