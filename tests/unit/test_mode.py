"""What was set by command stays over restarts, and a file that was spoilt stops nothing."""

from pathlib import Path

import pytest

from edge import actions
from edge.commands import Action, CommandFailed
from edge.mode import Mode, ModeFile


def test_it_is_in_service_at_full_volume_until_something_is_said(tmp_path: Path) -> None:
    assert ModeFile(tmp_path / "mode.json").current() == Mode(maintenance=False, volume=100)


def test_what_was_set_is_there_after_a_restart(tmp_path: Path) -> None:
    mode = ModeFile(tmp_path / "mode.json")
    actions.maintenance(mode.change, begins=True)({})
    assert actions.set_volume(mode.change)({"volume": 40.0}) == {"volume": "40"}
    assert ModeFile(tmp_path / "mode.json").current() == Mode(maintenance=True, volume=40)
    actions.maintenance(mode.change, begins=False)({})
    assert ModeFile(tmp_path / "mode.json").current() == Mode(maintenance=False, volume=40)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"volume": 101}', b'{"maintenance": 1}', b"\xff" * 2000])
def test_spoilt_file_means_in_service_and_is_written_over(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mode.json"
    file.write_bytes(content)
    mode = ModeFile(file)
    assert mode.current() == Mode()
    mode.change(volume=7)
    assert ModeFile(file).current().volume == 7


@pytest.mark.parametrize(
    "arguments", [{}, {"volume": -1.0}, {"volume": 101.0}, {"volume": 1.5}, {"volume": True}, {"volume": "7"}]
)
def test_volume_that_is_none_is_refused_with_a_sentence(tmp_path: Path, arguments: dict[str, float | str]) -> None:
    with pytest.raises(CommandFailed, match="volume must be a whole number from 0 to 100") as refused:
        actions.set_volume(ModeFile(tmp_path / "mode.json").change)(arguments)
    assert refused.value.reason == "bad_arguments"


def _both(mode: ModeFile) -> list[Action]:
    return [actions.maintenance(mode.change, begins=True), actions.set_volume(mode.change)]


@pytest.mark.parametrize("which", [0, 1])
def test_what_cannot_be_kept_is_refused_and_not_in_force(tmp_path: Path, which: int) -> None:
    mode = ModeFile(tmp_path / "gone" / "mode.json")
    with pytest.raises(CommandFailed, match="cannot be kept") as refused:
        _both(mode)[which]({"volume": 1.0})
    assert (refused.value.reason, mode.current()) == ("not_possible", Mode())
