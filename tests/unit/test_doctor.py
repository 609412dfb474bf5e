"""What the doctor says about each part, and what to do about it."""

import hashlib
from pathlib import Path

import pytest

from edge import doctor
from edge.clock import EARLIEST_US, Clock
from edge.outbox import Outbox
from edge.settings import Settings


def settings(folder: Path, **changes: object) -> Settings:
    least: dict[str, object] = {
        "terminal": "kiosk-1",
        "data_dir": folder,
        "password": "secret",
        "broker": {"host": "127.0.0.1", "port": 1},
    }
    return Settings.model_validate(least | changes)


def test_sound_disk_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SLOW_WRITE_MS", 60_000.0)  # the machine of a test may have a slow moment
    found = doctor.check_disk(settings(tmp_path))
    assert found.line().startswith("ok    disk: ")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = doctor.check_disk(settings(tmp_path / "nothing"))
    assert not found.well
    assert "No such file" in found.line()


def test_disk_smaller_than_the_outbox_may_become_is_named(tmp_path: Path) -> None:
    found = doctor.check_disk(settings(tmp_path, outbox={"max_mb": 1_000_000}))
    assert not found.well
    assert "set outbox.max_mb below" in found.line()


def test_slow_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SLOW_WRITE_MS", 0.0)
    assert "slow or failing" in doctor.check_disk(settings(tmp_path)).line()


def test_what_others_may_read_is_named(tmp_path: Path) -> None:
    folder, password = tmp_path / "data", tmp_path / "password"
    folder.mkdir(mode=0o700)
    Outbox.open(folder / "outbox.db", terminal="kiosk-1").close()
    (folder / "clock-synced").touch(0o644)  # tells nobody anything
    password.touch(0o600)
    private = settings(folder, password=None, password_file=password)
    assert doctor.check_privacy(private).well
    password.chmod(0o640)
    (folder / "roster").touch(0o644)
    found = doctor.check_privacy(private)
    assert f"others may read {password}, {folder / 'roster'} -> chmod" in found.line()
    folder.chmod(0o755)
    assert str(folder) in doctor.check_privacy(private).seen


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://cloud.example", True),
        ("http://10.0.0.1:8000", True),
        ("https://cloud.invalid", False),
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
    ],
)
def test_cloud_by_plain_http_is_named_unless_it_is_this_machine(url: str, clear: bool, tmp_path: Path) -> None:
    found = doctor.check_cloud(settings(tmp_path, cloud_url=url))
    assert not found.well
    assert ("is not encrypted" in found.line()) == clear


def test_outbox_is_told_of(tmp_path: Path) -> None:
    assert doctor.check_outbox(settings(tmp_path)).well
    outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1")
    assert "1 records wait" in doctor.check_outbox(settings(tmp_path)).line()
    assert doctor.agent_is_running(tmp_path / "outbox.db")
    outbox.close()
    assert not doctor.agent_is_running(tmp_path / "outbox.db")


def test_damaged_outbox_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    file.write_bytes(b"nonsense" * 1000)
    before = hashlib.sha256(file.read_bytes()).digest()
    assert not doctor.check_outbox(settings(tmp_path)).well
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_trusted_clock_is_well(tmp_path: Path) -> None:
    assert doctor.check_clock(settings(tmp_path, clock_trusted=True)).well


def test_clock_that_was_never_set_is_named(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text(str(EARLIEST_US - Clock().now_us() - 1_000_000))
    found = doctor.check_clock(settings(tmp_path, clock_trusted=True, clock_offset_file=offset))
    assert not found.well
    assert "unset -> start a time service" in found.line()


def test_terminal_without_a_camera_is_well(tmp_path: Path) -> None:
    assert doctor.check_camera(settings(tmp_path)).well
    assert doctor.check_camera(settings(tmp_path, kiosk={})).well


def test_camera_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CAMERA_WITHIN_S", 0.2)
    found = doctor.check_camera(settings(tmp_path, kiosk={"camera": str(tmp_path / "video99")}))
    assert not found.well
    assert "no frame within" in found.line()


def test_camera_that_gives_frames_is_well(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "one.png"), np.zeros((48, 64), np.uint8))
    found = doctor.check_camera(settings(tmp_path, kiosk={"camera": str(tmp_path / "pictures")}))
    assert "frames of 64 x 48" in found.line()


def test_unreachable_broker_and_cloud_are_named(tmp_path: Path) -> None:
    found = doctor.check_broker(settings(tmp_path))
    assert "Connection refused -> see broker.host" in found.line()
    away = doctor.check_cloud(settings(tmp_path, cloud_url="http://127.0.0.1:1"))
    assert not away.well
    assert "check-ins work without" in away.line()
    assert "cloud_url is not set" in doctor.check_cloud(settings(tmp_path)).line()


def test_terminal_that_was_not_claimed_is_well(tmp_path: Path) -> None:
    assert "not claimed: it signs in by its password" in doctor.check_identity(settings(tmp_path)).line()


def test_damaged_identity_is_named(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "claim.json").write_text("{")
    found = doctor.check_identity(settings(tmp_path))
    assert "claim.json is damaged. Claim this terminal again" in found.line()
    assert not doctor.check_broker(settings(tmp_path)).well


def test_certificate_is_not_asked_for_without_tls(tmp_path: Path) -> None:
    assert "not used" in doctor.check_certificate(settings(tmp_path)).line()


def test_all_is_looked_at_in_order(tmp_path: Path) -> None:
    findings = doctor.examine(settings(tmp_path))
    assert [found.what for found in findings] == [
        "disk",
        "privacy",
        "outbox",
        "clock",
        "identity",
        "camera",
        "broker",
        "certificate",
        "cloud",
    ]
