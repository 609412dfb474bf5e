"""`python -m broker_config`: run the embedded broker, make and watch the files that Mosquitto reads, try a running broker.

A mistake is answered with one sentence on stderr and exit status 2.
Called by people, the demo and docker-compose.yml.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from broker_config import passwords

if TYPE_CHECKING:
    from broker_config.check import Pair

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


@app.command()
def check(
    host: Annotated[str, typer.Option(help="As terminals name it: its certificate must say so.")],
    ca: Annotated[Path, typer.Option(help="The root that terminals trust, in PEM.")],
    certificate: Annotated[Path, typer.Option(help="Of a terminal made for this check: its session is taken over.")],
    key: Annotated[Path, typer.Option(help="Its key.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="The terminals' listener.")] = 8883,
    other_certificate: Annotated[
        Path | None, typer.Option(help="Of a second such terminal: it looks what arrives.")
    ] = None,
    other_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    revoked_certificate: Annotated[Path | None, typer.Option(help="Of a third, revoked: it must not get in.")] = None,
    revoked_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    cloud_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The cloud's listener, to be tried too.")
    ] = None,
) -> None:
    """Try the rules on a running broker, as a terminal would: one line each, exit status 1 if any is broken."""
    from broker_config.check import Broker, CheckError, Pair, Verdict, check
    from broker_config.rules import RULES

    broken = False
    try:
        other, revoked = _pair(other_certificate, other_key), _pair(revoked_certificate, revoked_key)
        broker = Broker(host, port, ca, Pair(certificate, key), other, revoked, cloud_port)
        for finding in check(broker, RULES):
            print(finding, flush=True)
            broken = broken or finding.verdict is Verdict.BROKEN
    except CheckError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{host}, port {port}: {error.strerror or error}.")
    raise typer.Exit(1 if broken else 0)


def _pair(certificate: Path | None, key: Path | None) -> "Pair | None":
    from broker_config.check import Pair

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        _refuse("A certificate needs its key, and a key its certificate.")
    return Pair(certificate, key)


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
