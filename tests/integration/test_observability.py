"""observability/ with the real programs: promtool checks the files, and a real Prometheus asks a real cloud by them."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cloud import CloudServer
from tests.integration.conftest import Start
from tests.process import HOST, ROOT, Process, find_program, free_port, wait_until
from tests.town import TERMINALS

FOLDER = ROOT / "observability"
FILES = FOLDER / "prometheus"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "roomlink.json").read_text("utf-8"))


def promtool(*arguments: str, folder: Path = FILES) -> subprocess.CompletedProcess[str]:
    program = find_program("promtool", "prometheus")
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "recording.yml", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=["config", "rules", "histories"],
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_came_too_early_would_be_found(tmp_path: Path) -> None:
    for file in FILES.iterdir():
        (tmp_path / file.name).write_text(file.read_text("utf-8").replace("< 7 * 86400", "< 70 * 86400"))
    assert promtool("test", "rules", "alerts_test.yml", folder=tmp_path).returncode != 0


class Prometheus:
    """A real one, with the files as they are but for the cloud's address, the token's place and a shorter interval."""

    def __init__(self, folder: Path, target: str, token: str) -> None:
        for file in FILES.iterdir():
            (folder / file.name).write_text(file.read_text("utf-8"))
        (folder / "token").write_text(token)
        config = folder / "prometheus.yml"
        text = config.read_text("utf-8").replace("cloud:8080", target)
        text = text.replace("/run/secrets/metrics_token", str(folder / "token"))
        config.write_text(text.replace("interval: 15s", "interval: 1s").replace("timeout: 10s", "timeout: 1s"))
        self.port = free_port()
        self.process = Process(folder / "prometheus.log")
        self.process.spawn(
            [
                str(find_program("prometheus", "prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={HOST}:{self.port}",
            ],
            ready=self._ready,
        )

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://{HOST}:{self.port}/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: label sets with their values."""
        answer = httpx.get(f"http://{HOST}:{self.port}/api/v1/query", params={"query": expression, "time": time.time()})
        assert answer.status_code == 200, answer.text
        return [(each["metric"], float(each["value"][1])) for each in answer.json()["data"]["result"]]


def scraper_token(cloud: CloudServer) -> str:
    cloud.run("user", "add", "scraper", "--role", "viewer")
    cloud.run("token", "add", "scraper", "--name", "prometheus", "--role", "viewer")
    return cloud.process.log_path.with_name("command.log").read_text().strip().splitlines()[-1]


@pytest.fixture
def watched(start: Start, tmp_path: Path) -> Iterator[tuple[CloudServer, Prometheus]]:
    """A cloud with two terminals that were never heard, and the Prometheus that watches it."""
    cloud = start(command="serve")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    prometheus = Prometheus(folder, f"{HOST}:{cloud.port}", scraper_token(cloud))
    yield cloud, prometheus
    prometheus.process.kill()


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_prometheus_reads_the_cloud_by_these_files(watched: tuple[CloudServer, Prometheus]) -> None:
    cloud, prometheus = watched
    assert wait_until(lambda: prometheus.ask('up{job="roomlink"} == 1') != [], 30)
    assert prometheus.ask('roomlink_terminals{state="never"}')[0][1] == len(TERMINALS)
    assert prometheus.ask("roomlink_broker_connected")[0][1] == 1
    cloud.stop()
    assert wait_until(lambda: prometheus.ask('up{job="roomlink"} == 0') != [], 30)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_every_panel_of_the_dashboard_can_be_asked_and_those_about_now_have_an_answer(
    watched: tuple[CloudServer, Prometheus],
) -> None:
    _, prometheus = watched
    assert wait_until(lambda: prometheus.ask('up{job="roomlink"} == 1') != [], 30)
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found = prometheus.ask(target["expr"].replace("$job", "roomlink"))
            about_now = "[" not in target["expr"] and "job:" not in target["expr"]
            assert found or not about_now, (panel["title"], target["expr"])
