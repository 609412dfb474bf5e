"""What may be said of a terminal's connection, and that nothing stale ever says "online"."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.terminals.presence import (
    CONNECTED,
    SILENT_US,
    Presence,
    Standing,
    is_no_news,
    on_broker_lost,
    on_heard,
    on_state,
    on_time,
    silent_us,
)
from firmware_specs.presence_messages import Birth, Death

A, B = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"
LIVE, RETAINED = False, True


def birth(connection: int, incarnation: str = A, state: str = "online") -> Birth:
    return Birth.model_validate(
        {"incarnation": incarnation, "connection": connection, "boot": A, "profile": "kiosk", "versions": {},
         "state": state}
    )  # fmt: skip


def death(connection: int, incarnation: str = A) -> Death:
    return Death(incarnation=incarnation, connection=connection)


def standing(presence: Presence, connection: int = 5) -> Standing:
    return Standing(presence, 1, A, connection, 1)


CASES = [
    # before, message, retained, after
    (Standing(), birth(1), LIVE, Presence.ONLINE),
    (Standing(), birth(1), RETAINED, Presence.SUSPECT),
    (Standing(), death(1), RETAINED, Presence.OFFLINE),
    (Standing(), death(1), LIVE, Presence.NEVER),
    (standing(Presence.ONLINE), birth(6), LIVE, Presence.ONLINE),
    (standing(Presence.ONLINE), birth(6, state="asleep"), LIVE, Presence.ASLEEP),
    (standing(Presence.ONLINE), birth(6, state="maintenance"), LIVE, Presence.MAINTENANCE),
    (standing(Presence.OFFLINE), birth(6), LIVE, Presence.ONLINE),
    (standing(Presence.OFFLINE), birth(1), LIVE, Presence.ONLINE),  # its counter was rolled back: live wins
    (standing(Presence.OFFLINE), birth(1, B), LIVE, Presence.ONLINE),
    (standing(Presence.ONLINE), death(5), LIVE, Presence.OFFLINE),
    (standing(Presence.ONLINE), death(4), LIVE, Presence.ONLINE),  # the will of the connection before
    (standing(Presence.ONLINE), death(5, B), LIVE, Presence.ONLINE),
    (standing(Presence.ONLINE), death(6), LIVE, Presence.ONLINE),
    (standing(Presence.SUSPECT), death(5), RETAINED, Presence.OFFLINE),
    (standing(Presence.SUSPECT), death(6), RETAINED, Presence.OFFLINE),  # its birth came while we were away
    (standing(Presence.SUSPECT), death(4), RETAINED, Presence.SUSPECT),
    (standing(Presence.SUSPECT), birth(5), RETAINED, Presence.SUSPECT),
    (standing(Presence.SUSPECT), birth(6), RETAINED, Presence.SUSPECT),
    (standing(Presence.OFFLINE), birth(5), RETAINED, Presence.OFFLINE),  # a broker that kept the older message
    (standing(Presence.OFFLINE), birth(4), RETAINED, Presence.OFFLINE),
    (standing(Presence.OFFLINE), birth(6), RETAINED, Presence.SUSPECT),
    (standing(Presence.OFFLINE), birth(1, B), RETAINED, Presence.SUSPECT),
    (standing(Presence.ONLINE), birth(1, B), RETAINED, Presence.ONLINE),
    (standing(Presence.ONLINE), death(1, B), RETAINED, Presence.ONLINE),
]


@pytest.mark.parametrize(("before", "message", "retained", "after"), CASES)
def test_state_follows_births_and_wills(
    before: Standing, message: Birth | Death, retained: bool, after: Presence
) -> None:
    assert on_state(before, message, 10, retained=retained).presence is after


def test_terminal_of_a_lost_broker_is_suspect_until_it_speaks() -> None:
    suspect = on_broker_lost(standing(Presence.ONLINE), 10)
    assert (suspect.presence, suspect.since_at) == (Presence.SUSPECT, 10)
    heard = on_heard(suspect, 20)
    assert (heard.presence, heard.since_at, heard.heard_at) == (Presence.ONLINE, 20, 20)


@pytest.mark.parametrize("state", ["asleep", "maintenance"])
def test_what_its_birth_says_is_true_again_once_it_is_heard(state: str) -> None:
    born = on_state(Standing(), birth(1, state=state), 10, retained=LIVE)
    assert on_heard(on_broker_lost(born, 20), 30).presence == state
    while_we_were_away = on_state(Standing(), birth(1, state=state), 10, retained=RETAINED)
    assert on_heard(while_we_were_away, 30).presence == state
    assert on_heard(on_broker_lost(on_state(born, birth(1), 15, retained=LIVE), 20), 30).presence is Presence.ONLINE


@pytest.mark.parametrize("presence", [Presence.OFFLINE, Presence.NEVER])
def test_a_lost_broker_says_nothing_of_terminals_that_were_not_there(presence: Presence) -> None:
    assert on_broker_lost(Standing(presence), 10) == Standing(presence)


def test_records_that_waited_in_the_broker_do_not_renew_a_dead_connection() -> None:
    heard = on_heard(standing(Presence.OFFLINE), 20)
    assert (heard.presence, heard.heard_at) == (Presence.OFFLINE, 20)


def test_terminal_that_was_never_born_but_speaks_is_suspect() -> None:
    assert on_heard(Standing(), 20).presence is Presence.SUSPECT


def test_silent_terminal_becomes_suspect() -> None:
    online = on_heard(standing(Presence.ONLINE), 100)
    assert on_time(online, 100 + SILENT_US).presence is Presence.ONLINE
    assert on_time(online, 101 + SILENT_US).presence is Presence.SUSPECT


@pytest.mark.parametrize(("every_s", "silent_s"), [(None, 300), (5.0, 300), (60.0, 300), (3600.0, 7200)])
def test_terminal_may_be_silent_for_two_of_its_own_samples(every_s: float | None, silent_s: int) -> None:
    may_be = silent_us(every_s)
    assert may_be == silent_s * 1_000_000
    online = on_heard(standing(Presence.ONLINE), 100)
    assert on_time(online, 100 + may_be, may_be).presence is Presence.ONLINE
    assert on_time(online, 101 + may_be, may_be).presence is Presence.SUSPECT


def test_time_since_which_it_is_so_does_not_move_while_it_stays_so() -> None:
    first = on_state(Standing(), birth(1), 10, retained=LIVE)
    assert on_state(first, birth(2), 20, retained=LIVE).since_at == 10


messages = st.builds(birth, st.integers(1, 4), st.sampled_from([A, B])) | st.builds(
    death, st.integers(1, 4), st.sampled_from([A, B])
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("state"), messages, st.booleans()),
        st.tuples(st.sampled_from(["heard", "lost", "time"]), st.none(), st.none()),
    ),
    max_size=12,
)


@given(events)
def test_only_a_live_word_of_the_terminal_makes_it_online(
    happened: list[tuple[str, Birth | Death | None, bool | None]],
) -> None:
    now = Standing()
    for at, (what, message, retained) in enumerate(happened, 1):
        before = now
        if what == "state":
            assert message is not None
            now = on_state(now, message, at, retained=bool(retained))
        else:
            now = {"heard": on_heard, "lost": on_broker_lost, "time": on_time}[what](now, at)
        if now.presence in CONNECTED and before.presence not in CONNECTED:
            live_birth = isinstance(message, Birth) and not retained
            assert live_birth or (what == "heard" and before.presence is Presence.SUSPECT)
        if before.presence is Presence.OFFLINE and what == "heard":
            assert now.presence is Presence.OFFLINE


def test_hearing_a_terminal_again_at_once_is_no_news() -> None:
    online = Standing(Presence.ONLINE, 0, heard_at=10_000_000)
    assert is_no_news(online, 14_999_999)
    assert not is_no_news(online, 15_000_000)
    assert not is_no_news(Standing(Presence.SUSPECT, 0, heard_at=10_000_000), 10_000_001)
    assert not is_no_news(Standing(Presence.ONLINE, 0), 1)
