"""The twin on a terminal: the newest whole copy is in force, over restarts, and the report says so."""

import json
import random
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.errors import OutboxFull
from edge.fetcher import Fetcher
from edge.outbox import Outbox
from edge.roster import Roster
from edge.twin import REVOCATIONS, ROSTER, TwinStore
from firmware_specs.errors import DecodeError
from firmware_specs.messages import FileReference, Reported
from firmware_specs.wire import decode_reported
from tests.process import wait_until
from tests.unit.twin_files import MEMBER, Files, desired, revocations, roster

UNSET = {"language": "zh", "health_every_s": "60", "resend_timeout_s": "20"}
"""What a report says of the settings while nobody has set one."""


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=SteppedClock())
    yield outbox
    outbox.close()


@pytest.fixture
def twin(outbox: Outbox, tmp_path: Path) -> TwinStore:
    return TwinStore(outbox, tmp_path / "files")


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def fetcher(twin: TwinStore, files: Files) -> Fetcher:
    return Fetcher(twin, files, random.Random(1))


def report(twin: TwinStore) -> Reported:
    payload = twin.reported()
    assert payload is not None
    return decode_reported(payload)


def test_before_the_first_twin_there_is_nothing(twin: TwinStore) -> None:
    assert (twin.current(), twin.roster(), twin.revoked(), twin.version) == (None, None, frozenset(), (0, 0))
    assert twin.reported() is None


def test_newer_twin_is_in_force_and_records_are_made_under_it(twin: TwinStore, outbox: Outbox) -> None:
    assert twin.receive(desired(4)) == 1
    assert twin.version == (1, 4)
    assert outbox.config == (1, 4)


@pytest.mark.parametrize("older", [desired(4), desired(3), desired(9, epoch=0)])
def test_older_twin_changes_nothing(older: bytes, twin: TwinStore) -> None:
    twin.receive(desired(4, language="en"))
    twin.receive(older)
    current = twin.current()
    assert current is not None
    assert (current.version, current.language) == ((1, 4), "en")


def test_twin_of_a_restored_cloud_is_newer_whatever_its_number(twin: TwinStore) -> None:
    twin.receive(desired(400))
    assert twin.receive(desired(2, epoch=2)) == 2
    assert twin.version == (2, 2)


def test_twin_from_before_a_restore_changes_nothing(twin: TwinStore, outbox: Outbox) -> None:
    outbox.saw_epoch(5)
    assert twin.receive(desired(9, epoch=4)) == 4
    assert twin.current() is None
    twin.receive(desired(1, epoch=5))
    assert twin.version == (5, 1)


def test_twin_that_cannot_be_read_leaves_the_old_one(twin: TwinStore) -> None:
    twin.receive(desired(4))
    with pytest.raises(DecodeError):
        twin.receive(b"{}")
    assert twin.version == (1, 4)


def test_twin_that_cannot_be_read_is_reported_until_one_can(twin: TwinStore) -> None:
    twin.receive(desired(4))
    with pytest.raises(DecodeError):
        twin.receive(b"{}")
    assert report(twin).problems == ["desired: not taken: desired.version: Field required"]
    twin.receive(desired(5))
    assert report(twin).problems == []


def with_settings(number: int, **settings: object) -> bytes:
    """A desired twin with values that its own writer would refuse."""
    return json.dumps(json.loads(desired(number)) | settings).encode()


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ({"health_every_s": 3}, "health_every_s: must be 5 to 86400 s, and is 3"),
        ({"health_every_s": "often"}, "health_every_s: must be 5 to 86400 s, and is often"),
        ({"resend_timeout_s": True}, "resend_timeout_s: must be 1 to 600 s, and is true"),
        ({"language": 5}, "language: must be one of zh, en, and is 5"),
    ],
)
def test_setting_that_does_not_fit_stays_and_is_reported_with_the_reason(
    refused: dict[str, object], says: str, twin: TwinStore
) -> None:
    in_force: dict[str, Any] = {"language": "en", "health_every_s": 30.0, "resend_timeout_s": 10.0}
    twin.receive(desired(4, **in_force))
    twin.receive(with_settings(5, **(in_force | {"health_every_s": 45.0} | refused)))
    said = report(twin)
    assert (said.version, said.applied, said.problems) == ((1, 5), False, [says])
    assert said.settings == {"language": "en", "resend_timeout_s": "10"} | (
        {"health_every_s": "30"} if "health_every_s" in refused else {"health_every_s": "45"}
    )
    twin.receive(desired(6, **in_force))
    assert (report(twin).applied, report_again(twin).problems) == (True, [])


