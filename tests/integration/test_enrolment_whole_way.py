"""A terminal's life with real parts: authority made by command, claimed by code, in by certificate, its batches signed and
verified from an export, then revoked: its session cut, its certificate refused, what it sends not taken."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.life import TERMINAL, Life, living
from tests.process import ROOT, wait_until


def verified(file: Path, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firmware_specs", "verify", str(file), "--root", str(root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with living(tmp_path) as life:
        yield life


def test_terminal_is_claimed_signs_what_it_sends_and_is_shut_out_when_it_is_revoked(life: Life) -> None:
    claimed = life.claim()
    assert claimed.returncode == 0, claimed.stderr
    life.start_agent()
    assert wait_until(lambda: life.presence() == "online", 60)
    assert wait_until(lambda: life.stored() >= 2, 60)

    file = life.export()
    root = life.disk / "identity" / "root.pem"
    good = verified(file, root)
    assert (good.returncode, "ok: " in good.stdout) == (0, True), good.stdout + good.stderr
    assert "ok: 0 batches" not in good.stdout
    file.write_text("\n".join(_altered(line) for line in file.read_text().splitlines()) + "\n")
    assert verified(file, root).returncode == 1

    before = life.stored()
    life.api.post(f"/terminals/{TERMINAL}/revoke", reason="it was stolen")
    assert wait_until(lambda: life.presence() == "offline", 60)
    assert wait_until(lambda: "certificate verify failed" in life.broker.process.log(), 60)
    assert life.presence() == "offline"
    assert life.stored() == before
    certificates = life.api.get(f"/terminals/{TERMINAL}/certificates")["items"]
    assert [each["revoked_at"] is not None for each in certificates] == [True]


def _altered(line: str) -> str:
    """A line of the export in which a record tells another story."""
    fields = json.loads(line)
    if "payload" in fields:
        told = base64.b64decode(fields["payload"]).replace(b'"type":"started"', b'"type":"startle"')
        fields["payload"] = base64.b64encode(told).decode()
    return json.dumps(fields)


def test_used_code_claims_nothing(life: Life) -> None:
    code = life.api.post(f"/terminals/{TERMINAL}/claim-code")["code"]
    path = f"{life.cloud.url}/api/v1/enrolment/claims/owner"
    assert httpx.post(path, json={"code": code}).json() == {"terminal": TERMINAL}
    assert life.claim().returncode == 0
    assert httpx.post(path, json={"code": code}).status_code == 404
