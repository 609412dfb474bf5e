"""The overview's figures are counted, and what was not counted of late is said so; on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text, update

from cloud.activities.models import Occurrence
from cloud.alarms import ruling
from cloud.alarms.models import Alarm, AlarmMember
from cloud.alarms.rules import RuleKind
from cloud.alarms.ruling import RuleForm
from cloud.api import Cloud
from cloud.audit.service import Change
from cloud.clock import to_us, utc_now
from cloud.console.words import Language, Words
from cloud.database import transaction
from cloud.ingest import reconcile
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.ingest.rebuild import rebuild_ledger
from cloud.ingest.reconcile import Difference, Reconciler
from cloud.journal.models import Stream
from cloud.overview import page, positions
from cloud.overview.positions import NOT_COUNTED, STALE, Compared, Standing
from cloud.overview.service import Overview, Pulse, Trouble
from cloud.paging import MAX_LIMIT
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals.models import Terminal
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import TimeseriesUnavailable
from tests.integration.town_journal import busy_day, ingest, pen, project, series
from tests.office import settings_for
from tests.town import ACTIVITY, ORGANISATION, ROOM, Town

DAY_US = 86_400_000_000
KEPT = timedelta(days=180)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def standing(town: Town) -> Standing:
    with transaction(town.engine, read_only=True) as session:
        return positions.standing(session, utc_now())


def pulse(town: Town, now: datetime, overview: Overview | None = None) -> Pulse:
    with transaction(town.engine, read_only=True) as session:
        return (overview or Overview()).pulse(session, EVERYWHERE, now)


def compare(town: Town, store: MemoryTimeseries, times: int = 1) -> Compared:
    reconciler = Reconciler(town.engine, utc_now, lambda: store, KEPT)
    for _ in range(times):
        reconciler.turn()
    found = standing(town).compared
    assert found is not None
    return found


def test_nothing_is_called_counted_before_the_first_comparison(town: Town) -> None:
    busy_day(town)
    assert standing(town).compared is None
    with transaction(town.engine, read_only=True) as session:
        (newest,) = positions.streams_of(session, "kiosk-2")
    assert (newest.series, newest.compared_at, newest.is_stale(utc_now())) == (None, None, True)


def test_ledger_and_series_show_what_is_there_and_not_what_ought_to_be(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    found = compare(town, store)
    assert (found.facts, found.ledger, found.points, found.series, found.differing) == (7, 7, 12, 12, 0)
    with transaction(town.engine) as session:
        session.execute(text("DELETE FROM check_ins"))
        session.execute(text("DELETE FROM journal"))
    store.clear()
    found = compare(town, store, times=2)
    assert (found.facts, found.ledger, found.points, found.series, found.differing) == (7, 2, 12, 0, 3)
    with transaction(town.engine, read_only=True) as session:
        (newest,) = positions.streams_of(session, "kiosk-2")
    assert (newest.counted.points, newest.series, newest.missing, newest.differing) == (8, 0, 8, 2)
    assert newest.difference is Difference.JOURNAL


def test_batches_that_are_stored_while_a_terminals_streams_are_read_make_no_difference(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = pen(town)
    writing.started()
    ingest(town, writing)
    count_journal = reconcile._journal

    def store_and_count(*asked: Any) -> Any:
        writing.health()
        ingest(town, writing, first=len(writing.lines))
        return count_journal(*asked)

    monkeypatch.setattr(reconcile, "_journal", store_and_count)
    with Cloud(town.engine, settings_for(tmp_path), utc_now).reading() as session:
        found = [positions.streams_of(session, "kiosk-1")[0] for _ in range(2)]
    assert [(each.stored, each.difference) for each in found] == [(1, None), (1, None)]
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(select(Stream.through)) == 3


def differing(town: Town, scope: Scope = EVERYWHERE) -> list[Trouble]:
    with transaction(town.engine, read_only=True) as session:
        troubles = Overview().pulse(session, scope, utc_now()).troubles
    return [each for each in troubles if each.kind == "differing"]


def test_terminals_whose_streams_differ_are_named_until_they_agree(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    compare(town, store, times=2)
    assert differing(town) == []
    with transaction(town.engine) as session:
        session.execute(text("DELETE FROM interactions"))
    compare(town, store, times=2)
    assert differing(town) == [Trouble("differing", "kiosk-2", count=1)]
    assert differing(town, Scope("/elsewhere/")) == []
    rebuild_ledger(town.engine)
    compare(town, store)
    assert differing(town) == []


def test_of_many_terminals_whose_streams_differ_the_first_are_named(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.overview.service.DIFFERING", 1)
    busy_day(town)
    store = series()
    project(town, store)
    with transaction(town.engine) as session:
        session.execute(text("DELETE FROM journal"))
    compare(town, store, times=2)
    assert differing(town) == [Trouble("differing", "kiosk-1", count=3, unnamed=1)]
    with transaction(town.engine, read_only=True) as session:
        streams = positions.streams_of(session, "kiosk-1", limit=1)
    assert [each.difference for each in streams] == [Difference.JOURNAL] * 2


def test_store_that_is_away_leaves_the_series_uncounted(town: Town) -> None:
    busy_day(town)

    def away() -> MemoryTimeseries:
        raise TimeseriesUnavailable("gone for lunch")

    Reconciler(town.engine, utc_now, series, KEPT).turn()
    Reconciler(town.engine, utc_now, away, KEPT).turn()
    found = standing(town).compared
    assert found is not None
    assert (found.ledger, found.series) == (7, None)
    with transaction(town.engine, read_only=True) as session:
        (newest,) = positions.streams_of(session, "kiosk-2")
    assert newest.series is None


def test_what_waits_is_the_least_there_can_be_while_a_terminal_is_away(town: Town) -> None:
    busy_day(town)

    def say(presence: str, said: int, *, enabled: bool = True) -> tuple[int, bool]:
        with transaction(town.engine) as session:
            session.execute(text("UPDATE terminals SET presence = 'online' WHERE id = 'kiosk-1'"))
            values = {"presence": presence, "enabled": enabled}
            session.execute(update(Terminal).where(Terminal.id == "kiosk-2").values(values))
            session.execute(text(f"UPDATE streams SET said_through = through + {said} WHERE terminal_id = 'kiosk-2'"))
        found = standing(town)
        return found.waiting, found.is_least

    assert [say(presence, 3) for presence in ("online", "asleep", "maintenance")] == [(3, False)] * 3
    assert [say(presence, 3) for presence in ("suspect", "offline", "never")] == [(3, True)] * 3
    assert (say("offline", 0), say("online", 0)) == ((0, True), (0, False))
    assert (say("offline", 0, enabled=False), say("offline", 3, enabled=False)) == ((0, False), (3, True))


@pytest.mark.parametrize(
    ("language", "none"), [(Language.ENGLISH, "nothing is waiting"), (Language.CHINESE, "没有待传的记录")]
)
def test_nobody_says_that_nothing_waits_while_a_terminal_is_away(town: Town, language: Language, none: str) -> None:
    view: Any = SimpleNamespace(now=NOON, live=SimpleNamespace(failing=False))
    found, words = standing(town), Words(language, ZoneInfo("UTC"))
    shown = [page._where(words, replace(found, is_least=is_least), view) for is_least in (False, True)]
    assert [none in each for each in shown] == [True, False]
    assert words("overview.stored_unknown") in shown[1]


@pytest.mark.parametrize("language", list(Language))
def test_comparison_is_said_in_words(language: Language) -> None:
    words = Words(language, ZoneInfo("UTC"))
    well = Compared(NOON, 7, 7, 12, 12, 0)
    said = {
        "none": (
            page.comparison_said(words, None, NOON),
            page.ledger_said(words, None, NOON),
            page.series_said(words, None, NOON),
        ),
        "well": (
            page.comparison_said(words, well, NOON),
            page.ledger_said(words, well, NOON),
            page.series_said(words, well, NOON),
        ),
    }
    assert said["none"][0][0] == "late"
    assert said["none"][1] == said["none"][2] == (NOT_COUNTED, words("overview.not_counted"))
    assert said["well"][0][0] == "ok"
    assert (said["well"][1][0], said["well"][2][0]) == ("7", "12")
    late, since = NOON + STALE + timedelta(seconds=1), words("overview.not_compared_since", time=words.minute(NOON))
    assert page.comparison_said(words, well, late) == ("late", since)
    assert (page.ledger_said(words, well, late), page.series_said(words, well, late)) == (("7", since), ("12", since))
    assert page.comparison_said(words, replace(well, differing=2), NOON)[0] == "bad"
    single = words("overview.totals_only", n=2)
    assert page.ledger_said(words, replace(well, differing=2), NOON) == ("7", single)
    assert page.series_said(words, replace(well, differing=2), NOON) == ("12", single)
    assert page.comparison_said(words, replace(well, series=None), NOON)[0] == "late"
    assert page.series_said(words, replace(well, series=None), NOON) == (NOT_COUNTED, words("overview.series_away"))
    assert page.series_said(words, replace(well, series=5), NOON) == ("5", words("overview.series_missing", n=7))
    assert page.ledger_said(words, replace(well, ledger=5), NOON) == ("5", words("overview.ledger_differs", n=2))


def test_today_counts_by_arrival_and_stays_over_a_rebuild(town: Town) -> None:
    kiosk = pen(town)
    for _ in range(4):
        kiosk.check_in(None, town.occurrence)
    now = utc_now().replace(hour=20)
    today_at = to_us(now.replace(hour=0, minute=0, second=0, microsecond=0))
    hour = 3_600_000_000
    for number, at in enumerate((now, now, now), 1):
        # the second arrived while our clock was three days behind: ids do not rise with time
        received_at = to_us(at) - hour - (3 * DAY_US if number == 2 else 0)
        Line(town.engine).ingest([Delivery(kiosk.terminal, kiosk.batch(number, 1), received_at)])
    Line(town.engine).ingest([Delivery(kiosk.terminal, kiosk.batch(4, 1), today_at - 5 * hour)])
    with transaction(town.engine) as session:
        session.execute(text("UPDATE organisations SET timezone = 'UTC'"))
    overview = Overview()
    assert (pulse(town, now, overview).today, pulse(town, now, overview).yesterday_until_now) == (2, 1)
    rebuild_ledger(town.engine)
    assert pulse(town, now, overview).today == 2


def test_activities_that_are_on_are_all_counted(town: Town) -> None:
    with transaction(town.engine) as session:
        for minute in range(MAX_LIMIT + 5):
            starts = town.now - timedelta(minutes=30, seconds=minute + 1)
            session.add(
                Occurrence(
                    id=f"{ACTIVITY}/{starts:%Y%m%dT%H%M%S%fZ}", activity_id=ACTIVITY, room_id=ROOM, starts_at=starts,
                    organisation_id=ORGANISATION, ends_at=town.now + timedelta(hours=1),
                    cancelled_at=town.now if minute == 0 else None,
                )
            )  # fmt: skip
    on = pulse(town, town.now)
    assert on.activities_now == MAX_LIMIT + 5
    assert len(on.rooms_now) <= 8


def test_terminals_that_are_away_are_all_counted_and_disabled_ones_need_no_hand(town: Town) -> None:
    with transaction(town.engine) as session:
        for number in range(250):
            session.add(
                Terminal(
                    id=f"away-{number:03}", kind="kiosk", profile="kiosk", room_id=ROOM, password_hash="",
                    mqtt_password_hash="", created_at=town.now, presence="offline", presence_at=town.now,
                )
            )  # fmt: skip
        for terminal in session.scalars(select(Terminal).where(Terminal.id.in_(["kiosk-1", "kiosk-2"]))):
            terminal.marks = ["fork"]
            terminal.enabled = terminal.id == "kiosk-1"
    troubles = pulse(town, town.now).troubles
    assert [each.count for each in troubles if each.kind == "away"] == [250]
    assert [each.terminal_id for each in troubles if each.kind == "mark"] == ["kiosk-1"]


def marked(town: Town, terminal_id: str, *marks: str) -> Terminal:
    return Terminal(
        id=terminal_id, kind="kiosk", profile="kiosk", room_id=ROOM, password_hash="", marks=list(marks),
        mqtt_password_hash="", created_at=town.now, presence="online", presence_at=town.now,
    )  # fmt: skip


def test_marks_that_no_alarm_tells_are_found_behind_any_number_that_alarms_tell(town: Town) -> None:
    told = [f"a-told-{number:03}" for number in range(20)]
    with transaction(town.engine) as session:
        session.add_all(marked(town, each, "fork") for each in (*told, "z-untold"))
        session.add(marked(town, "z-partly", "two_devices", "fork"))
        form = RuleForm(name="分叉", kind=RuleKind.MARK, mark="fork", everywhere=True)
        rule = ruling.create(session, Change("test", town.now), EVERYWHERE, form).id
        since = {"rule_id": rule, "since_at": town.now, "raised_at": town.now}
        session.add(
            Alarm(id="alm_1", reach="all", place_id="", severity="warning", until_at=town.now, members=21, **since)
        )
        session.flush()
        session.add_all(AlarmMember(alarm_id="alm_1", terminal_id=each, **since) for each in (*told, "z-partly"))
    marks = [(each.terminal_id, each.mark) for each in pulse(town, town.now).troubles if each.kind == "mark"]
    assert marks == [("z-partly", "two_devices"), ("z-untold", "fork")]
