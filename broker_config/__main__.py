"""`python -m broker_config`: run the embedded broker, or put a user into Mosquitto's password file.

A mistake is answered with one sentence on stderr and exit status 2.
Called by people, the demo and docker-compose.yml.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from broker_config import passwords

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


@app.command(name="passwords")
def set_password(
    file: Annotated[Path, typer.Argument(help="Mosquitto's password file; made when it is not there.")],
    user: Annotated[str, typer.Option(help="User name to add or to change.")],
    password_file: Annotated[Path, typer.Option(help="File whose first line is the password.")],
) -> None:
    """Put one user into a Mosquitto password file; the others stay. Mosquitto reads it again at SIGHUP."""
    try:
        secret = password_file.read_text("utf-8").splitlines()
        if not secret or not secret[0]:
            _refuse(f"{password_file} is empty: its first line must be the password.")
        hashes = passwords.read_password_file(file)
        passwords.write_password_file(file, hashes | {user: passwords.hash_password(secret[0])})
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}.")
    except passwords.PasswordFileError as error:
        _refuse(f"{error}.")


def _refuse(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
