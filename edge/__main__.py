"""The agent's command line: `python -m edge run|doctor|outbox|scan|settings|fleet`. Wires the parts; nothing else does."""

import argparse
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
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
    doctor = commands.add_parser("doctor", help="look at camera, disk, clock, broker and certificate; say what to do")
    doctor.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, TOML")
    doctor.set_defaults(command=_doctor)
    outbox = commands.add_parser("outbox", help="say what waits, how old it is, and what is stored")
    outbox.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, TOML")
    outbox.add_argument("--json", action="store_true", help="as one JSON object")
    outbox.set_defaults(command=_outbox)
    scan = commands.add_parser("scan", help="read the codes in pictures, or before a camera")
    scan.add_argument("files", nargs="*", type=Path, metavar="FILE", help="pictures")
    scan.add_argument("--camera", metavar="N", help="camera number or device, instead of files")
    scan.add_argument("--json", action="store_true", help="one JSON object a line, with milliseconds and stage")
    scan.set_defaults(command=_scan)
    settings = commands.add_parser("settings", help="list all settings with an example and their meaning")
    settings.add_argument("--markdown", action="store_true", help="docs/settings-agent.md instead")
    settings.set_defaults(command=_settings)
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
    while not stop.is_set() and not agent.ended_for_restart.is_set():
        stop.wait(0.5)
    agent.stop()
    if not stop.is_set():
        logging.shutdown()
        os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[1:]])  # noqa: S606 - our own command line
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from edge.doctor import examine
    from edge.settings import Settings, load_settings

    findings = examine(load_settings(options.config, Settings))
    for finding in findings:
        print(finding.line())
    return 0 if all(finding.well for finding in findings) else 1


def _outbox(options: argparse.Namespace) -> int:
    from edge.inspection import read_outbox
    from edge.settings import Settings, load_settings

    report = read_outbox(load_settings(options.config, Settings).outbox_file)
    if isinstance(report, str):
        print(report, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({**dataclasses.asdict(report), "depth": report.depth}))
    else:
        print("\n".join(report.lines(time.time_ns() // 1000)))
    return 0


def _scan(options: argparse.Namespace) -> int:
    if bool(options.files) == (options.camera is not None):
        print("Give picture files, or --camera N. Example: python -m edge scan card.png", file=sys.stderr)
        return EXIT_WRONG_SETTING
    from edge.kiosk.scan import scan_camera, scan_files

    if options.camera is not None:
        scan_camera(options.camera, stop_at_signal(), as_json=options.json)
    else:
        scan_files(options.files, as_json=options.json)
    return 0


def _settings(options: argparse.Namespace) -> int:
    from edge.settings import described, markdown

    if options.markdown:
        print(markdown(), end="")
    else:
        for name, example, meaning in described():
            print(f"{name} = {example}\n    {meaning}")
    return 0


def _run_fleet(options: argparse.Namespace) -> int:
    from edge.fleet import run
    from edge.settings import FleetSettings, load_settings

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
