"""`python -m edge claim` against a cloud's side over real HTTPS: what lies on the disk then, and what a person is told."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.certificates.authority import make_root, make_terminal, new_key
from edge import __main__ as command
from edge import identity
from edge.settings import Settings, load_settings
from tests.enrolment_double import CODE, DAY, TERMINAL, EnrolmentDouble, Pki, pem
from tests.process import HOST, free_port


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


class Machine:
    """A terminal's disk and keyboard."""

    def __init__(self, folder: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir, self.folder = folder / "data", folder / "data" / "identity"
        self._root_file, self._capsys = pki.root_file, capsys

    def claim(self, url: str, code: str = CODE, *more: str) -> tuple[int, str]:
        """Exit status, and all that was said."""
        trust = ["--ca-file", str(self._root_file), "--data-dir", str(self.data_dir)]
        status = command.main(["claim", url, code, *(more or trust)])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return status, out + err

    def settings(self) -> Settings:
        return load_settings(None, Settings, data_dir=self.data_dir)


@pytest.fixture
def machine(tmp_path: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> Machine:
    return Machine(tmp_path, pki, capsys)


def test_claimed_machine_is_a_terminal_and_needs_no_settings_file(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, desired={"v": 1, "version": [1, 1]}) as cloud:
        status, said = machine.claim(cloud.url)
        assert status == 0
        settings = machine.settings()
        assert (settings.terminal, settings.profile, settings.cloud_url) == (TERMINAL, "kiosk", cloud.url)
    assert (settings.broker.host, settings.broker.port, settings.broker.tls) == (HOST, 8883, True)
    assert settings.read_password() == "files-1"
    known = identity.load(settings.identity_dir)
    assert known is not None
    assert known.certificate == cloud.issued[0]
    assert isinstance(known.signer.public_key.curve, ec.SECP256R1)
    assert "本机现在是终端 kiosk-302-a" in said
    assert "This machine is terminal kiosk-302-a now" in said
    assert f"python -m edge run --data-dir {machine.data_dir}" in said
    assert "files-1" not in said
    assert cloud.asked == ["POST /api/v1/enrolment/claims/owner", "POST /api/v1/enrolment/claims"]


def test_first_twin_is_kept_in_as_many_bytes_as_it_came(machine: Machine, pki: Pki) -> None:
    """With a blank more it could be larger than a twin may be."""
    with EnrolmentDouble(pki, desired={"v": 1, "version": [1, 1], "language": "zh"}) as cloud:
        machine.claim(cloud.url)
    kept = (machine.settings().identity_dir / identity.DESIRED).read_bytes()
    assert kept == b'{"v":1,"version":[1,1],"language":"zh"}'


@pytest.mark.parametrize("typed", ["7k3qx-9m2tb", "7K3QX 9M2TB", " 7k3qx9m2tb "])
def test_code_may_be_typed_as_people_do(typed: str, machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki) as cloud:
        assert machine.claim(cloud.url, typed)[0] == 0


def test_settings_file_names_the_data_folder_and_nothing_else(machine: Machine, pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(f'data_dir = "{machine.data_dir}"\n[kiosk]\npage_port = 0\n')
    with EnrolmentDouble(pki) as cloud:
        status, said = machine.claim(cloud.url, CODE, "--config", str(file), "--ca-file", str(pki.root_file))
    assert (status, f"python -m edge run --config {file}" in said) == (0, True)
    assert load_settings(file, Settings).terminal == TERMINAL


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("0000000000", "The cloud does not know this code: it is mistyped, used already, older than 24 hours"),
        ("7K3QX", "A claim code has 10 characters"),
        ("7K3QX-9M2TU", "A claim code has 10 characters"),
    ],
)
def test_wrong_code_is_a_sentence_and_changes_nothing(code: str, sentence: str, machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki) as cloud:
        status, said = machine.claim(cloud.url, code)
    assert (status, said.startswith(sentence)) == (1, True)
    assert not machine.folder.exists()


def test_used_code_is_a_sentence(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki) as cloud:
        assert machine.claim(cloud.url)[0] == 0
        status, said = machine.claim(cloud.url)
    assert (status, "used already" in said) == (1, True)
    assert identity.load(machine.folder) is not None


def test_too_many_guesses_are_told_to_wait(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, fail_next=[429]) as cloud:
        assert machine.claim(cloud.url) == (
            1,
            "The cloud was asked too often. Wait a quarter of an hour, then try again.\n",
        )


def test_cloud_that_is_away_is_a_sentence(machine: Machine) -> None:
    status, said = machine.claim(f"https://{HOST}:{free_port()}")
    assert status == 1
    assert "cannot be reached" in said
    assert "See the address, the network, and the firewall." in said


def test_cloud_that_breaks_off_is_a_sentence_and_the_key_is_used_again(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, fail_next=[]) as cloud:
        cloud.spoil = lambda answer: answer | {"certificate": None}  # the code is used up, and the answer lost
        status, said = machine.claim(cloud.url)
        assert (status, "was not understood: certificate" in said) == (1, True)
        made = identity.pending_key(machine.folder).public_key
        cloud.codes["AAAAAAAAAA"] = TERMINAL
        cloud.spoil = lambda answer: answer
        assert machine.claim(cloud.url, "AAAAAAAAAA")[0] == 0
    known = identity.load(machine.folder)
    assert known is not None
    assert known.signer.public_key == made


def test_terminal_claimed_again_gets_a_new_key(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, codes={CODE: TERMINAL, "AAAAAAAAAA": TERMINAL}) as cloud:
        machine.claim(cloud.url)
        machine.claim(cloud.url, "AAAAAAAAAA")
    first, second = cloud.issued
    assert first.public_key() != second.public_key()
    known = identity.load(machine.folder)
    assert known is not None
    assert known.certificate == second


def test_folder_of_one_terminal_is_not_claimed_for_another(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, codes={CODE: TERMINAL, "AAAAAAAAAA": "kiosk-9"}) as cloud:
        machine.claim(cloud.url)
        status, said = machine.claim(cloud.url, "AAAAAAAAAA")
        assert (status, "The code is for kiosk-9, and this folder belongs to kiosk-302-a" in said) == (1, True)
        assert cloud.claims == 1


def test_damaged_identity_may_be_claimed_anew(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, codes={CODE: TERMINAL, "AAAAAAAAAA": TERMINAL}) as cloud:
        machine.claim(cloud.url)
        (machine.folder / "claim.json").write_bytes(b"{")
        assert machine.claim(cloud.url, "AAAAAAAAAA")[0] == 0
    assert machine.settings().terminal == TERMINAL


@pytest.mark.parametrize(
    ("lasts", "begins"), [(timedelta(days=90), -200 * DAY), (timedelta(days=90), 200 * DAY)], ids=["expired", "not yet"]
)
def test_clock_that_is_off_is_a_sentence(lasts: timedelta, begins: timedelta, machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki, server_begins_at=datetime.now(UTC) + begins) as cloud:
        status, said = machine.claim(cloud.url)
    assert (status, "Set the clock, and try again." in said) == (1, True)


def test_cloud_of_an_unknown_root_is_a_sentence(machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki) as cloud:
        status, said = machine.claim(cloud.url, CODE, "--data-dir", str(machine.data_dir))
    assert (status, "is not trusted here" in said, "--ca-file" in said) == (1, True, True)


def test_disk_that_takes_nothing_is_a_sentence_before_the_code_is_used(
    machine: Machine, pki: Pki, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with EnrolmentDouble(pki) as cloud:
        status, said = machine.claim(cloud.url)
        assert (status, "The key cannot be kept in" in said) == (1, True)
        assert CODE in cloud.codes


@pytest.mark.parametrize(
    "url", ["roomlink.example.org", "ftp://roomlink.example.org", "https://", "https://a:b@roomlink.example.org"]
)
def test_what_is_no_address_is_a_sentence(url: str, machine: Machine) -> None:
    status, said = machine.claim(url)
    assert (status, "is no address of a cloud. Example: https://" in said) == (1, True)


def test_code_is_not_sent_in_the_clear(machine: Machine) -> None:
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(0)
        status, said = machine.claim(f"http://roomlink.example.org:{listening.getsockname()[1]}")
    assert (status, "is not encrypted" in said) == (1, True)


def spoilt(pki: Pki, what: str) -> dict[str, Any]:
    if what == "name":
        return {"terminal": "kiosk-9"}
    if what == "key":
        return {"certificate": pem(make_terminal(pki.issuer, TERMINAL, new_key().public_key(), datetime.now(UTC)))}
    if what == "root":
        return {"root": pem(make_root("Other", pki.made_at).certificate)}
    return {"chain": "", "certificate": "-----BEGIN"} if what == "pem" else {"chain": ""}


@pytest.mark.parametrize("what", ["name", "key", "root", "chain", "pem"])
def test_answer_that_is_not_for_this_machine_changes_nothing(what: str, machine: Machine, pki: Pki) -> None:
    with EnrolmentDouble(pki) as cloud:
        cloud.spoil = lambda answer: answer | spoilt(pki, what)
        status, said = machine.claim(cloud.url)
    assert status == 1
    assert said.startswith("The cloud sent ")
    assert identity.load(machine.folder) is None


def test_claim_wants_to_know_the_folder(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["claim", "https://roomlink.example.org", CODE]) == 2
    assert "Give --data-dir DIR or --config FILE" in capsys.readouterr().err
