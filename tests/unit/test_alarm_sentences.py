"""Rules in words: a plain sentence for every metric of every profile, in both languages."""

import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.alarms import metric_words, saying
from cloud.alarms.measures import is_switch, metrics
from cloud.alarms.models import AlarmRule
from cloud.alarms.rules import Compare, RuleKind
from cloud.console.words import Language, Words, catalogue
from firmware_specs.profiles import Metric

ENGLISH, CHINESE = Words(Language.ENGLISH, ZoneInfo("UTC")), Words(Language.CHINESE, ZoneInfo("UTC"))
SPEAKERS = pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["en", "zh"])


def rule(kind: RuleKind = RuleKind.THRESHOLD, **more: Any) -> AlarmRule:
    return AlarmRule(**{"kind": kind, "compare": Compare.ABOVE, "level": 0.0, "for_s": 0} | more)


def everything_asked(name: str, metric: Metric) -> Iterator[AlarmRule]:
    for compare in Compare:
        yield from (rule(metric=name, compare=compare, level=level) for level in (0.5, 40.0))
    for compare in (Compare.ABOVE, Compare.BELOW):
        yield rule(RuleKind.RATE, metric=name, compare=compare, level=5.0)
        for level in (metric.low, 0.5, metric.high):
            yield from (
                rule(RuleKind.TREND, metric=name, compare=compare, level=level, days=days) for days in (1.0, 7.0)
            )


def said(**asked: Any) -> tuple[str, str]:
    return saying.condition(ENGLISH, rule(**asked)), saying.condition(CHINESE, rule(**asked))


@pytest.mark.parametrize(
    ("asked", "english", "chinese"),
    [
        ({"metric": "page_alive", "compare": Compare.BELOW, "level": 0.5, "clear_level": 1.0, "for_s": 180},
         "the page does not answer, for 3 min", "画面没有应答，持续 3 分钟"),
        ({"metric": "under_voltage", "level": 0.5}, "supply voltage too low", "供电电压过低"),
        ({"metric": "clock_offset_ms", "compare": Compare.BEYOND, "level": 5000.0, "clear_level": 1000.0},
         "clock off by more than 5,000 ms, clears at 1,000 ms", "时钟误差超过 5,000 毫秒，恢复界限 1,000 毫秒"),
        ({"metric": "temperature_c", "compare": Compare.BEYOND, "level": 60.0},
         "processor temperature beyond ±60 °C", "处理器温度超过 ±60 ℃"),
        ({"metric": "outbox_age_s", "level": 3600.0}, "oldest waiting record older than 60 min", "最旧的待传记录超过 60 分钟"),
        ({"metric": "camera_fps", "compare": Compare.BELOW, "level": 0.5, "clear_level": 1.0},
         "camera below 0.5 frames/s, clears at 1 frame/s", "摄像头不到 0.5 帧/秒，恢复界限 1 帧/秒"),
        ({"metric": "disk_free_bytes", "compare": Compare.BELOW, "level": 512.0 * 1024**2},
         "free disk space below 512 MiB", "磁盘剩余空间低于 512 MiB"),
        ({"metric": "disk_free_bytes", "compare": Compare.BELOW, "kind": RuleKind.TREND, "days": 7.0},
         "disk full within 7 days at the present rate", "按目前速度，磁盘 7 天内写满"),
        ({"metric": "disk_percent", "compare": Compare.BELOW, "kind": RuleKind.TREND, "days": 7.0},
         "disk use reaches 0 % within 7 days at the present rate", "按目前速度，磁盘使用率 7 天内到 0 %"),
        ({"metric": "memory_percent", "level": 100.0, "kind": RuleKind.TREND, "days": 7.0},
         "memory used up within 7 days at the present rate", "按目前速度，内存 7 天内用尽"),
        ({"metric": "disk_percent", "level": 95.0, "kind": RuleKind.TREND, "days": 1.0},
         "disk use reaches 95 % within a day at the present rate", "按目前速度，磁盘使用率 1 天内到 95 %"),
        ({"metric": "network_errors", "level": 100.0, "kind": RuleKind.RATE},
         "number of network errors and drops: more than 100 in an hour", "网卡错误和丢包：一小时超过 100"),
        ({"kind": RuleKind.REVOCATION_LIST, "days": 1.0},
         "the revocation list ends within a day", "撤销列表 1 天内到期"),
    ],
)  # fmt: skip
def test_conditions_read_as_people_would_say_them(asked: dict[str, Any], english: str, chinese: str) -> None:
    assert said(**asked) == (english, chinese)


@SPEAKERS
@pytest.mark.parametrize("name", metrics())
def test_every_metric_has_a_plain_sentence_for_whatever_a_rule_asks_of_it(words: Words, name: str) -> None:
    assert f"measured.{name}" in catalogue(words.language)
    sentences = [saying.condition(words, each) for each in everything_asked(name, metrics()[name])]
    for sentence in [*sentences, metric_words.option(words, name), metric_words.reading(words, name, 1.0)]:
        assert not re.search(r"[()（）{}_\[\]]|  | 1 days", sentence), sentence
        assert words is ENGLISH or not re.search(r"[a-z]{4}", sentence), sentence


@SPEAKERS
@pytest.mark.parametrize("name", [name for name in metrics() if is_switch(name)])
def test_what_is_yes_or_no_is_said_without_a_number(words: Words, name: str) -> None:
    yes, no = (catalogue(words.language)[f"measured_{each}.{name}"] for each in ("yes", "no"))
    assert saying.condition(words, rule(metric=name, compare=Compare.ABOVE, level=0.5)) == yes
    assert saying.condition(words, rule(metric=name, compare=Compare.BELOW, level=0.5)) == no
    assert (metric_words.reading(words, name, 1.0), metric_words.reading(words, name, 0.0)) == (yes, no)
    assert saying.value_of(words, rule(metric=name), 0.0) == ""


def test_level_that_neither_yes_nor_no_is_beyond_is_said_as_it_stands() -> None:
    assert said(metric="page_alive", level=1.0)[0] == "answer of the page above 1"
    assert said(metric="page_alive", compare=Compare.BELOW)[0] == "answer of the page below 0"


@SPEAKERS
def test_metric_newer_than_the_catalogues_goes_by_its_profiles_name(
    words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    fan = Metric(unit="%", kind="gauge", zh="风扇转速", en="Speed of the fan", low=0.0, high=100.0)
    monkeypatch.setattr(metric_words, "metrics", lambda: {"fan_percent": fan})
    name, above = ("风扇转速", "高于") if words is CHINESE else ("Speed of the fan", " above")
    assert saying.condition(words, rule(metric="fan_percent", level=20.0)) == f"{name}{above} 20 %"
    assert metric_words.reading(words, "fan_percent", 30.0) == f"{name} 30 %"


def test_choice_of_metrics_says_what_a_level_is_counted_in() -> None:
    assert metric_words.option(ENGLISH, "page_alive") == "Answer of the page: 1 yes, 0 no"
    assert metric_words.option(CHINESE, "disk_free_bytes") == "磁盘剩余空间，字节"
    assert metric_words.option(ENGLISH, "network_signal_dbm") == "Wireless signal, dBm"
    assert metric_words.option(ENGLISH, "outbox_depth") == "Number of waiting records"
