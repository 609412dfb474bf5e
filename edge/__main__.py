"""The agent's command line: `python -m edge run|doctor|outbox|scan|fleet`. Wires the parts; nothing else does."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError, SettingsError

EXIT_WRONG_SETTING = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG_SETTING
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge", description="The agent of a Roomlink terminal.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the agent until SIGTERM or Ctrl-C")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, TOML")
    run.set_defaults(command=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    from edge.agent import Agent
    from edge.settings import load_settings

    settings = load_settings(options.config)
    log_to_stderr(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    agent = Agent(settings)
    agent.start()
    print(f"terminal {settings.terminal} is running", flush=True)
    stop.wait()
    agent.stop()
    return 0


def log_to_stderr(level: str) -> None:
    """One line per event, with time and place."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


if __name__ == "__main__":
    sys.exit(main())
