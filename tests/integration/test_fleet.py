"""`make fleet` at a size that measures nothing: twenty terminals by mutual TLS, a third cut off, and every check-in counted."""

import json
import subprocess
import sys
from pathlib import Path

from tests.process import ROOT

WITHIN_S = 240.0
"""Of a machine that is busy with other things; alone it takes half a minute."""
SMALL = "--terminals 20 --claimed 2 --members 5 --rate 10 --health 5 --steady 2 --cut 6 --keepalive 2"


def test_fleet_is_counted_to_the_last_check_in_and_comes_back_from_a_cut(tmp_path: Path) -> None:
    file = tmp_path / "fleet.json"
    command = [sys.executable, "-m", "tests.fleet", *SMALL.split(), "--to", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(file.read_text())
    assert json.loads(ended.stdout.splitlines()[-1]) == figures
    assert (figures["connected"], figures["cut_off"]) == (20, 7)
    assert (figures["lost"], figures["duplicates"], figures["strange"]) == (0, 0, 0)
    assert figures["made"] == figures["stored"] > 50
    assert figures["reconnect_curve"][-1][1] == 20
    assert figures["console_refused"] == []
    assert figures["console_action_ms"]["actions"] > 0
    assert {"mosquitto", "cloud", "fleet"} <= figures["memory_mb"].keys()
