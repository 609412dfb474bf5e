"""`python -m cloud audit …`: prove that nothing of the audit was changed or is missing, and hand it out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cloud.audit import service
from cloud.audit.chain import Head
from cloud.database import transaction
from cloud.running import open_ledger, writing

audit = typer.Typer(help="Who changed what: verify and export.", no_args_is_help=True)

WHO = "command line"
"""Who changes something, and from where, when it is done by a command."""

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@audit.command()
def verify(
    expect: Annotated[
        Head | None,
        typer.Option(
            parser=_head, metavar="NUMBER:HASH", help="A head that was printed before: it must still be there."
        ),
    ] = None,
) -> None:
    """Go through all entries; print the newest one's number and hash, or the first entry that does not fit: exit status 1.

    Keep what it prints somewhere else, and give it with --expect the next time: a cut-off end is noticed by that alone.
    """
    with transaction(open_ledger(), read_only=True) as session:
        checked = service.verify(session, expect)
    if checked.wrong is not None:
        typer.echo(f"Entry {checked.wrong.number} {checked.wrong.says}.", err=True)
        typer.echo(f"{checked.count} entries before it fit together.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{checked.count} entries fit together; the newest is:", err=True)
    typer.echo(str(checked.head))


@audit.command()
def export(
    since: Annotated[
        datetime | None, typer.Option("--from", formats=FORMATS, help="From this instant on (UTC); else all.")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=FORMATS, help="Before this instant (UTC).")] = None,
    to_file: Annotated[Path | None, typer.Option("--file", help="File to write; else stdout.")] = None,
) -> None:
    """Write the entries as JSON lines, oldest first, with all that is hashed; times are microseconds since 1970."""
    engine = open_ledger()
    bounds = [None if at is None else at.replace(tzinfo=UTC) for at in (since, until)]
    with writing(to_file) as file, transaction(engine, read_only=True) as session:
        for line in service.lines(session, *bounds):
            file.write(json.dumps(line, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
