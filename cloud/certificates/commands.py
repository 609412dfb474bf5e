"""`python -m cloud ca …`: the certificate authority is made, rotated, backed up and used from the machine's command line."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.certificates import apart, authorities, authority, files, issuing, proof, service, standing
from cloud.certificates.authority import Authority
from cloud.certificates.issuing import Given
from cloud.certificates.service import ShutOutForm
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import CloudError, StartError, Unfit
from cloud.forms import clean
from cloud.keybox import KeyBox
from cloud.parts import keeper_of
from cloud.running import open_ledger, start
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from firmware_specs.topics import RESERVED_IDS

ca = typer.Typer(help="The certificate authority of terminals and broker.", no_args_is_help=True)

WHO: Final = "command line"
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?|::1")

RootFile = Annotated[Path, typer.Option("--root", help="The root's file: keep it off this machine.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="File whose first line is the passphrase; else it is typed at the terminal."
    ),
]
Folder = Annotated[
    Path, typer.Option("--to", help="Folder for key and certificate; what is there under their names goes.")
]


@dataclass(frozen=True)
class _Desk:
    """What each command works with."""

    settings: Settings
    engine: Engine
    box: KeyBox
    change: Change

    @property
    def now(self) -> datetime:
        return self.change.at

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with transaction(self.engine) as session:
            yield session


@ca.command("init")
def init(
    root: RootFile,
    name: Annotated[str, typer.Option(help="Whose authority it is, as certificates say it.")] = "Roomlink",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make the root, into a file of its own under a passphrase, and the first intermediate, into the ledger."""
    called = _called(name)
    passphrase = _passphrase(passphrase_file, twice=True)
    with _desk() as desk:
        with desk.writing() as session:
            authorities.lock(session)
            if authorities.in_use(session) is not None:
                raise StartError("There is a certificate authority already; a new intermediate is made by: ca rotate")
            made = authority.make_root(called, desk.now)
            apart.write_root(root, made, passphrase)
            try:
                row = authorities.add(session, desk.change, _intermediate(made, desk.now), made.certificate, desk.box)
            except BaseException:
                root.unlink()  # of no use without its intermediate, and in the way of the next try
                raise
        typer.echo(f"The root's key is in {root} (mode 0600), under the passphrase: keep both off this machine.")
        typer.echo(f"Root {_colons(made.certificate)}")
        typer.echo(f"The intermediate {row.key_id} gives certificates until {_day(row.not_after_at)}.")
        typer.echo(f"Its key is encrypted under {desk.box.path}: keep a copy of that apart from the backups.")
        _turn(desk)


@ca.command("rotate")
def rotate(root: RootFile, passphrase_file: PassphraseFile = None) -> None:
    """Make a new intermediate with the root's key; the old one's certificates stay good, and its list is still published."""
    with _desk() as desk:
        opened = apart.read_root(root, _passphrase(passphrase_file))
        with desk.writing() as session:
            authorities.lock(session)
            before = authorities.in_use(session)
            if before is None:
                raise StartError("There is no certificate authority yet; make one: python -m cloud ca init")
            if before.root != authorities.pem(opened.certificate):
                raise StartError(f"{root} holds another root than the one that terminals trust.")
            row = authorities.add(session, desk.change, _intermediate(opened, desk.now), opened.certificate, desk.box)
        typer.echo(f"The intermediate {row.key_id} gives certificates until {_day(row.not_after_at)}.")
        typer.echo("Terminals come to it as they renew; make the broker's certificate anew: python -m cloud ca server")
        _turn(desk)


@ca.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="A terminal's id, or the reserved name of a service.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "by the command line",
) -> None:
    """Shut a terminal out: its certificates are revoked, it is disabled, and its session is cut. Of a service, the first."""
    why = _reason(reason)
    with _desk() as desk:
        with desk.writing() as session:
            if name in RESERVED_IDS:
                revoked = service.revoke_service(session, desk.change, name, why)
            else:
                revoked = service.revoke(session, desk.change, EVERYWHERE, name, why)
        typer.echo(f"{name} is shut out; {len(revoked)} of its certificates were in force.")
        _turn(desk)


@ca.command("server")
def server(
    hosts: Annotated[list[str], typer.Argument(help="Names and addresses that terminals reach the broker under.")],
    to: Folder,
) -> None:
    """Make the key and the certificate of a broker, good for a year: server-key.pem and server.pem."""
    for host in hosts:
        if not HOST.fullmatch(host):
            raise StartError(f"{host!r} is no host name and no address; an example is broker.example.org.")
    with _desk() as desk:
        key = authority.new_key()
        with desk.writing() as session:
            given = issuing.give_server(session, desk.box, hosts, key.public_key(), desk.now)
            note(session, desk.change, "certificate.give", hosts[0], kind="server", hosts=hosts)
        _write(to, "server", key, given)
        typer.echo(f"{to}/server.pem is good until {_day(given.not_after_at)}; the broker reads it when it starts.")


