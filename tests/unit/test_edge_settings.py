"""The agent's settings: from a file and the environment, and one sentence for what is wrong."""

from pathlib import Path

import pytest

from edge.agent import address_of, limits_of
from edge.errors import SettingsError
from edge.settings import FleetSettings, Settings, described, load_settings

LEAST = """
terminal = "kiosk-302-a"
data_dir = "data"
password = "secret"
[broker]
host = "broker.example.org"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kiosk.toml"


def load(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load_settings(file, Settings)


def test_least_settings_are_enough(file: Path) -> None:
    settings = load(file, LEAST)
    assert (settings.broker.port, settings.profile, settings.kiosk) == (1883, "kiosk", None)
    assert settings.outbox_file == Path("data/outbox.db")
    assert address_of(settings, settings.read_password()).password == "secret"


def test_environment_comes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINK_EDGE_BROKER__PORT", "1999")
    monkeypatch.setenv("ROOMLINK_EDGE_CLOCK_OFFSET_FILE", "offset")
    settings = load(file, LEAST)
    assert (settings.broker.host, settings.broker.port) == ("broker.example.org", 1999)
    assert settings.clock_offset_file == Path("offset")


def test_password_may_lie_in_a_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    text = LEAST.replace('password = "secret"', f'password_file = "{tmp_path}/password"')
    assert load(file, text).read_password() == "from the file"


def test_password_is_not_shown(file: Path) -> None:
    assert "secret" not in repr(load(file, LEAST))


def test_outbox_limits_follow_the_settings(file: Path) -> None:
    limits = limits_of(load(file, LEAST + "[outbox]\nmax_mb = 8\nkeep_days = 2\n"))
    assert (limits.max_bytes, limits.reserved_bytes, limits.keep_us) == (8 << 20, 4 << 20, 2 * 86_400_000_000)
    assert limits_of(load(file, LEAST + "[outbox]\nmax_mb = 8\nreserved_mb = 1\n")).reserved_bytes == 1 << 20


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('host = "broker.example.org"', ""), "Setting broker.host is missing. Example: broker.host = '127.0.0.1'"),
        (("[broker]\nhost", "[other]\nhost"), "Setting broker is missing. Example: broker.host = "),
        (('terminal = "kiosk-302-a"', 'terminal = "Kiosk 302"'), "Setting terminal is wrong: "),
        (("[broker]", "[broker]\nport = 70000"), "Setting broker.port is wrong: "),
        (("[broker]", "[broker]\nprot = 1"), "Setting broker.prot is not known. Known are: terminal, "),
        (('"secret"', '"secret'), "is not TOML"),
    ],
)
def test_wrong_setting_is_one_sentence_with_its_name(change: tuple[str, str], sentence: str, file: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        load(file, LEAST.replace(*change))
    assert sentence in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_missing_file_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(file, Settings)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("", "password_file is missing"), ('password_file = "nothing-here"', "nothing-here cannot be read")],
)
def test_password_that_cannot_be_had_is_named(line: str, sentence: str, file: Path) -> None:
    settings = load(file, LEAST.replace('password = "secret"', line))
    with pytest.raises(SettingsError, match=sentence):
        settings.read_password()


@pytest.mark.parametrize("model", [Settings, FleetSettings])
def test_every_setting_has_a_meaning_and_an_example(model: type[Settings] | type[FleetSettings]) -> None:
    for name, example, meaning in described(model):
        assert meaning, name
        assert example not in {"", "''"}, name
