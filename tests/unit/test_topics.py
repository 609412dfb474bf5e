"""Topics are spelled and read in one place, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs.errors import TopicError
from firmware_specs.topics import RESERVED_IDS, Channel, Topic, check_terminal_id, downward, every, parse, topic

terminal_ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True).filter(
    lambda text: text not in RESERVED_IDS
)


@given(terminal_ids, st.sampled_from(Channel))
def test_what_is_spelled_is_read_back(terminal: str, channel: Channel) -> None:
    assert parse(topic(terminal, channel)) == Topic(terminal, channel)


@given(st.text(max_size=80))
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(TopicError):
        parse(text)


@pytest.mark.parametrize(
    "terminal",
    ["", "-", "a-", "-a", "Kiosk", "kiosk_1", "kiosk/1", "kiosk+", "#", "k" * 41, "kiosk 1", "kïosk", "kiosk\n"],
)
def test_terminal_id_that_could_be_misread_is_refused(terminal: str) -> None:
    with pytest.raises(TopicError, match="such as kiosk-302-a"):
        check_terminal_id(terminal)


@pytest.mark.parametrize("terminal", sorted(RESERVED_IDS))
def test_reserved_id_is_refused(terminal: str) -> None:
    with pytest.raises(TopicError, match="reserved"):
        topic(terminal, Channel.RECORDS)


def test_refusal_names_what_is_wrong_with_a_topic() -> None:
    with pytest.raises(TopicError, match="does not begin with roomlink/v1"):
        parse("roomlink/v2/kiosk-1/up/records")
    with pytest.raises(TopicError, match="ends in no channel"):
        parse("roomlink/v1/kiosk-1/up/records/more")


def test_subscriptions_of_cloud_and_terminal() -> None:
    assert every(Channel.STATE) == "roomlink/v1/+/up/state"
    assert downward("kiosk-1") == "roomlink/v1/kiosk-1/down/#"
