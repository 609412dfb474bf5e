"""What the kiosk says fits its screen, and follows from the moment alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.kiosk import snapshot, views, words
from edge.kiosk.decision import to_us
from edge.kiosk.screen import PAGE_FOLDER
from edge.kiosk.snapshot import Surroundings, take
from edge.kiosk.staff import FIRST_PAUSE_S, LONGEST_PAUSE_S, PinAnswer, StaffGate
from edge.kiosk.touches import MAX_PENDING, TouchCounter
from edge.kiosk.words import Words
from edge.outbox import Status
from firmware_specs.messages import Clock, Reason
from tests.kiosk import PHONES, PIN, START, TALK, hash_pin, occurrence, twin

TITLES = [
    words.ACCEPTED, words.GUEST_ACCEPTED, words.STAFF_ACCEPTED, words.ALREADY_IN, words.VISIT, words.CHECKED_OUT,
    words.STOPPED, words.ONE_MOMENT, words.STARTING, words.HELP_CALLED, words.HELP_UNHEARD, words.SHOW, words.TOUCH, words.CHOOSE,
    words.NOT_SET_UP, words.OUT_OF_SERVICE, words.COVERED, *words.REFUSED.values(),
]  # fmt: skip
LINES = [
    words.ALL_STORED, words.SENDING, words.OFFLINE, words.OFFLINE_WAITING, words.NOT_STORED_SINCE, words.NO_PICTURE,
    words.FULL, words.READ_ONLY, words.DAMAGED, words.WAITS_FOR_CLAIM, words.UNTIL_STAFF_END_IT,
]  # fmt: skip
HANZI = re.compile(r"[\u4e00-\u9fff]")


def everything() -> list[Words]:
    found = [said for said in vars(words).values() if isinstance(said, Words)]
    return found + list(words.REFUSED.values()) + list(words.NEXT_STEP.values())


@pytest.mark.parametrize("title", TITLES, ids=lambda w: w.en)
def test_title_fits_the_screen(title: Words) -> None:
    assert len(title.zh) <= 6
    assert len(title.en) <= 30


@pytest.mark.parametrize("line", LINES, ids=lambda w: w.en)
def test_state_line_fits_the_screen(line: Words) -> None:
    assert len(HANZI.findall(line.fill(n="48,211", date=Words("11月22日", "22 Nov")).zh)) <= 18


def test_everything_is_said_in_both_languages_without_shouting() -> None:
    for said in everything():
        assert HANZI.search(said.zh) or "PIN" in said.zh
        assert said.en
        assert not HANZI.search(said.en)
        assert not re.search("[!！]", said.zh + said.en)


def test_every_refusal_has_words() -> None:
    assert set(words.REFUSED) == set(words.NEXT_STEP) == set(Reason)


def test_page_says_the_catalogues_words_while_the_agent_starts() -> None:
    page = (PAGE_FOLDER / "index.html").read_text("utf-8")
    for said in (words.STARTING, words.STARTING_WAIT):
        assert said.zh in page
        assert said.en in page
    keys = (PAGE_FOLDER / "keypad.js").read_text("utf-8")
    for said in (words.DELETE, words.BACK, words.CONFIRM):
        assert f'zh: "{said.zh}", en: "{said.en}"' in keys


def test_page_asks_nothing_of_another_host() -> None:
    for file in Path(PAGE_FOLDER).iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "@import" not in text


# --- times ----------------------------------------------------------------------------------------------------------


def test_dates_are_written_for_readers_of_each_language() -> None:
    at = datetime(2026, 2, 1, 9, 5, tzinfo=UTC)
    assert words.say_day(at) == Words("2月1日 周日", "Sunday 1 February")
    assert words.say_date(at) == Words("2月1日", "1 Feb")
    assert words.say_time(at) == "09:05"
    assert words.say_wait(30).zh == "30 秒"
    assert words.say_wait(61).en == "2 min"
    assert words.say_wait(60).en == "1 min"


@pytest.mark.parametrize(
    "at", [datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), datetime(2016, 12, 31, 23, 59, 59, 999_999, UTC)]
)
def test_year_2038_and_the_end_of_a_leap_second_day_are_ordinary_times(at: datetime) -> None:
    around = replace(AROUND, now_us=to_us(at))
    assert take(views.waiting(camera=True), around)["head"]["clock"] == words.say_time(at + timedelta(hours=8))


# --- the snapshot ---------------------------------------------------------------------------------------------------

STORED = Status(0, None, 5, to_us(START), "ok", "s")
AROUND = Surroundings(to_us(START), Clock.SYNCED, twin(TALK, PHONES), STORED, True, True, "kiosk-302-a")


def test_schedule_shows_what_is_open_first_and_then_what_comes() -> None:
    rows = take(views.waiting(camera=True), AROUND)["schedule"]
    assert [(r["when"], r["title"]["zh"], r["now"]) for r in rows] == [
        ("09:30–11:00", "健康讲座：冬季用药安全", True),
        ("14:00–16:00", "手机课堂", False),
    ]


def test_schedule_names_the_day_of_what_is_not_today() -> None:
    later = occurrence("choir", "合唱团", "", START + timedelta(days=2), 2)
    rows = take(views.waiting(camera=True), replace(AROUND, desired=twin(later)))["schedule"]
    assert rows[0]["day"] == {"zh": "11月25日", "en": "25 Nov"}
    assert rows[0]["title"] == {"zh": "合唱团", "en": ""}


def test_unknown_time_zone_falls_back_to_the_machines() -> None:
    desired = twin(TALK)
    assert desired.organisation is not None
    odd = desired.model_copy(update={"organisation": desired.organisation.model_copy(update={"timezone": "../etc"})})
    now = snapshot.local_now(replace(AROUND, desired=odd))
    assert now.utcoffset() == datetime.now().astimezone().utcoffset()


def test_screen_without_a_twin_says_what_it_is_and_which() -> None:
    shown = take(views.waiting(camera=True), replace(AROUND, desired=None, language="en"))
    assert shown["head"]["name"] == {"zh": "签到机", "en": "kiosk-302-a"}
    assert shown["schedule"][0]["title"]["zh"] == "还没有收到活动安排"
    assert shown["language"] == "en"


def test_line_names_the_day_of_the_oldest_where_nothing_was_ever_stored() -> None:
    oldest_us = to_us(START - timedelta(days=3))
    never = Status(9, oldest_us, 0, None, "ok", "s")
    state, loud, said = snapshot.state_line(replace(AROUND, storage=never), START)
    assert (state, loud, said.en) == ("cut", True, "Nothing stored since 20 Nov; check-in works")
    unset = replace(AROUND, storage=never, quality=Clock.UNSET)
    assert snapshot.state_line(unset, START)[2].en == "Sending 9"


# --- staff ----------------------------------------------------------------------------------------------------------


def test_pause_doubles_with_each_further_wrong_pin_up_to_an_hour() -> None:
    gate, hashed, now_s, pauses = StaffGate(), hash_pin(), 100.0, []
    for _ in range(4):
        assert gate.try_pin("0000", hashed, now_s) is PinAnswer.WRONG
    for _ in range(9):
        assert gate.try_pin("0000", hashed, now_s) is PinAnswer.PAUSED
        pauses.append(gate.pause_left_s(now_s))
        now_s += pauses[-1]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert gate.try_pin(PIN, hashed, now_s - 1) is PinAnswer.PAUSED
    assert gate.try_pin(PIN, hashed, now_s) is PinAnswer.RIGHT
    assert gate.failures == 0
    assert gate.tries_left == 5


def test_hash_that_is_none_matches_no_pin() -> None:
    assert StaffGate().try_pin("", "", 0.0) is PinAnswer.WRONG
    assert StaffGate().try_pin(PIN, "not a hash", 0.0) is PinAnswer.WRONG


def test_trust_in_staff_ends() -> None:
    gate = StaffGate()
    gate.trust(0.0)
    assert gate.is_trusted(59.9)
    assert not gate.is_trusted(60.0)


# --- touches --------------------------------------------------------------------------------------------------------


def stamp() -> dict[str, object]:
    nothing = "00000000-0000-4000-8000-000000000000"
    return {"id": nothing, "at": 1, "boot": nothing, "mono_ms": 1, "clock": "synced", "config": (0, 0)}


def test_minute_is_over_also_when_the_clock_was_set_back() -> None:
    touches = TouchCounter()
    touches.count("waiting", 120_000_000)
    assert not touches.due(179_999_999)
    assert touches.due(180_000_000)
    assert touches.due(119_999_999)
    records = touches.take(180_000_000, stamp)
    assert [(r.minute_at, r.touches) for r in records] == [(120_000_000, 1)]
    touches.taken(records)
    assert not touches.due(999_000_000)


def test_oldest_count_is_forgotten_beyond_the_bound() -> None:
    touches = TouchCounter()
    for minute in range(MAX_PENDING + 1):
        touches.count("waiting", minute * 60_000_000)
    records = touches.take(0, stamp, everything=True)
    assert [records[0].minute_at, len(records)] == [60_000_000, MAX_PENDING]
