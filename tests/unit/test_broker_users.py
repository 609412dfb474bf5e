"""What the cloud writes into the broker's password file, and whose lines it leaves alone."""

from pathlib import Path

from pydantic import SecretStr

from broker_config.passwords import hash_password, is_password, read_password_file, write_password_file
from cloud.settings import Settings
from cloud.terminals.broker_users import write_users as write

CLOUD = "roomlink-cloud"


def settings(password: str | None) -> Settings:
    return Settings(mqtt_password=None if password is None else SecretStr(password))


def test_the_clouds_own_line_follows_its_password(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    write(path, settings("first-password"), {})
    first = read_password_file(path)[CLOUD]
    write(path, settings("first-password"), {})
    assert read_password_file(path)[CLOUD] == first
    write(path, settings("second-password"), {})
    assert is_password("second-password", read_password_file(path)[CLOUD])


def test_the_clouds_line_stays_where_its_password_is_not_set(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    write_password_file(path, {CLOUD: hash_password("by hand")})
    write(path, settings(None), {"kiosk-1": hash_password("one")})
    assert is_password("by hand", read_password_file(path)[CLOUD])


def test_a_terminal_that_the_ledger_forgot_loses_its_line_and_an_operators_own_user_does_not(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    write_password_file(path, {"watcher": hash_password("by hand")})
    one, two = hash_password("one"), hash_password("two")
    write(path, settings(None), {"kiosk-1": one, "kiosk-2": two})
    write(path, settings(None), {"kiosk-1": one})
    assert read_password_file(path).keys() == {"watcher", "kiosk-1"}
    write(path, settings(None), {"kiosk-1": one, "kiosk-2": two})
    assert read_password_file(path)["kiosk-2"] == two


def test_a_disabled_terminal_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    write(path, settings(None), {"kiosk-1": hash_password("one")})
    write(path, settings(None), {"kiosk-1": None})
    assert read_password_file(path) == {}


def test_other_hashes_are_no_password_of_ours() -> None:
    for hashed in ("$6$salt$hash", "$7$x$y$z", "$7$100$7sMR5Mb/fZB803Sv$AAAA", "nothing"):
        assert not is_password("nothing", hashed)
