"""docs/kiosk.md names every state of the kiosk's screen, with the words and the time that it really has."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.kiosk_states import STATES
from tests.kiosk import PHONES, TALK, Stage, hash_pin, twin

PAGE = (Path(__file__).parents[2] / "docs" / "kiosk.md").read_text("utf-8")


def rows() -> Iterator[tuple[str, str]]:
    """Each state with the row of the table that tells of it."""
    for line in PAGE.splitlines():
        first = re.match(r"\| (`[^|]*`) \|", line)
        for name in re.findall(r"`([a-z_]+)`", first[1]) if first else ():
            yield name, line


ROWS = dict(rows())


@pytest.mark.parametrize("lead", STATES, ids=lambda lead: lead.__name__)
def test_state_is_told_with_its_words_and_its_time(lead: Callable[[Stage], None], tmp_path: Path) -> None:
    row = ROWS[lead.__name__]
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        lead(stage)
        view = stage.view
    assert {view["title"]["zh"], view["title"]["en"]} <= {said.strip() for said in re.split(r"[,|;(]| and ", row)}
    if view["back_ms"] is not None:
        assert row.endswith(f"| {view['back_ms'] // 1000} s |")
    if view["field"]:
        assert f"| {view['field']}, " in row
    if view["screen"] == "result":
        assert f"| {view['sound']} |" in row
