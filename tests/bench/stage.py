"""What the benches of the whole line run on: a real Mosquitto, a settled ledger, the real cloud, publishers, CPU clocks.

Everything started here is stopped here. Files lie on the repository's disk, not in a folder that may be in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, insert, text

from broker_config.passwords import hash_password, read_password_file, write_password_file
from cloud.activities.models import Occurrence
from cloud.credentials.models import Credential
from cloud.database import transaction
from cloud.members.models import Member
from tests.bench.payloads import Mix
from tests.ledgers import migrated
from tests.process import ROOT
from tests.servers import MosquittoServer, wait_until
from tests.town import ACTIVITY, KEY, ORGANISATION, ROOM, Town, person, settle

PUBLISHERS = 2


@dataclass(frozen=True)
class Crowd:
    """Terminals, and who is known."""

    terminals: int
    members: int
    mix: Mix
    occurrences: int = 30


@dataclass(frozen=True)
class Run:
    """What a run took: wall time, answers, and CPU seconds of each process."""

    seconds: float
    answers: int
    resent: int
    cpu_s: Mapping[str, float]

    @property
    def bottleneck(self) -> str:
        """The process that was closest to a whole core, and its share."""
        name, cpu_s = max(self.cpu_s.items(), key=lambda item: item[1])
        return f"{name} ({cpu_s / self.seconds:.2f} of a core)"

    def shares(self) -> dict[str, float]:
        """Cores that each process used."""
        return {name: round(cpu_s / self.seconds, 3) for name, cpu_s in self.cpu_s.items()}


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the repository's disk, gone at the end."""
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


def settled(url: str, crowd: Crowd) -> Town:
    """A town on an empty ledger, with as many members and occurrences as the crowd wants."""
    engine = migrated(url)
    town = settle(engine, terminals=names(crowd.terminals), members=1)
    with transaction(engine) as session:
        for number in range(2, crowd.members + 1, 2_000):
            people = [person(each) for each in range(number, min(number + 2_000, crowd.members + 1))]
            named = [
                {
                    "id": each.member, "organisation_id": ORGANISATION, "display_name": f"Member {each.member[-4:]}",
                    "subject": each.subject, "created_at": town.now, "version": 1,
                }
                for each in people
            ]  # fmt: skip
            session.execute(insert(Member), named)
            cards = [
                {
                    "id": each.card, "member_id": each.member, "issuer": "TOWN", "key_id": KEY,
                    "not_before_at": town.now, "expires_at": town.now + timedelta(days=365), "created_at": town.now,
                }
                for each in people
            ]  # fmt: skip
            session.execute(insert(Credential), cards)
        session.execute(insert(Occurrence), [_occurrence(town, days) for days in range(2, crowd.occurrences)])
    return town


def occurrences(engine: Engine) -> list[str]:
    """The ids of all there are."""
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(text("SELECT id FROM occurrences ORDER BY id"))]


def names(count: int) -> tuple[str, ...]:
    """Terminals' ids."""
    return tuple(f"kiosk-{number:05d}" for number in range(1, count + 1))


def open_broker(directory: Path, crowd: Crowd, password: str) -> MosquittoServer:
    """Mosquitto as in production, not started; one password for all terminals, whose hashes would take long to make."""
    broker = MosquittoServer(directory)
    hashes = read_password_file(broker.password_file)
    write_password_file(broker.password_file, hashes | dict.fromkeys(names(crowd.terminals), hash_password(password)))
    return broker


@contextmanager
def spoken_to(module: str, told: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that has been told its plan and has said that it is ready; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        tell(process, json.dumps(told))
        yield process
    finally:
        process.terminate()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Say a line to it."""
    print(line, file=process.stdin, flush=True)


def heard(process: subprocess.Popen[str]) -> str:
    """The next line that it says; RuntimeError at its end."""
    assert process.stdout
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"a part of the bench ended with {process.wait()}")
    return line


def drive(
    broker: MosquittoServer, town: Town, crowd: Crowd, password: str, watched: Mapping[str, int], *, trusting: bool
) -> Run:
    """Let all terminals send everything; `watched` are processes by name whose CPU is of interest."""
    every = list(town.twins.items())
    told = {
        "port": broker.port, "password": password, "trusting": trusting, "members": crowd.members,
        "occurrences": occurrences(town.engine), "mix": asdict(crowd.mix),
    }  # fmt: skip
    with ExitStack() as stack:
        processes = [
            stack.enter_context(spoken_to("tests.bench.publisher", told | {"terminals": _share(every, index)}))
            for index in range(PUBLISHERS)
        ]
        for process in processes:
            heard(process)
        pids = dict(watched) | {f"publisher {index}": each.pid for index, each in enumerate(processes, 1)}
        before = {name: cpu_s_of(pid) for name, pid in pids.items()}
        began = time.perf_counter()
        for process in processes:
            tell(process, "go")
        results = [json.loads(heard(process)) for process in processes]
        seconds = time.perf_counter() - began
        cpu_s = {name: cpu_s_of(pid) - before[name] for name, pid in pids.items()}
    return Run(seconds, sum(each["answers"] for each in results), sum(each["resent"] for each in results), cpu_s)


def cpu_s_of(pid: int) -> float:
    """CPU seconds of a process and its living children so far."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        for process in (here := psutil.Process(pid), *here.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def scalar(engine: Engine, query: str) -> int:
    """A number from the ledger."""
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one() or 0)


def check_stored(engine: Engine, crowd: Crowd) -> None:
    """RuntimeError where not everything is stored, and linked: a figure over less would be another figure."""
    records = crowd.terminals * crowd.mix.records
    check_ins = crowd.terminals * (crowd.mix.records // crowd.mix.check_in_every)
    found = {
        "stored": scalar(engine, "SELECT SUM(through) FROM streams"),
        "in the journal": scalar(engine, "SELECT SUM(count) FROM journal"),
        "check-ins linked": scalar(engine, "SELECT COUNT(*) FROM check_ins WHERE member_id IS NOT NULL"),
    }
    wanted = {"stored": records, "in the journal": records, "check-ins linked": check_ins}
    if found != wanted:
        raise RuntimeError(f"wanted {wanted}, found {found}")


def settle_down(pid: int, below: float = 0.05, within_s: float = 20.0) -> None:
    """Until a process that has just started has nothing more to do of its own."""

    def is_calm() -> bool:
        before, began = cpu_s_of(pid), time.perf_counter()
        time.sleep(0.3)
        return (cpu_s_of(pid) - before) / (time.perf_counter() - began) < below

    wait_until(is_calm, within_s)


def _share(every: Sequence[tuple[str, tuple[int, int]]], index: int) -> list[tuple[str, int, tuple[int, int]]]:
    """Terminal, place, twin, for one of the publishers."""
    return [(name, place, twin) for place, (name, twin) in enumerate(every) if place % PUBLISHERS == index]


def _occurrence(town: Town, days: int) -> dict[str, Any]:
    starts = town.now.replace(second=0, microsecond=0) - timedelta(days=days)
    return {
        "id": f"{ACTIVITY}/{starts:%Y%m%dT%H%M%SZ}", "activity_id": ACTIVITY, "room_id": ROOM,
        "organisation_id": ORGANISATION, "starts_at": starts, "ends_at": starts + timedelta(hours=2),
    }  # fmt: skip
