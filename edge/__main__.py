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
    fleet = commands.add_parser("fleet", help="run many simulated kiosks until SIGTERM or Ctrl-C")
    fleet.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings of the fleet, TOML")
    fleet.add_argument("--count", type=int, metavar="N", help="only the first N terminals of the file")
    fleet.add_argument("--report-every", type=float, default=10.0, metavar="S", help="seconds between status lines")
    fleet.set_defaults(command=_run_fleet)
    return parser


def _run(options: argparse.Namespace) -> int:
    from edge.agent import Agent
    from edge.settings import Settings, load_settings

    settings = load_settings(options.config, Settings)
    log_to_stderr(settings.log_level)
    stop = stop_at_signal()
    agent = Agent(settings)
    agent.start()
    print(f"terminal {settings.terminal} is running", flush=True)
    stop.wait()
    agent.stop()
    return 0


def _run_fleet(options: argparse.Namespace) -> int:
    from edge.fleet import FleetSettings, run
    from edge.settings import load_settings

    settings = load_settings(options.config, FleetSettings)
    log_to_stderr("warning")
    run(settings, options.count, stop_at_signal(), options.report_every)
    return 0


def stop_at_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def log_to_stderr(level: str) -> None:
    """One line per event, with time and place."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


if __name__ == "__main__":
    sys.exit(main())
