"""A machine that is no terminal yet, in a real Chromium: it says what to run, and is a kiosk once that was run."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from playwright.sync_api import Browser, expect

from edge.clock import Clock
from edge.errors import Unclaimed
from edge.kiosk.screen import Screen
from edge.kiosk.unclaimed import snapshot
from edge.settings import KioskSettings, Settings, load_settings
from firmware_specs import signing
from tests.cloud_behind_broker import CloudBehindBroker
from tests.e2e.chromium import axe_faults, layout_faults
from tests.enrolment_double import CODE, TERMINAL, EnrolmentDouble, Pki
from tests.process import Process, free_port, wait_until
from tests.tls_broker import TlsBroker

PYTHON = "python -m edge claim URL CODE"
SIZES = {"portrait": (1080, 1920), "landscape": (1920, 1080)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("how", ["--data-dir /var/lib/roomlink", "--config /home/kiosk/" + "long-" * 12 + "name.toml"])
def test_screen_says_what_to_run_and_fits(how: str, language: str, size: str, browser: Browser) -> None:
    screen = Screen(0, lambda _: None)
    screen.start()
    page = browser.new_page(viewport={"width": SIZES[size][0], "height": SIZES[size][1]})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    try:
        kiosk = KioskSettings.model_validate({"language": language})
        screen.show(snapshot(f"{PYTHON} {how}", Clock(), kiosk))
        page.goto(f"http://127.0.0.1:{screen.port}/")
        expect(page.locator("h1")).to_contain_text("本机尚未认领")
        expect(page.locator("h1")).to_contain_text("This kiosk is not set up yet")
        expect(page.locator("code")).to_have_text(f"{PYTHON} {how}")
        assert layout_faults(page, text_px=30, touch_px=120, apart_px=24, lowest_px=600) == []
        assert axe_faults(page, enhanced=True) == []
        assert complaints == []
    finally:
        page.close()
        screen.stop()


def start_agent(folder: Path, config: Path) -> Process:
    agent = Process(folder / "agent.log")
    command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
    agent.spawn(command, ready=lambda: "Waiting for that" in agent.log())
    return agent


def test_machine_becomes_a_terminal_by_the_command_on_its_screen(browser: Browser, tmp_path: Path) -> None:
    """Three processes: the agent that waits, the command that claims, the broker that knows certificates only."""
    pki, port, data_dir = Pki(tmp_path / "pki"), free_port(), tmp_path / "data"
    config = tmp_path / "kiosk.toml"
    config.write_text(f'data_dir = "{data_dir}"\nclock_trusted = true\n[kiosk]\npage_port = {port}\n')
    agent = start_agent(tmp_path, config)
    page = browser.new_page(viewport={"width": 1080, "height": 1920})
    try:
        page.goto(f"http://127.0.0.1:{port}/")
        shown = page.locator("code").inner_text()
        assert shown == f"{PYTHON} --config {config}"
        with (
            TlsBroker(tmp_path / "broker", pki, pki.server_files("broker", datetime.now(UTC))) as broker,
            EnrolmentDouble(pki, broker_port=broker.port, desired={"v": 1, "version": [1, 1]}) as cloud,
            CloudBehindBroker(broker) as behind,
        ):
            typed = shown.replace("URL", cloud.url).replace("CODE", CODE).split()[1:]
            Process(tmp_path / "claim.log").run([sys.executable, *typed, "--ca-file", str(pki.root_file)])
            expect(page.locator("h1")).not_to_contain_text("本机尚未认领", timeout=20_000)
            expect(page.locator("h1")).to_contain_text(re.compile("请"), timeout=20_000)
            assert wait_until(lambda: any(state.event == "birth" for state in behind.states))
            assert wait_until(lambda: any(b'"count":0' not in payload for payload in behind.double.payloads))
            key = cloud.issued[0].public_key()
            assert isinstance(key, EllipticCurvePublicKey)
            for payload in behind.double.payloads:
                assert signing.verify(TERMINAL, payload.partition(b"\n")[0], {signing.key_id(key): key})
        assert "files-1" not in agent.log()
    finally:
        page.close()
        agent.kill()
    assert json.loads((data_dir / "identity" / "claim.json").read_text())["terminal"] == TERMINAL


def test_agent_that_waits_ends_when_it_is_told_to(tmp_path: Path) -> None:
    config = tmp_path / "kiosk.toml"
    config.write_text(f'data_dir = "{tmp_path}/data"\n')
    agent = start_agent(tmp_path, config)
    with pytest.raises(Unclaimed):
        load_settings(config, Settings)
    assert agent.stop() == 0
