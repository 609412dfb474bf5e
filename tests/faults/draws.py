"""The faults that a round may draw: each does its damage, and gives back what heals it.

A fault that takes a disk away says which greens were nowhere else. Called by the harness.
"""

import contextlib
import random
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.faults.account import is_written_onward, promised_ids, read_stored
from tests.faults.evidence import Damage, read_journal
from tests.faults.kiosks import Kiosk, new_copy_name
from tests.faults.proxy import Proxy, Trouble
from tests.faults.recovery import wait_until_stored
from tests.faults.stack import FaultStack

Heal = Callable[[], None]
DAY_US = 86_400_000_000
MAX_COPIES = 3


@dataclass
class Round:
    """What a fault may touch."""

    stack: FaultStack
    chance: random.Random
    damage: Damage
    is_alone: bool = False
    """Whether this round's fault is the only one: then it can be seen that all else goes on."""
    renewed: int = 0
    revoked: int = 0
    rotated: int = 0

    def kiosk(self) -> Kiosk:
        """One of the three."""
        return self.chance.choice(self.stack.kiosks)

    def proxy(self) -> Proxy:
        """Before or behind the broker."""
        return self.chance.choice([self.stack.uplink, self.stack.downlink])


Fault = Callable[[Round], Heal]


def kill_agent(now: Round) -> Heal:
    """SIGKILL of a kiosk's process."""
    kiosk = now.kiosk()
    kiosk.process.kill()
    return kiosk.start


def kill_broker(now: Round) -> Heal:
    """SIGKILL of Mosquitto."""
    now.stack.broker.kill()
    return now.stack.broker.start


def wipe_broker(now: Round) -> Heal:
    """Mosquitto comes back without anything it had kept."""
    now.stack.broker.kill()
    now.stack.broker.wipe()
    return now.stack.broker.start


def kill_cloud(now: Round) -> Heal:
    """SIGKILL of the cloud."""
    now.stack.cloud.kill()
    return now.stack.start_cloud


def kill_database(now: Round) -> Heal:
    """SIGKILL of PostgreSQL and all its processes; of the cloud, where the database is in it."""
    if now.stack.postgres is None:
        return kill_cloud(now)
    now.stack.postgres.kill()
    return now.stack.postgres.start


def spoil_messages(now: Round) -> Heal:
    """Messages repeated, delayed past others, dropped, corrupted, and connections cut within one."""
    proxy = now.proxy()
    few = now.chance.uniform(0.05, 0.3)
    repeat, delay, drop, corrupt = (few * now.chance.randint(0, 1) for _ in range(4))
    proxy.put(Trouble(repeat=repeat, delay=delay, drop=drop, corrupt=corrupt, cut=few / 4))
    return proxy.heal


def take_network_away(now: Round) -> Heal:
    """No connection passes."""
    proxy = now.proxy()
    proxy.put(Trouble(away=True))
    return proxy.heal


def fill_disk(now: Round) -> Heal:
    """No file of the agent may grow any more (RLIMIT_FSIZE): the outbox meets what a full disk gives it."""
    kiosk = now.kiosk()
    pid = kiosk.process.pid
    now.damage.filled.add(kiosk.name)
    size = max((path.stat().st_size for path in kiosk.disk.iterdir() if path.is_file()), default=4096)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, 65_536), hard))

    def heal() -> None:
        if kiosk.process.running and kiosk.process.pid == pid:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    return heal


def move_clock(now: Round) -> Heal:
    """The wall clock of a kiosk is a day off, whether the kiosk knows it or not."""
    kiosk = now.kiosk()
    quality = now.chance.choice(["synced", "holdover", "unset"])
    kiosk.clock_offset.write_text(f"{now.chance.choice([-1, 1]) * DAY_US} {quality}")
    return lambda: _write_clock(kiosk)


def roll_back_disk(now: Round) -> Heal:
    """A kiosk's disk is replaced by an older copy of it."""
    kiosk = now.kiosk()
    if not kiosk.copies:
        copy_disk(kiosk)
        return lambda: None
    kiosk.process.kill()
    copy = now.chance.choice(kiosk.copies)
    _replace_disk(now, kiosk, lambda: shutil.copytree(copy, kiosk.disk))
    return lambda: _let_in_and_start(now, kiosk)


