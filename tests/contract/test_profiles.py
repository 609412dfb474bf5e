"""The profiles of the kinds of terminal are whole, and name what the cloud can show."""

from pathlib import Path

import pytest

from cloud.timeseries.port import Measurement
from cloud.timeseries.validity import NUMERIC_FIELDS
from firmware_specs import profiles
from firmware_specs.messages import FACT_TYPES, Desired, Health
from firmware_specs.profile_settings import NumberSetting, defaults, misfits
from firmware_specs.vectors import samples


@pytest.mark.parametrize("name", profiles.NAMES)
def test_profile_is_whole_and_called_what_its_file_is_called(name: str) -> None:
    assert profiles.load(name).name == name


def test_every_profile_file_has_a_name() -> None:
    kept = {path.stem for path in Path(profiles.__file__).parent.glob("*.yaml")}
    assert kept == set(profiles.NAMES)


@pytest.mark.parametrize("name", profiles.NAMES)
def test_telemetry_fits_a_health_record_and_has_a_column_in_the_time_series(name: str) -> None:
    telemetry = profiles.load(name).telemetry
    sample = Health(**samples.base(1), metrics={metric: about.high for metric, about in telemetry.items()})
    assert sample.metrics.keys() == telemetry.keys() <= set(NUMERIC_FIELDS[Measurement.HEALTH])
    assert all(about.low < about.high for about in telemetry.values())


@pytest.mark.parametrize("name", profiles.NAMES)
def test_what_is_never_dropped_is_among_the_records_and_health_is_not(name: str) -> None:
    profile = profiles.load(name)
    assert set(profile.never_dropped) <= set(profile.records)
    assert "health" not in profile.never_dropped
    assert FACT_TYPES & set(profile.records) <= set(profile.never_dropped)
    assert profile.limits.reserved_bytes < profile.limits.outbox_bytes


@pytest.mark.parametrize("name", profiles.NAMES)
def test_settings_are_fields_of_a_twin_with_the_same_defaults_and_ranges(name: str) -> None:
    settings = profiles.load(name).settings
    assert misfits(settings, defaults(settings)) == []
    untouched = Desired(version=(1, 1))
    assert {each: getattr(untouched, each) for each in settings} == defaults(settings)
    for each, about in settings.items():
        if isinstance(about, NumberSetting):
            for value in (about.low, about.high):
                assert getattr(Desired.model_validate({"version": (1, 1), each: value}), each) == value
            for value in (about.low - 0.5, about.high + 0.5, float("nan")):
                with pytest.raises(ValueError, match=each):
                    Desired.model_validate({"version": (1, 1), each: value})


def test_what_does_not_fit_is_said_with_what_is_allowed() -> None:
    given = {"language": "fr", "health_every_s": 1, "resend_timeout_s": "20", "volume": 3}
    said = {each.name: each.says for each in misfits(profiles.load("kiosk").settings, given)}
    assert said == {
        "language": "must be one of zh, en, and is fr",
        "health_every_s": "must be 5 to 86400 s, and is 1",
        "resend_timeout_s": "must be 1 to 600 s, and is 20",
        "volume": "there is no such setting; there are health_every_s, language, resend_timeout_s",
    }


@pytest.mark.parametrize(("wrong", "says"), [("default: 60.0", "default: 3.0"), ("default: zh", "default: fr")])
def test_default_that_is_not_allowed_is_refused(wrong: str, says: str) -> None:
    text = (Path(profiles.__file__).parent / "tv.yaml").read_text("utf-8")
    with pytest.raises(ValueError, match="the default is"):
        profiles.read(text.replace(wrong, says))


def test_a_kiosk_makes_every_kind_of_fact_and_never_drops_one() -> None:
    kiosk = profiles.load("kiosk")
    assert set(kiosk.records) >= FACT_TYPES
    assert set(kiosk.never_dropped) == FACT_TYPES | {"started"}


def test_unknown_profile_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="kiosk, tv"):
        profiles.load("toaster")


def test_misspelt_key_is_refused() -> None:
    text = (Path(profiles.__file__).parent / "tv.yaml").read_text("utf-8")
    with pytest.raises(ValueError, match="capabilites"):
        profiles.read(text.replace("capabilities", "capabilites"))
