"""Which terminals make one alarm: table of what falls when, and properties over random fleets. Pure."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cloud.alarms.grouping import WITHIN_US, Due, Grouped, Open, Reach, group, totals_of
from cloud.alarms.rules import SECOND_US, Place


def fleet(rooms: int, each: int, organisations: int = 1) -> dict[str, Place]:
    """Terminals `t-<room>-<number>`; rooms are dealt out to organisations in turn."""
    return {
        f"t-{room}-{number}": Place(f"t-{room}-{number}", "kiosk", f"rm_{room}", f"org_{room % organisations}", "/")
        for room in range(rooms)
        for number in range(each)
    }


def grouped(
    places: dict[str, Place], due: Sequence[Due], near: Sequence[Due] = (), open_: Sequence[Open] = ()
) -> Grouped:
    return group(due, near, open_, places, totals_of(places.values(), ()))


def fell(*terminals: str, at_s: int = 0, alarm_id: str = "") -> list[Due]:
    return [Due(terminal, at_s * SECOND_US, None, alarm_id) for terminal in terminals]


def shape(made: Grouped) -> list[tuple[str, str, int]]:
    return sorted((str(each.reach), each.place_id, len(each.members)) for each in made.raised)


def test_one_terminal_is_its_own_alarm() -> None:
    assert shape(grouped(fleet(20, 2), fell("t-3-0"))) == [("terminal", "t-3-0", 1)]


def test_a_thousand_terminals_that_fall_together_are_one() -> None:
    places = fleet(500, 2)
    due = [Due(name, index * SECOND_US // 20) for index, name in enumerate(places)]
    assert shape(grouped(places, due)) == [("all", "", 1000)]


def test_a_room_is_one_and_a_terminal_elsewhere_another() -> None:
    due = fell("t-3-0", "t-3-1") + fell("t-7-0", at_s=5)
    assert shape(grouped(fleet(20, 2), due)) == [("room", "rm_3", 2), ("terminal", "t-7-0", 1)]


def test_half_a_room_is_one_and_less_is_not() -> None:
    places = fleet(20, 4)
    assert shape(grouped(places, fell("t-3-0", "t-3-1"))) == [("room", "rm_3", 2)]
    places = fleet(20, 5)
    assert [reach for reach, _, _ in shape(grouped(places, fell("t-3-0", "t-3-1")))] == ["terminal", "terminal"]


def test_an_organisation_is_one() -> None:
    places = fleet(20, 2, organisations=4)
    due = fell(*(name for name, place in places.items() if place.organisation_id == "org_2"))
    assert shape(grouped(places, due)) == [("organisation", "org_2", 10)]


def test_those_that_fell_hours_apart_are_not_one() -> None:
    due = fell("t-3-0") + fell("t-3-1", at_s=7200)
    assert [reach for reach, _, _ in shape(grouped(fleet(20, 2), due))] == ["terminal", "terminal"]


def test_one_whose_duration_is_not_over_yet_counts_for_the_group_and_joins_later() -> None:
    places = fleet(20, 2)
    made = grouped(places, fell("t-3-0"), fell("t-3-1", at_s=90))
    assert shape(made) == [("room", "rm_3", 1)]
    (raised,) = made.raised
    open_ = [Open("alm_1", raised.reach, raised.place_id, raised.since_at, raised.until_at)]
    later = grouped(places, fell("t-3-1", at_s=90), (), open_)
    assert (later.raised, [(each.alarm_id, len(each.members)) for each in later.joined]) == ([], [("alm_1", 1)])


def test_a_group_takes_the_place_of_alarms_that_were_there() -> None:
    made = grouped(fleet(20, 2), fell("t-3-1", at_s=100), fell("t-3-0", alarm_id="alm_1"))
    assert shape(made) == [("room", "rm_3", 2)]
    assert [each.alarm_id for each in made.raised[0].members] == ["alm_1", ""]


def test_one_that_falls_long_after_a_group_does_not_join_it() -> None:
    open_ = [Open("alm_1", Reach.ROOM, "rm_3", 0, 60 * SECOND_US)]
    late_s = 61 + WITHIN_US // SECOND_US
    assert grouped(fleet(20, 4), fell("t-3-3", at_s=late_s), (), open_).joined == []


def test_terminals_that_were_never_heard_do_not_keep_a_room_from_being_one() -> None:
    places = fleet(20, 6)
    never = [f"t-3-{number}" for number in range(2, 6)]
    made = group(fell("t-3-0", "t-3-1"), (), (), places, totals_of(places.values(), never))
    assert shape(made) == [("room", "rm_3", 2)]


def test_the_cloud_itself_is_in_no_group() -> None:
    assert shape(grouped(fleet(1, 2), [Due("", 0)])) == [("cloud", "", 1)]


@given(st.data())
def test_everything_due_is_in_exactly_one_alarm_and_the_order_does_not_matter(data: st.DataObject) -> None:
    places = fleet(data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)))
    names = data.draw(st.lists(st.sampled_from(sorted(places)), unique=True))
    times = [data.draw(st.integers(0, 900)) for _ in names]
    cut = data.draw(st.integers(0, len(names)))
    due = [Due(name, at * SECOND_US) for name, at in zip(names[:cut], times, strict=False)]
    near = [
        Due(name, at * SECOND_US, None, data.draw(st.sampled_from(["", f"alm_{name}"])))
        for name, at in zip(names[cut:], times[cut:], strict=True)
    ]
    made = grouped(places, due, near)
    members = [each.terminal for raising in made.raised for each in raising.members]
    assert len(members) == len(set(members))
    assert {each.terminal for each in due} <= set(members)
    assert set(members) - {each.terminal for each in due} <= {each.terminal for each in near if each.alarm_id}
    again = grouped(places, data.draw(st.permutations(due)), data.draw(st.permutations(near)))
    assert again.raised == made.raised
