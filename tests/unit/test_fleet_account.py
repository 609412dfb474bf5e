"""The account of a fleet under test sees what is lost, counted twice, and made by nobody."""

from tests.fleet.account import compare

MADE = [("kiosk-1", "a"), ("kiosk-2", "b"), ("kiosk-1", "c")]


def test_everything_stored_once_is_well() -> None:
    account = compare(MADE, reversed(MADE))
    assert (account.made, account.stored) == (3, 3)
    assert (account.lost, account.duplicates, account.strange) == (0, 0, 0)


def test_what_is_missing_is_lost() -> None:
    assert compare(MADE, MADE[:2]).lost == 1


def test_what_is_there_twice_is_a_duplicate() -> None:
    assert compare(MADE, [*MADE, MADE[0]]).duplicates == 1


def test_what_another_kiosk_made_is_lost_and_strange() -> None:
    account = compare(MADE, [*MADE[:2], ("kiosk-2", "c")])
    assert (account.lost, account.strange) == (1, 1)
