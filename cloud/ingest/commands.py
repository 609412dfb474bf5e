"""`python -m cloud worker`, `rebuild`, `backup`, `restore`, `export journal`: ingest alone, and what the journal is good for."""

import signal
import sys
import threading
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from cloud import backup as backups
from cloud.bulk import Bulk
from cloud.certificates import evidence
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.ingest.rebuild import rebuild_ledger
from cloud.journal import exporting, projector
from cloud.journal.projecting import Projecting
from cloud.parts import ingest_of, kept_of, timeseries_of
from cloud.running import connect_ledger, open_ledger, start
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from cloud.terminals import service as terminals
from cloud.timeseries.port import StoreLocked


class What(StrEnum):
    """What can be made anew from the journal."""

    LEDGER = "ledger"
    SERIES = "series"


def worker() -> None:
    """Take in what terminals send, without serving anything. Several on PostgreSQL: one works, the others wait for it."""
    settings = start()
    engine = open_ledger(settings)
    stopped = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopped.set())
    with ingest_of(settings, engine):
        stopped.wait()
    engine.dispose()


def rebuild(what: Annotated[What, typer.Argument(help="The ledger's facts, or the time series.")]) -> None:
    """Make ledger or series anew from the journal; the same tables come out."""
    settings = start()
    engine = open_ledger(settings)
    if what is What.LEDGER:
        batches = rebuild_ledger(engine, _say_progress)
        typer.echo(f"The ledger was made anew from {batches} batches.")
    else:
        _rebuild_series(settings, engine)
    engine.dispose()


def backup(
    path: Annotated[Path, typer.Argument(help="The file to write, such as roomlink-2026-11-23.backup.")],
) -> None:
    """Write the whole ledger to one file, while the service runs. The key file is not in it: keep a copy apart."""
    engine = open_ledger(start())
    manifest = backups.backup(engine, path)
    engine.dispose()
    typer.echo(f"{path} holds everything up to now, {path.stat().st_size >> 10} KiB, epoch {manifest.epoch}.")


def restore(
    path: Annotated[Path, typer.Argument(help="The backup.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: everything that is there now is replaced.")] = False,
) -> None:
    """Put a backup in the place of the ledger and begin a new epoch: terminals send again what came after it."""
    settings = start()
    engine = connect_ledger(settings)
    if not yes and not typer.confirm("Everything that is in the ledger now will be replaced. Go on?"):
        raise typer.Exit(1)
    epoch = backups.restore(engine, path)
    engine.dispose()
    typer.echo(f"Restored; epoch {epoch} has begun. The time series is made anew by the service, in the background.")


def export_journal(
    terminal: Annotated[str, typer.Argument(help="The terminal, such as kiosk-302-a.")],
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; without it, standard output.")] = None,
) -> None:
    """One terminal's journal with its certificates; `python -m firmware_specs verify FILE` checks it without the cloud."""
    engine = open_ledger(start())
    with transaction(engine, read_only=True) as session:
        terminals.get(session, EVERYWHERE, terminal)
        certificates = evidence.certificates_of(session, terminal)
    with to.open("w", encoding="utf-8") if to else nullcontext(sys.stdout) as file:
        file.writelines(exporting.lines(engine, terminal, certificates))
    engine.dispose()


def _rebuild_series(settings: Settings, engine: Engine) -> None:
    """Here, or by the process that has the store open."""
    with transaction(engine) as session:
        projector.ask_to_start_over(Bulk.of(session))
    try:
        projecting = Projecting(engine, utc_now, lambda: timeseries_of(settings), kept_of(settings))
        batches = projecting.run_to_end()
    except StoreLocked:
        batches = None
    if batches is None:
        typer.echo("The service has the time series: it makes them anew now, in the background.")
    else:
        typer.echo(f"The time series was made anew from {batches} batches.")


def _say_progress(reached: int, last: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{100 * reached // max(last, 1)} %", nl=reached == last, err=True)
