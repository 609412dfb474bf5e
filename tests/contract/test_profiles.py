"""The profiles of the kinds of terminal are whole, and name what the cloud can show."""

from pathlib import Path

import pytest

from cloud.timeseries.port import Measurement
from cloud.timeseries.validity import NUMERIC_FIELDS
from firmware_specs import profiles
from firmware_specs.messages import FACT_TYPES, Health
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
