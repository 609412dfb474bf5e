"""`python -m cloud`: runs the service and looks after it.

A mistake of the caller's is answered with one sentence on stderr and exit status 2. Each feature's commands are
in its own `commands.py`.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from cloud import doctor as doctor_checks
from cloud import schema
from cloud.accounts import commands as accounts
from cloud.app import create_app
from cloud.audit import commands as audit
from cloud.certificates import commands as certificates
from cloud.errors import CloudError, StartError
from cloud.ingest import commands as ingest
from cloud.members import commands as members
from cloud.metrics import metrics_markdown
from cloud.openapi import as_markdown
from cloud.parts import Parts
from cloud.running import connect_ledger, start
from cloud.settings import CONFIG, Settings, describe, load_settings, settings_markdown, unknown_variables
from cloud.sweep import sweeping
from cloud.terminals import broker_users

app = typer.Typer(
    help="The cloud of Roomlink.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and some are secrets
)
app.add_typer(accounts.user, name="user")
app.add_typer(accounts.token, name="token")
members.export.command("journal")(ingest.export_journal)
app.add_typer(members.export, name="export")
app.add_typer(certificates.ca, name="ca")
app.add_typer(audit.audit, name="audit")
members.import_.command("outbox")(ingest.import_outbox)
app.add_typer(members.import_, name="import")
for command in (ingest.worker, ingest.rebuild, ingest.backup, ingest.restore):
    app.command()(command)

GRACE_S = 15
"""How long requests may go on after SIGTERM."""


@app.callback()
def configure(
    config: Annotated[Path | None, typer.Option(help=f"TOML file of settings; also by {CONFIG}.")] = None,
) -> None:
    """Settings come from the environment, then from the file. What is written is for this user alone."""
    os.umask(0o077)  # ledger and series hold members' names; what others must read sets its own mode
    if config is not None:
        os.environ[CONFIG] = str(config)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of ROOMLINK_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Instead of ROOMLINK_PORT.")] = None,
    migrate_first: Annotated[bool, typer.Option("--migrate", help="Bring the schema up to date first.")] = False,
) -> None:
    """Serve the console and the API until SIGTERM or Ctrl-C."""
    settings = start()
    settings = settings.model_copy(update={"host": host or settings.host, "port": port or settings.port})
    engine = connect_ledger(settings)
    if migrate_first:
        schema.upgrade(engine)
    schema.check(engine)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)  # uvicorn stops at these, then raises them again: done is exit status 0
    parts = Parts(settings, engine)
    with _listening(settings) as listener:
        application = create_app(
            settings,
            engine=engine,
            while_running=[broker_users.publishing, sweeping, *parts.running()],
            timeseries=parts.projecting.store,
            console=True,
        )
        application.state.checks["ingest"] = parts.trouble
        config = uvicorn.Config(
            application,
            log_config=None,
            timeout_graceful_shutdown=GRACE_S,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])
    engine.dispose()


@app.command()
def migrate() -> None:
    """Bring the database's schema to this program's."""
    engine = connect_ledger(start())
    schema.upgrade(engine)
    print("The schema is up to date.")


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="docs/settings.md instead.")] = False,
) -> None:
    """Print every setting: name, value, source and meaning. Secrets are not shown."""
    if markdown:
        print(settings_markdown(), end="")
        return
    for line in describe(load_settings()):
        print(f"{line.name}={line.value}\t[{line.source}]\t{line.meaning}")
    for name in unknown_variables():
        print(f"{name} is not a setting of the cloud: a typing error?", file=sys.stderr)


@app.command()
def openapi(
    markdown: Annotated[bool, typer.Option("--markdown", help="docs/api.md instead of JSON.")] = False,
) -> None:
    """Print the description of the HTTP API."""
    import json

    from cloud.database import create_engine_for

    document = create_app(Settings(), engine=create_engine_for("sqlite://")).openapi()
    print(as_markdown(document) if markdown else json.dumps(document, indent=2), end="" if markdown else "\n")


@app.command()
def metrics() -> None:
    """Print docs/metrics.md: what GET /metrics tells."""
    print(metrics_markdown(), end="")


@app.command()
def doctor() -> None:
    """Check settings, database, key file, folder and broker: one line each, with what to do."""
    results = doctor_checks.examine(load_settings())
    for result in results:
        print(f"{'ok  ' if result.ok else 'BAD '} {result.what}: {result.says}")
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); choose another "
            "with ROOMLINK_PORT or --port."
        ) from error
    return listener


def main() -> None:
    """Run the command; say what was wrong in one sentence."""
    try:
        app()
    except CloudError as error:
        print(error.sentence, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