@ca.command("service")
def give_service(
    name: Annotated[str, typer.Argument(help="A reserved name, such as roomlink-cloud.")], to: Folder
) -> None:
    """Make the key and the certificate by which one of the cloud's own services signs in at the broker, good for a year."""
    if name not in RESERVED_IDS:
        reserved = ", ".join(sorted(RESERVED_IDS))
        raise StartError(f"A terminal could be called {name!r}; take one of the reserved names: {reserved}.")
    with _desk() as desk:
        key = authority.new_key()
        with desk.writing() as session:
            given = issuing.give_service(session, desk.box, name, key.public_key(), desk.now)
            note(session, desk.change, "certificate.give", name, kind="service")
        _write(to, name, key, given)
        typer.echo(f"{to}/{name}.pem is good until {_day(given.not_after_at)}.")


@ca.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, new.")], passphrase_file: PassphraseFile = None
) -> None:
    """Write the intermediates with their keys to one file, encrypted under a passphrase."""
    passphrase = _passphrase(passphrase_file, twice=True)
    with _desk() as desk, desk.writing() as session:
        living = authorities.living(session, desk.now)
        kept = [
            apart.Kept(authorities.opened(row, desk.box), x509.load_pem_x509_certificate(row.root.encode()))
            for row in living
        ]
        if not kept:
            raise StartError("There is no certificate authority yet; make one: python -m cloud ca init")
        apart.write_backup(file, kept, passphrase)
        note(session, desk.change, "authority.backup", living[-1].key_id, n=len(kept))
    typer.echo(f"{file} holds {len(kept)} intermediate(s) with key and chain, encrypted under the passphrase.")
    typer.echo(
        "Not in it: the root's key (its own file), and who was given or has lost a certificate (the ledger's backup)."
    )


@ca.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="What `ca backup` wrote.")], passphrase_file: PassphraseFile = None
) -> None:
    """Put the intermediates of a backup into the ledger, encrypted under the key file of this machine."""
    with _desk() as desk:
        kept = apart.read_backup(file, _passphrase(passphrase_file))
        with desk.writing() as session:
            authorities.lock(session)
            for each in kept:
                authorities.put_back(session, desk.change, each.authority, each.root, desk.box)
        typer.echo(f"{len(kept)} intermediate(s) are back, under {desk.box.path}.")
        _turn(desk)


@ca.command("list")
def list_all() -> None:
    """Show authorities, revocation lists and each name's newest certificate in force: the first to end first."""
    with _desk() as desk, transaction(desk.engine, read_only=True) as session:
        for line in standing.lines(session, desk.now):
            typer.echo(line)


@contextmanager
def _desk() -> Iterator[_Desk]:
    settings = start()
    engine = open_ledger(settings)
    try:
        yield _Desk(settings, engine, KeyBox(settings.authority_key()), Change(WHO, utc_now(), WHO))
    finally:
        engine.dispose()


def _turn(desk: _Desk) -> None:
    """Publish now what the service would publish within a second; where that fails here, the service goes on trying."""
    try:
        keeper_of(desk.settings, desk.engine).turn()
    except CloudError as error:
        typer.echo(f"Not yet at the broker: {error.sentence} The service goes on trying.", err=True)
    else:
        typer.echo(f"The broker's files are in {desk.settings.authority_folder()}.")


def _intermediate(root: Authority, now: datetime) -> Authority:
    """Named by its time: two of one name could not be told apart by their revocation lists."""
    whose = (authority.terminal_of(root.certificate) or "").removesuffix(" root")
    return authority.make_intermediate(root, f"{whose} terminals {now:%Y%m%dT%H%M%S.%fZ}", now)


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    if file is not None:
        text = files.read(file).decode("utf-8", "replace").splitlines()
        typed = text[0] if text else ""
    elif sys.stdin.isatty():
        typed = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice)
    else:
        raise StartError("Type the passphrase at a terminal, or give it by --passphrase-file.")
    if twice and len(typed) < apart.MIN_PASSPHRASE:
        raise StartError(f"A passphrase has at least {apart.MIN_PASSPHRASE} characters.")
    return typed


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, given: Given) -> None:
    """After the commit: what the ledger does not know could never be revoked.

    Key first: a broker that starts in between finds an old certificate that does not fit, and says so.
    """
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.replace(folder / f"{name}-key.pem", private, secret=True)
        files.replace(folder / f"{name}.pem", (given.certificate + given.chain).encode(), secret=False)
    except OSError as error:
        raise StartError(f"{folder} cannot be written: {error.strerror}.") from error


def _called(name: str) -> str:
    try:
        called = clean(name)
    except Unfit as error:
        raise StartError(f"--name is not right: {error}.") from None
    if not 1 <= len(called) <= 25:
        raise StartError("--name has 1 to 25 characters; an example is Roomlink.")
    return called


def _reason(text: str) -> str:
    try:
        return ShutOutForm(reason=text).reason
    except ValidationError:
        raise StartError("--reason is a sentence of 3 to 500 characters.") from None


def _colons(certificate: x509.Certificate) -> str:
    found = proof.fingerprint(certificate).upper()
    return "SHA-256 " + ":".join(found[at : at + 2] for at in range(0, len(found), 2))


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
