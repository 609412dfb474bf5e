"""The console's words: one TOML catalogue per language, and dates and numbers as the language writes them (Babel).

A key is `page.name`; a catalogue that lacks one is a mistake that a test finds. `key_one` is for exactly one, mostly in English.
"""

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_decimal

CATALOGUES = Path(__file__).parent / "words"


class Language(StrEnum):
    """What the console speaks."""

    CHINESE = "zh"
    ENGLISH = "en"

    @property
    def tag(self) -> str:
        """BCP 47, for `<html lang>` and Quasar."""
        return "zh-CN" if self is Language.CHINESE else "en-GB"

    @property
    def locale(self) -> str:
        """Babel's name."""
        return "zh_Hans_CN" if self is Language.CHINESE else "en_GB"

    @property
    def other(self) -> "Language":
        """The one to switch to."""
        return Language.ENGLISH if self is Language.CHINESE else Language.CHINESE


@cache
def catalogue(language: Language) -> dict[str, str]:
    """All words of a language by `page.name`, from `zh.toml` and the `zh.….toml` beside it."""
    pages = [tomllib.loads(path.read_text("utf-8")) for path in sorted(CATALOGUES.glob(f"{language}.*toml"))]
    return {f"{page}.{name}": text for each in pages for page, names in each.items() for name, text in names.items()}


@dataclass(frozen=True)
class Words:
    """Speaks one language in one time zone. `words("overview.title")` gives the text; numbers come with commas."""

    language: Language
    zone: ZoneInfo

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key`, with its `{names}` filled. KeyError when there is none."""
        texts = catalogue(self.language)
        text = texts.get(f"{key}_one", texts[key]) if values.get("n") == 1 else texts[key]
        shown = {name: self.number(value) if isinstance(value, int) else value for name, value in values.items()}
        return text.format(**shown) if shown else text

    def maybe(self, key: str, **values: Any) -> str | None:
        """The text of `key`, filled; None where there is none or it needs a value that is missing."""
        try:
            return self(key, **values)
        except KeyError:
            return None

    def known(self, key: str, otherwise: str) -> str:
        """The text of `key`, or `otherwise` for what is newer than the catalogue."""
        return catalogue(self.language).get(key, otherwise)

    def either(self, name: str, name_en: str) -> str:
        """A name in the page's language, where it has one in it."""
        return name_en or name if self.language is Language.ENGLISH else name

    def number(self, value: float) -> str:
        """48231 → 48,231; at most two decimals."""
        return format_decimal(value, format="#,##0.##", locale=self.language.locale)

    def clock(self, at: datetime) -> str:
        """09:24:31, with the date before it when it is not today."""
        return self._with_date(at, format_time(at, "HH:mm:ss", tzinfo=self.zone, locale=self.language.locale))

    def minute(self, at: datetime) -> str:
        """09:24, with the date before it when it is not today."""
        return self._with_date(at, self.hour(at))

    def hour(self, at: datetime) -> str:
        """09:24."""
        return format_time(at, "HH:mm", tzinfo=self.zone, locale=self.language.locale)

    def span(self, start: datetime, end: datetime) -> str:
        """09:30–11:00."""
        return f"{self.hour(start)}–{self.hour(end)}"

    def day(self, day: date | datetime) -> str:
        """Monday 23 November 2026, or 2026年11月23日 星期一."""
        local = day.astimezone(self.zone) if isinstance(day, datetime) else day
        pattern = "y年M月d日 EEEE" if self.language is Language.CHINESE else "EEEE d MMMM y"
        return format_date(local, pattern, locale=self.language.locale)

    def short_day(self, at: datetime) -> str:
        """23 Nov 2026, or 2026年11月23日."""
        return format_date(at.astimezone(self.zone), "medium", locale=self.language.locale)

    def exactly(self, at: datetime) -> str:
        """Date and time to the second with the zone's name, for titles."""
        return format_datetime(at, "y-MM-dd HH:mm:ss z", tzinfo=self.zone, locale=self.language.locale)

    def duration(self, of: timedelta) -> str:
        """40 s, 6 min, 2 h, 3 d: the largest unit that it fills."""
        seconds = max(int(of.total_seconds()), 0)
        for unit, size in (("days", 172_800), ("hours", 7_200), ("minutes", 120)):
            if seconds >= size:
                return self(f"time.{unit}", n=seconds // {"days": 86_400, "hours": 3_600, "minutes": 60}[unit])
        return self("time.seconds", n=seconds)

    def ago(self, at: datetime, now: datetime) -> str:
        """3 s ago."""
        return self("time.ago", age=self.duration(now - at))

    def _with_date(self, at: datetime, time: str) -> str:
        local = at.astimezone(self.zone).date()
        today = datetime.now(UTC).astimezone(self.zone).date()
        if local == today:
            return time
        if local == today - timedelta(days=1):
            return self("time.yesterday", time=time)
        chinese = self.language is Language.CHINESE
        pattern = "M月d日" if chinese else "d MMM"
        if local.year != today.year:
            pattern = "y年M月d日" if chinese else "d MMM y"
        return f"{format_date(local, pattern, locale=self.language.locale)} {time}"
