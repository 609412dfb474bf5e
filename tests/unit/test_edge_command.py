"""The agent's command line in this process: what it prints, and its exit status."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest

from edge import __main__ as command
from edge.outbox import Outbox
from tests.process import ROOT, free_port


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "kiosk.toml"
    file.write_text(
        f'terminal = "kiosk-1"\npassword = "secret"\ndata_dir = "{tmp_path}/data"\nclock_trusted = true\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\n[kiosk]\npage_port = 0\n'
    )
    return file


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if SIGTERM came at once."""
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(command, "stop_at_signal", lambda: stop)


def test_agent_starts_and_stops_without_a_network(
    config: Path, stopped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "--config", str(config)]) == 0
    assert "terminal kiosk-1 is running" in capsys.readouterr().out
    assert (tmp_path / "data" / "outbox.db").is_file()
    assert command.main(["outbox", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["terminal"] == "kiosk-1"
    assert command.main(["outbox", "--config", str(config)]) == 0
    assert "stored through  0 of " in capsys.readouterr().out


def test_busy_page_port_is_a_sentence(config: Path, stopped: None, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(config.read_text().replace("page_port = 0", f"page_port = {port}"))
        assert command.main(["run", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert str(port) in said
    assert "Traceback" not in said


def test_held_outbox_is_a_sentence(
    config: Path, stopped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    outbox = Outbox.open(tmp_path / "data" / "outbox.db", terminal="kiosk-1")
    assert command.main(["run", "--config", str(config)]) == 1
    assert "Another agent is using" in capsys.readouterr().err
    outbox.close()


def test_doctor_ends_with_1_where_something_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["doctor", "--config", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert any(line.startswith("WRONG broker: ") and " -> " in line for line in lines)


@pytest.mark.parametrize("command_name", ["run", "doctor", "outbox"])
def test_settings_must_come_from_somewhere(command_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([command_name]) == 2
    assert "Give --config FILE or --data-dir DIR" in capsys.readouterr().err


@pytest.mark.parametrize("command_name", ["doctor", "outbox"])
def test_terminal_that_is_not_set_up_says_how(
    command_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([command_name, "--data-dir", str(tmp_path)]) == 2
    assert f"Claim it: python -m edge claim URL CODE --data-dir {tmp_path}" in capsys.readouterr().err


def test_outbox_that_is_not_there_ends_with_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["outbox", "--config", str(config)]) == 1
    assert "There is no outbox" in capsys.readouterr().err


def test_scan_reads_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "nothing.png"
    picture.write_bytes(b"no picture")
    assert command.main(["scan", str(picture)]) == 0
    assert capsys.readouterr().out == f"{picture}\t\n"


@pytest.mark.parametrize("arguments", [["scan"], ["scan", "card.png", "--camera", "0"]])
def test_scan_wants_pictures_or_a_camera(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert "Example: python -m edge scan card.png" in capsys.readouterr().err


def test_scan_ends_when_it_is_told_to(stopped: None, tmp_path: Path) -> None:
    assert command.main(["scan", "--camera", str(tmp_path), "--json"]) == 0


def test_fleet_runs_and_ends_with_its_figures(
    stopped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fleet.json").write_text('{"kiosk-sim-01": "secret"}')
    config = tmp_path / "fleet.toml"
    config.write_text(
        f'data_dir = "{tmp_path}/fleet"\nterminals_file = "{tmp_path}/fleet.json"\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\n'
    )
    assert command.main(["fleet", "--config", str(config)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["terminals"], figures["connected"], figures["shown"]) == (1, 0, 0)


def test_settings_are_listed_with_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["settings"]) == 0
    assert "broker.port = 1883\n    TCP port" in capsys.readouterr().out


def test_settings_page_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["settings", "--markdown"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "settings-agent.md").read_text("utf-8")


def test_signals_stop_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: dict[int, object] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    stop = command.stop_at_signal()
    handler = handlers[signal.SIGTERM]
    assert callable(handler)
    handler(signal.SIGTERM, None)
    assert stop.is_set()
    assert signal.SIGINT in handlers