def report_again(twin: TwinStore) -> Reported:
    twin.connected()
    return report(twin)


def test_refused_setting_is_reported_again_after_a_restart(twin: TwinStore, outbox: Outbox, tmp_path: Path) -> None:
    twin.receive(with_settings(4, health_every_s=3))
    again = TwinStore(outbox, tmp_path / "files")
    again.load()
    assert (again.version, report(again).problems) == ((1, 4), ["health_every_s: must be 5 to 86400 s, and is 3"])


def test_twin_is_in_force_again_after_a_restart(twin: TwinStore, outbox: Outbox, tmp_path: Path) -> None:
    twin.receive(desired(4))
    again = TwinStore(outbox, tmp_path / "files")
    again.load()
    assert again.version == (1, 4)


def test_kept_twin_that_cannot_be_read_is_no_end(outbox: Outbox, twin: TwinStore) -> None:
    outbox.save_twin(b"nonsense")
    twin.load()
    assert twin.current() is None


def test_twin_is_in_force_even_when_the_disk_does_not_take_it(
    twin: TwinStore, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: bytes) -> None:
        raise OutboxFull("no room")

    monkeypatch.setattr(outbox, "save_twin", refuse)
    twin.receive(desired(4))
    assert twin.version == (1, 4)
    assert report(twin).problems == ["twin: not kept: no room"]
    monkeypatch.undo()
    twin.receive(desired(5))
    assert report(twin).problems == []


def test_report_is_given_once_per_change_and_connection(twin: TwinStore) -> None:
    twin.receive(desired(4))
    assert report(twin) == Reported(version=(1, 4), applied=True, settings=UNSET)
    assert twin.reported() is None
    twin.connected()
    assert report(twin).version == (1, 4)


def test_files_are_fetched_checked_and_used(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16))))
    assert not report(twin).applied
    assert twin.roster() is None
    assert fetcher.fetch_missing()
    found = twin.roster()
    assert found is not None
    assert found.lookup_subject(MEMBER) == frozenset({"org_a"})
    assert twin.revoked() == {"0" * 16}
    assert report(twin) == Reported(version=(1, 4), applied=True, settings=UNSET)


def test_files_are_in_force_again_after_a_restart_without_asking(
    twin: TwinStore, files: Files, fetcher: Fetcher, outbox: Outbox, tmp_path: Path
) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16))))
    fetcher.fetch_missing()
    again = TwinStore(outbox, tmp_path / "files")
    again.load()
    Fetcher(again, files).load_kept()
    assert again.roster() is not None
    assert again.revoked() == {"0" * 16}
    assert not again.missing()


def test_old_file_stays_in_force_until_the_new_one_is_whole(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a"))))
    fetcher.fetch_missing()
    files.broken = True
    twin.receive(desired(5, roster=files.offer(roster("org_b"))))
    assert not fetcher.fetch_missing()
    found = twin.roster()
    assert found is not None
    assert found.lookup_subject(MEMBER) == frozenset({"org_a"})
    said = report(twin)
    assert (said.version, said.applied) == ((1, 5), False)
    assert said.problems == ["roster: The cloud cannot be reached."]
    files.broken = False
    assert fetcher.fetch_missing()
    assert report(twin).applied


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content[:-5] + b"wrong", "hash"),
        (lambda content: content + b"more", "larger"),
        (lambda content: content[:-5], "hash"),
    ],
)
def test_file_that_is_not_the_one_named_is_refused(
    change: object, problem: str, twin: TwinStore, files: Files, fetcher: Fetcher
) -> None:
    assert callable(change)
    reference = files.offer(roster("org_a"))
    files.contents[reference.path] = change(files.contents[reference.path])
    twin.receive(desired(4, roster=reference))
    assert not fetcher.fetch_missing()
    assert problem in report(twin).problems[0]
    assert list(twin.files_dir.iterdir()) == []


def test_file_that_breaks_the_contract_is_refused(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, roster=files.offer(b"not a roster\n")))
    assert not fetcher.fetch_missing()
    assert twin.roster() is None


