"""`python -m firmware_specs`: check payloads, verify an exported journal, write schemas and vectors anew, list the vectors."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from firmware_specs import exported, schemas, vectors
from firmware_specs.check import KINDS, check_credential, check_decision, check_kind, check_payload, check_signed
from firmware_specs.errors import ContractError, ExportError
from firmware_specs.vectors import Vector


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: all is good; 1: something is wrong, one line says what and where; 2: wrong arguments."""
    options = _parser().parse_args(arguments)
    run = {"check": _check, "schemas": _schemas, "vectors": _vectors, "verify": _verify}[options.command]
    return run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m firmware_specs", description="The contract of terminal and cloud.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say in one line what is wrong with a payload, and where")
    check.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="the payload's bytes, or a .json golden vector"
    )
    how = check.add_mutually_exclusive_group()
    how.add_argument("--topic", help="the MQTT topic it came under, such as roomlink/v1/kiosk-302-a/up/records")
    how.add_argument("--kind", choices=sorted(KINDS), help="what it is, where it came under no topic")
    verify = commands.add_parser("verify", help="check an exported journal: chains, signatures, certificates")
    verify.add_argument("file", type=Path, metavar="FILE", help="as JSON lines, section 13 of the README")
    verify.add_argument("--root", type=Path, metavar="PEM", help="the root certificate that is trusted")
    write = commands.add_parser("schemas", help="write the JSON Schema and AsyncAPI documents anew")
    write.add_argument("--to", type=Path, default=schemas.FOLDER, metavar="FOLDER")
    listing = commands.add_parser("vectors", help="list the golden vectors")
    listing.add_argument("--write", action="store_true", help="write them anew")
    listing.add_argument("--to", type=Path, default=vectors.FOLDER, metavar="FOLDER", help="where to, or from")
    return parser


def _check(options: argparse.Namespace) -> int:
    status = 0
    for path in options.files:
        try:
            print(f"{path}: ok: {_what_is(path, options.topic, options.kind)}")
        except (ContractError, OSError, ValueError) as error:
            status = 1
            print(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    return status


def _what_is(path: Path, topic: str | None, kind: str | None) -> str:
    content = path.read_bytes()
    if topic is not None:
        return check_payload(topic, content)
    if kind is not None:
        return check_kind(kind, content)
    if path.suffix != ".json":
        raise ValueError("give --topic or --kind with a payload, such as --topic roomlink/v1/kiosk-302-a/up/records")
    return _what_is_vector(vectors.from_json(content.decode()))


def _what_is_vector(vector: Vector) -> str:
    if vector.kind == "decision":
        return check_decision(vector.given)
    if vector.kind == "signed":
        return check_signed(vector.payload, vector.given)
    if vector.kind == "credential":
        return check_credential(vector.payload.decode(), vector.given)
    if vector.topic is not None:
        return check_payload(vector.topic, vector.payload)
    return check_kind(vector.kind, vector.payload)


def _verify(options: argparse.Namespace) -> int:
    try:
        root = None if options.root is None else x509.load_pem_x509_certificate(options.root.read_bytes())
        with options.file.open("rb") as file:
            print(f"{options.file}: {exported.verify(exported.bounded_lines(file), root)}")
    except ExportError as error:
        print(f"{options.file}: {error}")
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except ValueError:
        print(f"{options.root}: is no certificate in PEM", file=sys.stderr)
        return 2
    return 0


def _schemas(options: argparse.Namespace) -> int:
    options.to.mkdir(parents=True, exist_ok=True)
    for name, text in schemas.documents().items():
        (options.to / name).write_text(text, "utf-8")
        print(options.to / name)
    return 0


def _vectors(options: argparse.Namespace) -> int:
    if options.write:
        _write_vectors(options.to)
    for vector in vectors.kept(options.to):
        print(f"{vector.path}\t{'valid' if vector.is_valid else 'invalid'}\t{vector.shows}")
    return 0


def _write_vectors(folder: Path) -> None:
    made = {folder / vector.path: vector.to_json() for vector in vectors.made()}
    for old in set(folder.glob("*/*.json")) - made.keys():
        old.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
