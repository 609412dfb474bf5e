"""What the terminal's page says of its settings: applied, refused, or on their way, by the terminal's own word."""

from zoneinfo import ZoneInfo

import pytest

from cloud.console.words import Language, Words
from cloud.templates import merging
from cloud.terminals import twin_table
from cloud.terminals.models import Terminal
from cloud.terminals.twin_table import Told

WORDS = {
    Language.ENGLISH: ("Could not be applied", "Files on their way"),
    Language.CHINESE: ("没能用上", "文件还在下载"),
}


@pytest.mark.parametrize("language", list(Language))
def test_settings_whose_files_are_on_their_way_are_not_called_refused(language: Language) -> None:
    refused, pending = WORDS[language]
    assert _said(language, applied=True, problems=[]) == (False, False)
    shown = _shown(language, applied=False, problems=[])
    assert (refused in shown, pending in shown, 'data-s="bad"' in shown) == (False, True, False)
    assert _said(language, applied=False, problems=["roster: the file has another hash"]) == (True, False)


def _said(language: Language, *, applied: bool, problems: list[str]) -> tuple[bool, bool]:
    shown = _shown(language, applied=applied, problems=problems)
    refused, pending = WORDS[language]
    return refused in shown, pending in shown


def _shown(language: Language, *, applied: bool, problems: list[str]) -> str:
    says = {"version": [1, 2], "applied": applied, "problems": problems, "settings": {}}
    terminal = Terminal(id="kiosk-1", kind="kiosk", profile="kiosk", settings={}, reported=says)
    effective = merging.merged(merging.known_settings("kiosk", "kiosk"), (), {})
    return str(
        twin_table.table_of(Words(language, ZoneInfo("UTC")), Told({"version": [1, 2]}, effective=effective), terminal)
    )
