"""`python -m cloud import members` and `export`: the same as the API's, from and to files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cloud import csv_stream
from cloud.api import Cloud
from cloud.attendance import export as attendance
from cloud.audit.commands import WHO
from cloud.audit.service import Change
from cloud.clock import utc_now
from cloud.members import export as members
from cloud.members import importing
from cloud.running import open_ledger, start, writing
from cloud.scope import EVERYWHERE

export = typer.Typer(help="Export as CSV (UTF-8).", no_args_is_help=True)
import_ = typer.Typer(help="Take in what comes in files.", no_args_is_help=True)

To = Annotated[Path | None, typer.Option("--to", help="File to write; else stdout.")]


@import_.command("members")
def import_members(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV: external_id, name, organisation.")],
    organisation: Annotated[str, typer.Option(help="Id of the organisation, for rows that name none.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would happen.")] = False,
) -> None:
    """Import members, all or nothing; a known external id updates the member's name."""
    cloud = _cloud()
    with cloud.reading() as session:
        report = importing.check(session, EVERYWHERE, file, organisation)
    for problem in report.problems:
        typer.echo(f"{problem.where}: {problem.says}", err=True)
    if report.problem_count:
        typer.echo(f"{report.problem_count} problems; nothing was imported.", err=True)
        raise typer.Exit(2)
    if not dry_run:
        with cloud.writing() as session:
            change = Change(WHO, utc_now(), WHO)
            report = importing.apply(session, change, EVERYWHERE, file, organisation)
    done = "would be" if dry_run else "were"
    typer.echo(
        f"{report.rows} rows ({report.encoding}): {report.created} {done} created, "
        f"{report.updated} updated, {report.unchanged} unchanged."
    )


@export.command("members")
def export_members(to: To = None) -> None:
    """All members."""
    _write(to, members.HEADER, members.rows(_cloud().reading, EVERYWHERE, None))


@export.command("attendance")
def export_attendance(to: To = None) -> None:
    """All attendance, newest first."""
    _write(to, attendance.HEADER, attendance.rows(_cloud().reading, EVERYWHERE, None, None))


def _cloud() -> Cloud:
    settings = start()
    return Cloud(open_ledger(settings), settings, utc_now)


def _write(to: Path | None, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with writing(to, newline="") as file:
        for chunk in csv_stream.chunks(header, rows):
            file.write(chunk)
