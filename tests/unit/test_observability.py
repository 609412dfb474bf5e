"""observability/: its files name only metrics that exist, its dashboard only what its rules and the cloud give."""

import importlib
import json
import re
from typing import Any

import pytest
import yaml

from cloud.metrics import metrics_markdown
from tests.process import ROOT

FOLDER = ROOT / "observability"
PROMETHEUS = FOLDER / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana" / "dashboards" / "roomlink.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
NAME = re.compile(r"\b(?:job:)?roomlink_[a-z0-9_]+(?::[a-z0-9_]+)?")


def documented() -> dict[str, str]:
    """The metrics of docs/metrics.md with their types."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / file).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def given() -> set[str]:
    """All series of ours that may be asked for."""
    series = {rule["record"] for rule in rules("recording.yml")}
    for name, kind in documented().items():
        series |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return series


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_every_metric_is_documented() -> None:
    importlib.import_module("cloud.__main__")  # with all modules that have metrics
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == metrics_markdown(), (
        "run: python -m cloud metrics > docs/metrics.md"
    )


def test_no_metric_grows_with_the_fleet() -> None:
    names = re.findall(r"by ((?:`\w+`(?:, | and )?)+)", metrics_markdown())
    assert set(re.findall(r"`(\w+)`", " ".join(names))) == {
        "method",
        "route",
        "status",
        "became",
        "kind",
        "mark",
        "severity",
        "state",
        "outcome",
    }


@pytest.mark.parametrize("file", ["recording.yml", "alerts.yml"])
def test_rules_ask_for_metrics_that_exist(file: str) -> None:
    asked = {name for rule in rules(file) for name in NAME.findall(rule["expr"])}
    assert asked
    assert asked <= given()


def test_dashboard_asks_for_metrics_that_exist_and_shows_every_one() -> None:
    shown = {name for expression in panel_expressions() for name in NAME.findall(expression)}
    assert shown <= given()
    through_rules = {
        name for rule in rules("recording.yml") if rule["record"] in shown for name in NAME.findall(rule["expr"])
    }
    elsewhere = {name for rule in rules("alerts.yml") for name in NAME.findall(rule["expr"])}
    seen = shown | through_rules | elsewhere
    for name, kind in documented().items():
        wanted = f"{name}_bucket" if kind == "histogram" else name
        assert wanted in seen, name


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_grafana_finds_prometheus_and_the_dashboard_where_compose_puts_them() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    sources = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {sources[0]["uid"]}
    assert sources[0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/roomlink.yml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    assert f"./observability/grafana/dashboards:{folder}:ro" in services["grafana"]["volumes"]
    scrape = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scrape["static_configs"][0]["targets"] == [f"cloud:{services['cloud']['environment']['ROOMLINK_PORT']}"]
    token = scrape["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert services["prometheus"]["secrets"] == [token]


def test_every_alert_says_what_to_do_and_is_tried() -> None:
    tried = (PROMETHEUS / "alerts_test.yml").read_text("utf-8")
    for rule in rules("alerts.yml"):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "action"}
        assert tried.count(rule["alert"]) >= 2, rule["alert"]
