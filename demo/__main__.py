"""`python -m demo run|smoke`: the demo and the smoke test. A mistake is one sentence on stderr and exit status 2."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from demo.parts import PartError
from demo.run import run as run_demo
from demo.smoke import smoke as run_smoke
from demo.stack import Ports
from demo.world import WorldError

app = typer.Typer(
    help="Roomlink on one machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and some are passwords
)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", help="Where everything is kept.")] = Path("var/demo"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of console and API.")] = 8080,
    broker_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the embedded broker.")] = 1893,
    kiosk_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the kiosk page.")] = 8480,
    kiosks: Annotated[int, typer.Option(min=0, max=500, help="How many simulated kiosks.")] = 20,
    members: Annotated[int, typer.Option(min=8, max=2000, help="How many made-up members.")] = 60,
    camera: Annotated[str | None, typer.Option(help="Camera number, device or video; else a generated video.")] = None,
) -> None:
    """Start everything and print the addresses; Ctrl-C ends it."""
    run_demo(folder, Ports(port, broker_port, kiosk_port), kiosks, members, camera, _say)


@app.command()
def smoke() -> None:
    """One card to one linked row, then ten more through restarts; one JSON line."""
    if not run_smoke(_say):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; say what was wrong in one sentence."""
    try:
        app()
    except (PartError, WorldError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