def clone_disk(now: Round) -> Heal:
    """A kiosk gets the disk of another, and keeps its own name, with the key and the certificate that say so."""
    source, target = now.chance.sample(now.stack.kiosks, 2)
    copy_disk(source)
    target.process.kill()
    kept = new_copy_name(target.folder)

    def replace() -> None:
        shutil.copytree(source.copies[-1], target.disk, ignore=shutil.ignore_patterns(target.identity.name))
        if kept.exists():
            kept.rename(target.identity)

    if target.identity.exists():
        target.identity.rename(kept)
    _replace_disk(now, target, replace)
    return target.start


def wipe_disk(now: Round) -> Heal:
    """A kiosk's disk is empty again; its certificate is gone with it."""
    kiosk = now.kiosk()
    kiosk.process.kill()
    _replace_disk(now, kiosk, kiosk.disk.mkdir)
    return lambda: _let_in_and_start(now, kiosk)


def fill_cloud_disk(now: Round) -> Heal:
    """No file of the cloud may grow any more: the time series fail and, with SQLite, the ledger too."""
    cloud = psutil.Process(now.stack.cloud.pid)
    limits = {each.pid: resource.prlimit(each.pid, resource.RLIMIT_FSIZE) for each in (cloud, *cloud.children())}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))

    def heal() -> None:
        for pid, limit in limits.items():
            with contextlib.suppress(ProcessLookupError):  # killed by another fault of this round
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    return heal


def fail_series(now: Round) -> Heal:
    """The time series fail: a server refuses, or another process has the file when the cloud starts. Check-ins are stored all
    the same."""
    kind = now.chance.randrange(100)
    if now.stack.series.needs_restart:
        now.stack.cloud.kill()
        heal = now.stack.series.fail(kind)
        now.stack.start_cloud()
    else:
        heal = now.stack.series.fail(kind)
    if now.is_alone:
        wait_until_stored(now.stack)
        if is_written_onward(now.stack.database_url):
            raise AssertionError("the series were to fail, and do not")
    return heal


def restore_cloud(now: Round) -> Heal:
    """The ledger is as it was when the backup was made: a new epoch begins, and kiosks send again what came after."""
    backup = now.stack.backup
    if backup is None:
        return lambda: None
    now.stack.cloud.kill()
    now.damage.restore(now.stack.backup_at_us)
    now.stack.run_command("restore", str(backup), "--yes")
    now.stack.transport.restored(now.stack.run_command)

    def heal() -> None:
        now.stack.start_cloud()
        for kiosk in now.stack.kiosks:
            now.stack.let_in(kiosk)

    return heal


def add_worker(now: Round) -> Heal:
    """A second process takes in records beside the service; with SQLite there is one only, and nothing happens."""
    if now.stack.postgres is None:
        return lambda: None
    now.stack.worker.spawn(now.stack.command("worker"), ready=lambda: now.stack.worker.running)
    now.stack.cloud.kill()

    def heal() -> None:
        now.stack.start_cloud()
        now.stack.worker.kill()

    return heal


FAULTS: tuple[Fault, ...] = (
    kill_agent,
    kill_broker,
    wipe_broker,
    kill_cloud,
    kill_database,
    spoil_messages,
    take_network_away,
    fill_disk,
    move_clock,
    roll_back_disk,
    clone_disk,
    wipe_disk,
    fill_cloud_disk,
    fail_series,
    restore_cloud,
    add_worker,
)


def copy_disk(kiosk: Kiosk) -> None:
    """Keep a copy of the disk as a power cut would leave it; the oldest beyond three goes."""
    copy = new_copy_name(kiosk.folder)
    kiosk.process.signal(signal.SIGSTOP)
    try:
        shutil.copytree(kiosk.disk, copy)
    finally:
        kiosk.process.signal(signal.SIGCONT)
    kiosk.copies.append(copy)
    while len(kiosk.copies) > MAX_COPIES:
        shutil.rmtree(kiosk.copies.pop(0))


def _replace_disk(now: Round, kiosk: Kiosk, make: Callable[[], object]) -> None:
    """Note which greens may be gone with the disk: those that the cloud does not have at this moment, and has not told the
    kiosk that it has."""
    greens = set(read_journal(kiosk.name, kiosk.journal).greens)
    cloud = read_stored(now.stack.database_url)
    now.damage.destroyable |= greens - cloud.record_ids - promised_ids(kiosk.disk, cloud.epoch)
    now.damage.take(kiosk.name)
    now.stack.backup = None  # what the kiosk kept is gone: an older ledger could not get it back from anywhere
    shutil.rmtree(kiosk.disk)
    make()


def _let_in_and_start(now: Round, kiosk: Kiosk) -> None:
    now.stack.let_in(kiosk)
    kiosk.start()


def _write_clock(kiosk: Kiosk) -> None:
    kiosk.clock_offset.write_text("0 synced")
