"""Which terminals a list shows: an address says all of it, and nothing that an address may say breaks the list."""

from hypothesis import given
from hypothesis import strategies as st

from cloud.terminals.service import Kind
from cloud.terminals.versions import order_of
from cloud.terminals.wanted import Presence, Service, Sort, Wanted, known, query_of, read

IDS = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")


@st.composite
def wanted(draw: st.DrawFn) -> Wanted:
    presence = draw(st.sampled_from([None, *Presence]))
    return Wanted(
        presence=presence,
        service=Service.IN if presence else draw(st.sampled_from([None, *Service])),
        kind=draw(st.sampled_from([None, *Kind])),
        profile=draw(st.sampled_from([None, "kiosk", "tv_stick"])),
        version=draw(st.sampled_from([None, "1.4.2", "v 2 & more?"])),
        organisation_id=draw(st.none() | IDS.map("org_{}".format)),
        room_id=draw(st.none() | IDS.map("rm_{}".format)),
        alarm=draw(st.booleans()),
        flapping=draw(st.booleans()),
        search=draw(st.sampled_from(["", "302", "梧桐 &=?"])),
        sort=draw(st.sampled_from(Sort)),
        descending=draw(st.booleans()),
    )


@given(wanted())
def test_an_address_says_what_was_asked_for(asked: Wanted) -> None:
    assert read(query_of(asked)) == asked
    assert Wanted(**asked.said()) == asked


@given(
    st.dictionaries(st.sampled_from([*Wanted.model_fields, "room", "organisation", "down", "cursor", "x"]), st.text())
)
def test_what_nobody_knows_is_passed_over(query: dict[str, str]) -> None:
    assert isinstance(read(query), Wanted)


def test_what_nothing_can_be_called_by_is_passed_over() -> None:
    assert read({"version": "1.4\0", "search": "302\0", "kind": "tv"}) == Wanted(kind=Kind.TV)


def test_of_what_was_kept_once_all_that_is_known_today_is_asked_for() -> None:
    assert known({"kind": "tv", "version": "1\x1b", "sort": "colour", "forgotten": 1}) == Wanted(kind=Kind.TV)


def test_a_presence_is_asked_of_terminals_in_service() -> None:
    assert read({"presence": "offline"}) == Wanted(presence=Presence.OFFLINE, service=Service.IN)
    assert query_of(read({"presence": "offline"})) == {"presence": "offline"}
    assert read({"presence": "nonsense", "kind": "tv"}) == Wanted(kind=Kind.TV)


def test_an_order_alone_filters_nothing() -> None:
    assert not Wanted(sort=Sort.HEARD, descending=True).is_filtered
    assert Wanted(flapping=True).is_filtered


def test_the_same_head_again_turns_the_order_round() -> None:
    once = Wanted().sorted_by(Sort.ROOM)
    assert (once.sort, once.descending) == (Sort.ROOM, False)
    assert once.sorted_by(Sort.ROOM).descending
    assert Wanted().sorted_by(Sort.WAITING).descending
    assert not once.sorted_by(Sort.ROOM).sorted_by(Sort.ID).descending


def test_versions_are_ordered_by_their_numbers() -> None:
    given_order = ["1.10.0", "1.9", "1.9.3", "1.9.3-rc1", "2.0"]
    assert sorted(given_order, key=order_of) == ["1.9", "1.9.3", "1.9.3-rc1", "1.10.0", "2.0"]
