"""The smoke test's own judgement: it must be able to say no."""

from typing import Any

from demo.smoke import judge

SHOWN = ["mem_one", "mem_two", "mem_three"]


def rows() -> list[dict[str, Any]]:
    """What the API gives when all went well; other records lie between the check-ins."""
    return [
        {"number": number, "member_id": member, "record_id": f"record-{number}", "outcome": "accepted"}
        for number, member in zip((3, 4, 7), SHOWN, strict=True)
    ]


def test_all_linked_once_and_in_order_is_ok() -> None:
    assert judge(SHOWN, rows()) == {
        "ok": True,
        "checkins": 3,
        "linked": 3,
        "lost": 0,
        "duplicates": 0,
        "in_order": True,
    }


def test_a_missing_check_in_is_lost() -> None:
    result = judge(SHOWN, rows()[:2])
    assert not result["ok"]
    assert result["lost"] == 1


def test_a_record_that_stands_twice_is_a_duplicate() -> None:
    result = judge(SHOWN, [*rows(), rows()[0]])
    assert not result["ok"]
    assert result["duplicates"] == 1


def test_a_check_in_without_a_member_is_not_linked() -> None:
    found = rows()
    found[1]["member_id"] = None
    result = judge(SHOWN, found)
    assert not result["ok"]
    assert result["linked"] == 2


def test_numbers_out_of_the_order_of_showing_are_seen() -> None:
    found = rows()
    found[0]["number"], found[1]["number"] = found[1]["number"], found[0]["number"]
    result = judge(SHOWN, found)
    assert not result["ok"]
    assert not result["in_order"]
