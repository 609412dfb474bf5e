"""SIGTERM ends `serve` within seconds, whatever it is doing."""

import signal
import sys
import threading
import time
from pathlib import Path

from sqlalchemy import func, select

from cloud.database import transaction
from cloud.loop import STOP_WITHIN_S, Loop
from cloud.terminals.models import Twin
from tests.ledgers import migrated
from tests.process import Process, free_port
from tests.town import settle

ENDS_WITHIN_S = 5.0
"""Two to three seconds on a machine that does nothing else."""
TERMINALS = 400


def test_a_turn_that_takes_long_does_not_hold_up_the_end() -> None:
    begun, release = threading.Event(), threading.Event()

    def turn() -> float:
        begun.set()
        release.wait(60)
        return 0.0

    loop = Loop("slow", turn)
    loop.start()
    assert begun.wait(5)
    before = time.monotonic()
    loop.stop()
    release.set()
    assert time.monotonic() - before < STOP_WITHIN_S + 0.5


def test_serve_ends_soon_while_hundreds_of_twins_are_made(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/ledger.db"
    engine = migrated(address)
    settle(engine, terminals=tuple(f"kiosk-{number}" for number in range(TERMINALS)))

    def made() -> int:
        with transaction(engine, read_only=True) as session:
            return session.scalar(select(func.count()).select_from(Twin)) or 0

    process = Process(tmp_path / "serve.log")
    settings = {
        "ROOMLINK_DATABASE_URL": address,
        "ROOMLINK_DATA_DIR": str(tmp_path),
        "ROOMLINK_PORT": str(free_port()),
        "ROOMLINK_MQTT_PORT": str(free_port()),  # nobody listens there
    }
    command = ["env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "cloud", "serve"]
    process.spawn(command, ready=lambda: made() > TERMINALS)
    before = time.monotonic()
    assert process.stop(signal.SIGTERM) == 0
    took_s = time.monotonic() - before
    assert took_s < ENDS_WITHIN_S, process.log_tail()
    assert made() < 2 * TERMINALS, "all were made before it was stopped: the test shows nothing"
    engine.dispose()
