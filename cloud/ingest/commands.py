"""`python -m cloud worker`, `rebuild`, `backup`, `restore`, `export journal`, `import outbox`: ingest alone, and what the journal
is good for."""

import hashlib
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from cloud import backup as backups
from cloud.audit.commands import WHO
from cloud.audit.service import Change, note
from cloud.bulk import Bulk
from cloud.certificates import evidence, standing
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import StartError
from cloud.ingest.bringing import Bringing
from cloud.ingest.rebuild import rebuild_ledger
from cloud.journal import exporting, projector
from cloud.journal.projecting import Projecting
from cloud.parts import ingest_of, kept_of, timeseries_of
from cloud.running import connect_ledger, open_ledger, start, writing
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from cloud.terminals import service as terminals
from cloud.timeseries.port import StoreLocked, StoreUnusable
from firmware_specs.exported import bounded_lines

NAMED = 20
"""Streams that the audit names of one file."""


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
    with transaction(engine, read_only=True) as session:
        forgotten, unknown = standing.shut_out_since(session, settings.authority_folder())
    engine.dispose()
    typer.echo(f"Restored; epoch {epoch} has begun. The time series is made anew by the service, in the background.")
    for name in forgotten:
        typer.echo(
            f"{name} was shut out, or claimed anew, after this backup. Before the service runs: python -m cloud ca revoke {name}",
            err=True,
        )
    if unknown:
        typer.echo(
            f"The list that the broker has names {unknown} certificate(s) that were given after this backup: whose terminals "
            "they are is in the audit of that time.",
            err=True,
        )


def export_journal(
    terminal: Annotated[str, typer.Argument(help="The terminal, such as kiosk-302-a.")],
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; without it, standard output.")] = None,
) -> None:
    """One terminal's journal with its certificates; `python -m firmware_specs verify FILE` checks it without the cloud."""
    engine = open_ledger(start())
    with transaction(engine, read_only=True) as session:
        terminals.get(session, EVERYWHERE, terminal)
        certificates = evidence.certificates_of(session, terminal)
    with writing(to) as file:
        file.writelines(exporting.lines(engine, terminal, certificates))
    engine.dispose()


def import_outbox(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="From `python -m edge export outbox FILE`.")
    ],
) -> None:
    """Take in what a terminal's outbox still held, revoked or not: who runs this has decided that it counts.

    Exit status 1 where something in it was refused; what was taken in stays, and the same file may be given again.
    """
    engine = open_ledger(start())
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        opened.seek(0)
        bringing = Bringing(engine, bounded_lines(opened), utc_now)
        _note(engine, "outbox.import", bringing.terminal, sha256=digest)
        report = bringing.run(_say_done)
    total, some = report.total, sorted(filter(None, report.streams))[:NAMED]
    counts = {"taken_in": total.new, "repeated": total.repeated, "refused": total.refused}
    _note(engine, "outbox.imported", bringing.terminal, sha256=digest, streams=some, **counts)
    engine.dispose()
    for stream, each in report.streams.items():
        typer.echo(f"{bringing.terminal}\t{stream or 'no stream'}\t{each}")
        for why in each.reasons:
            typer.echo(f"\t{why}", err=True)
    if total.refused:
        raise typer.Exit(1)


def _note(engine: Engine, action: str, terminal: str, **detail: Any) -> None:
    with transaction(engine) as session:
        note(session, Change(WHO, utc_now(), WHO), action, terminal, **detail)


def _say_done(batches: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{batches} batches", nl=False, err=True)


def _rebuild_series(settings: Settings, engine: Engine) -> None:
    """Here, or by the process that has the store open."""
    with transaction(engine) as session:
        projector.ask_to_start_over(Bulk.of(session))
    try:
        projecting = Projecting(engine, utc_now, lambda: timeseries_of(settings), kept_of(settings))
        batches = projecting.run_to_end()
    except StoreLocked:
        batches = None
    except StoreUnusable as error:
        raise StartError(f"The time series cannot be opened: {error}.") from error
    if batches is None:
        typer.echo("The service has the time series: it makes them anew now, in the background.")
    else:
        typer.echo(f"The time series was made anew from {batches} batches.")


def _say_progress(reached: int, last: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{100 * reached // max(last, 1)} %", nl=reached == last, err=True)
