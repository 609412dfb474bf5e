"""The agent's settings: from a file and the environment, and one sentence for what is wrong."""

from pathlib import Path

import pytest

from edge.agent import address_of, limits_of
from edge.errors import SettingsError, Unclaimed
from edge.settings import Broker, FleetSettings, Settings, described, load_settings

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


CLAIM = """{"terminal":"kiosk-7","profile":"kiosk","broker":{"host":"claimed.example.org","port":8883},
"cloud_url":"https://roomlink.example.org","password":"of the claim"}"""


def put_claim(folder: Path, text: str = CLAIM) -> None:
    (folder / "identity").mkdir(parents=True)
    (folder / "identity" / "claim.json").write_text(text)


def test_claimed_terminal_needs_a_data_folder_only(file: Path, tmp_path: Path) -> None:
    put_claim(tmp_path / "data")
    for settings in (
        load(file, f'data_dir = "{tmp_path}/data"'),
        load_settings(None, Settings, data_dir=tmp_path / "data"),
    ):
        assert (settings.terminal, settings.profile, settings.has_certificate) == ("kiosk-7", "kiosk", True)
        assert settings.broker == Broker(host="claimed.example.org", port=8883, tls=True)
        assert (settings.cloud_url, settings.read_password()) == ("https://roomlink.example.org", "of the claim")


def test_what_the_file_says_comes_before_the_claim(file: Path, tmp_path: Path) -> None:
    put_claim(tmp_path / "data")
    (tmp_path / "password").write_text("of the file")
    settings = load(
        file,
        f'terminal = "kiosk-302-a"\ndata_dir = "{tmp_path}/data"\npassword_file = "{tmp_path}/password"\n'
        'cloud_url = "https://other.example.org"\n[broker]\nhost = "other.example.org"\n',
    )
    assert (settings.terminal, settings.broker.host, settings.broker.port) == ("kiosk-302-a", "other.example.org", 8883)
    assert (settings.cloud_url, settings.read_password()) == ("https://other.example.org", "of the file")


def test_environment_names_the_data_folder_of_a_claimed_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_claim(tmp_path / "data")
    monkeypatch.setenv("ROOMLINK_EDGE_DATA_DIR", str(tmp_path / "data"))
    assert load_settings(None, Settings).terminal == "kiosk-7"


def test_nobodys_terminal_is_told_how_to_be_claimed(file: Path, tmp_path: Path) -> None:
    with pytest.raises(
        Unclaimed, match=r"is not set up\. Claim it: python -m edge claim URL CODE --data-dir"
    ) as nobody:
        load(file, f'data_dir = "{tmp_path}/data"\n[kiosk]\npage_port = 8481\n')
    assert (nobody.value.folder, nobody.value.kiosk) == (tmp_path / "data", {"page_port": 8481})


def test_damaged_claim_is_named_where_something_is_missing_for_it(file: Path, tmp_path: Path) -> None:
    put_claim(tmp_path / "data", CLAIM[:40])
    with pytest.raises(Unclaimed, match=r"claim\.json is damaged\. Claim this terminal again"):
        load_settings(None, Settings, data_dir=tmp_path / "data")
    with pytest.raises(Unclaimed, match=r"claim\.json is damaged"):
        load(file, f'terminal = "kiosk-302-a"\ndata_dir = "{tmp_path}/data"\n')
    assert load(file, LEAST.replace('"data"', f'"{tmp_path}/data"')).terminal == "kiosk-302-a"


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
