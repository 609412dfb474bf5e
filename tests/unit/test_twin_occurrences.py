"""The file of occurrences on a terminal: used when it is the one that the twin names, over restarts, and no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.fetcher import Fetcher
from edge.outbox import Outbox
from edge.twin import OCCURRENCES, TwinStore
from firmware_specs.messages import FileReference, Occurrence
from firmware_specs.roster import occurrence_lines
from tests.kiosk import PHONES, TALK
from tests.unit.twin_files import Files, desired, revocations

INLINE: dict[str, Any] = {"occurrences": [TALK], "occurrences_until": PHONES.opens_at}
UNTIL = PHONES.ends_at + 1


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=SteppedClock())
    yield outbox
    outbox.close()


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def twin(outbox: Outbox, tmp_path: Path) -> TwinStore:
    return TwinStore(outbox, tmp_path / "files")


@pytest.fixture
def fetcher(twin: TwinStore, files: Files) -> Fetcher:
    return Fetcher(twin, files)


def offer(files: Files, *occurrences: Occurrence) -> FileReference:
    return files.offer(b"".join(occurrence_lines(UNTIL, occurrences)))


def known(twin: TwinStore) -> tuple[list[Occurrence], int | None]:
    """What the kiosk is told takes place, and until when that is known."""
    current = twin.current()
    assert current is not None
    return current.occurrences, current.occurrences_until


def test_twin_alone_serves_until_its_file_is_here(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, **INLINE, occurrences_file=offer(files, TALK, PHONES)))
    assert known(twin) == ([TALK], PHONES.opens_at)
    assert set(twin.missing()) == {OCCURRENCES}
    assert fetcher.fetch_missing()
    assert known(twin) == ([TALK, PHONES], UNTIL)
    assert twin.version == (1, 4)


def test_file_is_used_again_after_a_restart_without_asking(
    twin: TwinStore, files: Files, fetcher: Fetcher, outbox: Outbox
) -> None:
    twin.receive(desired(4, **INLINE, occurrences_file=offer(files, TALK, PHONES)))
    fetcher.fetch_missing()
    again = TwinStore(outbox, twin.files_dir)
    again.load()
    assert known(again) == ([TALK], PHONES.opens_at)
    Fetcher(again, files).load_kept()
    assert known(again) == ([TALK, PHONES], UNTIL)
    assert not again.missing()


def test_file_of_an_older_twin_tells_nothing_under_a_newer_one(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, **INLINE, occurrences_file=offer(files, TALK, PHONES)))
    fetcher.fetch_missing()
    files.broken = True
    twin.receive(desired(5, **INLINE, occurrences_file=offer(files, TALK)))
    assert known(twin) == ([TALK], PHONES.opens_at)
    twin.receive(desired(6, occurrences=[PHONES]))
    assert known(twin) == ([PHONES], None)


def test_broken_file_leaves_the_twin_alone_and_is_reported(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    twin.receive(desired(4, **INLINE, occurrences_file=files.offer(b"{}\n")))
    assert not fetcher.fetch_missing()
    assert known(twin) == ([TALK], PHONES.opens_at)
    reported = twin.reported()
    assert reported is not None
    assert b"occurrences: line 1" in reported


def test_file_that_does_not_come_holds_up_no_other(twin: TwinStore, files: Files, fetcher: Fetcher) -> None:
    lost = offer(files, TALK)
    files.contents[lost.path] = b"another"
    twin.receive(desired(4, occurrences_file=lost, revocations=files.offer(revocations(1, "0" * 16))))
    assert not fetcher.fetch_missing()
    assert set(twin.missing()) == {OCCURRENCES}
    assert twin.revoked() == {"0" * 16}
