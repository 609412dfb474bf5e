"""The agent's command line: `python -m edge run|claim|doctor|outbox|export|scan|settings|fleet`. It alone wires the parts."""

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
from typing import TYPE_CHECKING, Any

from edge.errors import EdgeError, SettingsError, Unclaimed

if TYPE_CHECKING:
    from edge.settings import Settings

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
    _take_settings(run)
    run.set_defaults(command=_run)
    claim = commands.add_parser("claim", help="make this machine a terminal, by a code from the console")
    claim.add_argument("url", metavar="URL", help="the cloud's address, such as https://roomlink.example.org")
    claim.add_argument("code", metavar="CODE", help="the claim code, such as 7K3QX-9M2TB")
    _take_settings(claim)
    claim.add_argument("--ca-file", type=Path, metavar="FILE", help="trust these instead of the system's, for HTTPS")
    claim.set_defaults(command=_claim)
    doctor = commands.add_parser("doctor", help="look at camera, disk, clock, broker and certificate; say what to do")
    _take_settings(doctor)
    doctor.set_defaults(command=_doctor)
    _add_outbox(commands)
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


def _add_outbox(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    outbox = commands.add_parser("outbox", help="say what waits, how old it is, and what is stored")
    _take_settings(outbox)
    outbox.add_argument("--json", action="store_true", help="as one JSON object")
    outbox.set_defaults(command=_outbox)
    export = commands.add_parser(
        "export", help="write what the outbox still holds to a file, for the cloud to take in by hand"
    )
    export.add_argument("what", choices=["outbox"], help="the only thing that there is to export")
    export.add_argument("file", type=Path, metavar="FILE", help="a file that does not exist yet")
    _take_settings(export)
    export.add_argument("--all", action="store_true", help="also what is stored already, as far as it is kept")
    export.set_defaults(command=_export)


def _take_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML")
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="the data folder, instead of or beside --config")


def _settings_of(options: argparse.Namespace) -> "Settings":
    from edge.settings import Settings, load_settings

    given: dict[str, Any] = {} if options.data_dir is None else {"data_dir": options.data_dir}
    if options.config is None:
        if options.data_dir is None:
            raise SettingsError("Give --config FILE or --data-dir DIR. Example: --config /etc/roomlink/kiosk.toml")
        given["kiosk"] = {}  # without a file it is a kiosk that has no camera
    return load_settings(options.config, Settings, **given)


def _run(options: argparse.Namespace) -> int:
    from edge import own_log
    from edge.agent import Agent

    stop = stop_at_signal()
    settings = _settings_once_claimed(options, stop)
    if settings is None:
        return 0
    log_to_stderr(settings.log_level)
    agent = Agent(settings)
    own_log.keep(settings.data_dir)
    agent.start()
    print(f"terminal {settings.terminal} is running", flush=True)
    while not stop.is_set() and not agent.ended_for_restart.is_set():
        stop.wait(0.5)
    agent.stop()
    if not stop.is_set():
        logging.shutdown()
        os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[1:]])  # noqa: S606 - our own command line
    return 0


def _settings_once_claimed(options: argparse.Namespace, stop: threading.Event) -> "Settings | None":
    """A machine that is no terminal yet waits for its claim, and says so; None where it is stopped before."""
    try:
        return _settings_of(options)
    except Unclaimed as nobody:
        from edge.kiosk.unclaimed import wait_until_claimed

        print(f"{nobody} Waiting for that.", flush=True)
        command = f"python -m edge claim URL CODE {_how(options)}"
        return wait_until_claimed(nobody, lambda: _settings_of(options), command, stop)


def _how(options: argparse.Namespace) -> str:
    """Where the settings are, as they were given."""
    return f"--config {options.config}" if options.config else f"--data-dir {options.data_dir}"


def _claim(options: argparse.Namespace) -> int:
    from edge.claim import claim, identity_folder

    folder = identity_folder(options.config, options.data_dir)
    claimed = claim(options.url, options.code, folder, options.ca_file)
    print(claimed.sentences(f"python -m edge run {_how(options)}"))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from edge.doctor import examine

    findings = examine(_settings_of(options))
    for finding in findings:
        print(finding.line())
    return 0 if all(finding.well for finding in findings) else 1


def _outbox(options: argparse.Namespace) -> int:
    from edge.inspection import read_outbox

    report = read_outbox(_settings_of(options).outbox_file)
    if isinstance(report, str):
        print(report, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({**dataclasses.asdict(report), "depth": report.depth}))
    else:
        print("\n".join(report.lines(time.time_ns() // 1000)))
    return 0


def _export(options: argparse.Namespace) -> int:
    from edge.export import export_outbox

    print(export_outbox(_settings_of(options), options.file, everything=options.all))
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
