"""`python -m broker_config`: run the embedded broker, or make and watch the files that Mosquitto reads.

A mistake is answered with one sentence on stderr and exit status 2.
Called by people, the demo and docker-compose.yml.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from broker_config import passwords

CLOUD_USER = "roomlink-cloud"
"""The cloud's name at the broker, as broker_config/mosquitto/cloud.acl has it."""

app = typer.Typer(
    help="The brokers of Roomlink.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and here these are passwords
)


@app.command()
def embedded(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port on 127.0.0.1.")],
    users: Annotated[Path, typer.Option(help='JSON file {"name": "password"}, mode 0600, read at start.')],
) -> None:
    """Run the embedded MQTT 5 broker on loopback until SIGTERM or Ctrl-C."""
    from broker_config.embedded import HOST, EmbeddedBrokerError, read_users, serve

    try:
        names = read_users(users)
        serve(port, names, lambda: print(f"MQTT 5 on {HOST}:{port}, {len(names)} users.", flush=True))
    except EmbeddedBrokerError as error:
        _refuse(str(error))


@app.command()
def mosquitto_users(
    directory: Annotated[Path, typer.Argument(help="Where mosquitto.conf finds `cloud` and `terminals`.")],
    cloud_password_file: Annotated[Path, typer.Option(help="File whose first line is the cloud's password.")],
) -> None:
    """Give Mosquitto its cloud identity, and an empty file of terminals where there is none yet.

    Mosquitto does not start without its password files; the terminals' is then the cloud's to write.
    """
    try:
        password = cloud_password_file.read_text("utf-8").partition("\n")[0]
        if not password:
            _refuse(f"{cloud_password_file} is empty: its first line must be the password.")
        hashed = passwords.hash_password(password)
        passwords.write_password_file(directory / "cloud", {CLOUD_USER: hashed})
        if not (directory / "terminals").exists():
            passwords.write_password_file(directory / "terminals", {})
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}.")


@app.command()
def watch(
    incoming: Annotated[
        Path, typer.Option(help="Folder where the cloud writes ca, server, server-key and revoked.pem.")
    ],
    into: Annotated[Path, typer.Option(help="Folder where Mosquitto reads them, and which nobody else writes.")],
    users: Annotated[Path | None, typer.Option(help="Mosquitto's password file: a signal at its changes, too.")] = None,
    pid_file: Annotated[
        Path | None, typer.Option(help="Mosquitto's; without it, run.sh signals beside the broker.")
    ] = None,
) -> None:
    """Give Mosquitto new certificates and revocation lists, but only sound ones, until SIGTERM or Ctrl-C."""
    from broker_config import watch as watching

    if not incoming.is_dir():
        _refuse(f"{incoming} is not a folder.")
    watching.watch(watching.Places(incoming, into, users, pid_file))


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