def test_revocations_of_an_older_epoch_are_refused(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, revocations=files.offer(revocations(7, "0" * 16))))
    fetcher.fetch_missing()
    twin.receive(desired(5, revocations=files.offer(revocations(6))))
    assert not fetcher.fetch_missing()
    assert twin.revoked() == {"0" * 16}


def test_twin_without_a_roster_has_none(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a"))))
    fetcher.fetch_missing()
    twin.receive(desired(5))
    assert twin.roster() is None


def test_kept_file_that_rotted_is_fetched_again(
    twin: TwinStore, files: Files, fetcher: Fetcher, outbox: Outbox, tmp_path: Path
) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a"))))
    fetcher.fetch_missing()
    (tmp_path / "files" / ROSTER).write_bytes(b"rotten")
    again = TwinStore(outbox, tmp_path / "files")
    again.load()
    second = Fetcher(again, files)
    second.load_kept()
    assert second.fetch_missing()
    assert again.roster() is not None


def test_kept_files_are_for_their_owner_only(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16))))
    assert fetcher.fetch_missing()
    kept = [twin.files_dir, *twin.files_dir.iterdir()]
    assert len(kept) == 3
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []
    (twin.files_dir / ROSTER).chmod(0o644)
    fetcher.load_kept()
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []


def test_part_left_open_to_others_by_an_agent_of_before_is_closed(
    twin: TwinStore, files: Files, fetcher: Fetcher
) -> None:
    twin.files_dir.mkdir()
    (twin.files_dir / f"{ROSTER}.part").touch(0o644)
    twin.receive(desired(4, roster=files.offer(roster("org_a"))))
    assert fetcher.fetch_missing()
    assert (twin.files_dir / ROSTER).stat().st_mode & 0o077 == 0


def test_kept_file_that_is_none_holds_up_no_other(
    twin: TwinStore, files: Files, fetcher: Fetcher, outbox: Outbox
) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16))))
    fetcher.fetch_missing()
    (twin.files_dir / ROSTER).unlink()
    (twin.files_dir / ROSTER).mkdir()
    again = TwinStore(outbox, twin.files_dir)
    again.load()
    second = Fetcher(again, files)
    second.load_kept()
    assert again.revoked() == {"0" * 16}
    assert "Is a directory" in report(again).problems[0]
    assert not second.fetch_missing()


def test_revocations_are_in_force_before_a_roster_is_read(
    twin: TwinStore, files: Files, fetcher: Fetcher, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin.receive(desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16))))
    fetcher.fetch_missing()
    again = TwinStore(outbox, twin.files_dir)
    revoked_then: list[frozenset[str]] = []
    load = Roster.load

    def look_and_load(path: Path) -> Roster:
        revoked_then.append(again.revoked())
        return load(path)

    monkeypatch.setattr(Roster, "load", look_and_load)
    Fetcher(again, files).load_kept()
    assert revoked_then == [{"0" * 16}]


def test_error_that_nobody_foresaw_costs_the_fetcher_one_turn(
    twin: TwinStore, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher, pieces, failed = Fetcher(twin, files, random.Random(1)), files.pieces, threading.Event()

    def fail_once(reference: FileReference) -> Iterable[bytes]:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody foresaw this")
        return pieces(reference)

    monkeypatch.setattr(files, "pieces", fail_once)
    twin.receive(desired(4, revocations=files.offer(revocations(1, "0" * 16))))
    fetcher.start()
    assert wait_until(lambda: twin.revoked() == {"0" * 16})
    fetcher.stop()


def test_problem_is_reported_without_control_characters(twin: TwinStore) -> None:
    twin.receive(desired(4))
    twin.note_problem("roster", "cannot be read:\n\x00'\x1b[31m' \udcff " + "x" * 500)
    (problem,) = report(twin).problems
    assert problem.startswith("roster: cannot be read: ' [31m' ? x")


def test_fetcher_waits_for_the_twin_and_retries_by_itself(twin: TwinStore, files: Files) -> None:
    fetcher = Fetcher(twin, files, random.Random(1))
    fetcher.start()
    files.broken = True
    twin.receive(desired(4, revocations=files.offer(revocations(1, "0" * 16))))
    assert wait_until(lambda: bool(files.asked))
    files.broken = False
    assert wait_until(lambda: twin.revoked() == {"0" * 16})
    assert len(files.asked) <= 3
    fetcher.stop()
    assert set(twin.wanted()) == {REVOCATIONS}
