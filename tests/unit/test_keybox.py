"""The key file is there whole or not at all, whatever cuts off its making, and never over another."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.certificates import files
from cloud.errors import StartError
from cloud.keybox import KeyBox

FULL = """
import resource, sys
from pathlib import Path
from cloud.certificates import files
from cloud.errors import CloudError
from cloud.keybox import KeyBox
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file may grow, as on a full disk
path = Path(sys.argv[2])
try:
    KeyBox(path).make() if sys.argv[1] == "key" else files.create_secret(path, b"secret")
except CloudError as error:
    print(error.sentence)
"""


def on_a_full_disk(what: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FULL, what, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_a_key_file_whose_making_was_cut_off_is_made_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "authority.key"
    assert f"The key file {path} cannot be made" in on_a_full_disk("key", path)
    assert not list(path.parent.iterdir())
    KeyBox(path).make()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyBox(path).decrypt(KeyBox(path).encrypt(b"plain", "name"), "name") == b"plain"


def test_a_key_file_is_never_made_over_another(tmp_path: Path) -> None:
    path = tmp_path / "authority.key"
    KeyBox(path).make()
    before = path.read_bytes()
    KeyBox(path).make()
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_secret_that_could_not_be_written_whole_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "root.p12"
    assert f"{path} cannot be written" in on_a_full_disk("secret", path)
    assert not path.exists()
    files.create_secret(path, b"secret")
    with pytest.raises(StartError, match="is there already"):
        files.create_secret(path, b"another")
    assert path.read_bytes() == b"secret"
