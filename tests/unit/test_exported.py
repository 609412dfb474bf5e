"""`python -m firmware_specs verify`: one line says that an exported journal is whole and signed, or what is wrong and where."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.certificates.authority import Authority, make_intermediate, make_root, make_service, make_terminal, new_key
from firmware_specs import signing
from firmware_specs.__main__ import main
from firmware_specs.messages import Parent
from firmware_specs.signing import BatchSigner
from firmware_specs.vectors import samples
from firmware_specs.vectors.signatures import KEY, OTHER_KEY, SIGNER
from firmware_specs.wire import chain_over, chain_start

ISSUED_AT = datetime(2026, 11, 1, tzinfo=UTC)
RECEIVED_AT = samples.AT + 400_000
LATER = RECEIVED_AT + 90 * 86_400_000_000
CHAINS = [bytes.fromhex(samples.chain_at(number)) for number in range(4)]


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@dataclass
class Journal:
    """A journal of two streams, the second continuing the first, and its file."""

    folder: Path
    root: Authority = field(default_factory=lambda: make_root("Test", ISSUED_AT))
    terminal: str = samples.TERMINAL
    lines: list[dict[str, Any]] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.issuer = make_intermediate(self.root, "Test", ISSUED_AT)
        leaf = make_terminal(self.issuer, self.terminal, KEY.public_key(), ISSUED_AT)
        self.certificates += [pem(leaf), pem(self.issuer.certificate)]
        three = samples.three()
        self.add(three[:2])
        self.add(three[2:], first=3, prev=CHAINS[2])
        self.add_child(Parent(stream=samples.STREAM, through=2, chain=CHAINS[2].hex()))

    def add(self, lines: Sequence[bytes], signer: BatchSigner | None = SIGNER, **header: Any) -> None:
        self.add_payload(samples.batch(lines, signer=signer, **header))

    def add_child(self, parent: Parent) -> None:
        start, lines = chain_start(self.terminal, samples.OTHER_STREAM), samples.three()[:1]
        chain = chain_over(start, lines).hex()
        self.add(lines, prev=start, stream=samples.OTHER_STREAM, parent=parent, chain=chain)

    def add_payload(self, payload: bytes, received_at: int = RECEIVED_AT) -> None:
        header = json.loads(payload.partition(b"\n")[0])
        text = base64.b64encode(payload).decode()
        self.lines.append(
            {"stream": header["stream"], "first": header["first"], "payload": text, "received_at": received_at}
        )

    def write(self) -> Path:
        head = {"v": 1, "terminal": self.terminal, "certificates": self.certificates}
        file = self.folder / "journal.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in [head, *self.lines]))
        (self.folder / "root.pem").write_text(pem(self.root.certificate))
        return file

    def verify(self, capsys: pytest.CaptureFixture[str], *, rooted: bool = True) -> tuple[int, str]:
        file = self.write()
        status = main(["verify", str(file), *(["--root", str(self.folder / "root.pem")] if rooted else [])])
        said = capsys.readouterr().out
        assert said.count("\n") == 1
        return status, said.removeprefix(f"{file}: ").rstrip("\n")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_whole_journal_is_good(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    good = f"ok: 3 batches, 4 records, 2 streams, signed by {SIGNER.key_id} of kiosk-302-a"
    assert journal.verify(capsys) == (0, good)
    status, said = journal.verify(capsys, rooted=False)
    assert (status, said) == (0, f"{good}; who issued the certificates was not checked: give --root")


def test_journal_over_a_renewal_names_both_keys(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    renewed = make_terminal(journal.issuer, journal.terminal, OTHER_KEY.public_key(), ISSUED_AT + timedelta(days=60))
    journal.certificates.append(pem(renewed))
    key = signing.key_id(OTHER_KEY.public_key())
    signer = BatchSigner(journal.terminal, key, lambda message: signing.sign_with(OTHER_KEY, message))
    later = samples.batch(samples.lines_of([samples.health(4)]), first=4, prev=CHAINS[3], signer=signer)
    journal.add_payload(later, RECEIVED_AT + 70 * 86_400_000_000)
    status, said = journal.verify(capsys)
    assert (status, f"signed by {SIGNER.key_id}, {key} of" in said) == (0, True)


def test_empty_journal_is_good(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.lines.clear()
    assert journal.verify(capsys) == (0, "ok: 0 batches, 0 records, 0 streams")


def test_parent_that_is_not_in_the_file_is_told_of(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    del journal.lines[:2]
    status, said = journal.verify(capsys)
    assert (status, said.partition("; ")[2]) == (0, "1 of the streams continue one that is not in this file")


def test_missing_batch_is_found_at_the_next(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    del journal.lines[0]
    assert journal.verify(capsys) == (
        1,
        f"line 2: stream {samples.STREAM}, number 3: 1 comes next, so batches are missing, twice, or out of order",
    )


def test_batch_that_stands_twice_is_found(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.lines.insert(1, journal.lines[0])
    status, said = journal.verify(capsys)
    assert (status, said.partition(": ")[0], "3 comes next" in said) == (1, "line 3", True)


def test_chain_that_does_not_go_on_is_found(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.lines[1:] = []
    journal.add(samples.three()[2:], first=3, prev=CHAINS[1])
    assert "line 3: stream " in (said := journal.verify(capsys)[1])
    assert "does not continue the chain before it" in said


def test_record_changed_by_whoever_keeps_the_journal_is_found(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chain and check are made anew; only the signature cannot be."""
    sign = json.loads(base64.b64decode(journal.lines[0]["payload"]).partition(b"\n")[0])["sign"]
    changed = [samples.three()[0], samples.three()[1].replace(b"000000174876e7ff", b"000000174876e7fe")]
    journal.lines.clear()
    journal.add(changed, signer=None, sign=sign)
    assert journal.verify(capsys) == (1, f"line 2: the signature by key {SIGNER.key_id} does not fit the header")


def test_unsigned_batch_is_found(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.lines.clear()
    journal.add(samples.three(), signer=None)
    assert journal.verify(capsys) == (1, "line 2: the header carries no signature")


@pytest.mark.parametrize(
    ("parent", "fault"),
    [
        (Parent(stream=samples.STREAM, through=2, chain="0" * 64), "has another chain at 2"),
        (Parent(stream=samples.STREAM, through=9, chain="0" * 64), "from 9, which is here through 3"),
    ],
)
def test_parent_that_does_not_fit_is_found(
    parent: Parent, fault: str, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    del journal.lines[2]
    journal.add_child(parent)
    status, said = journal.verify(capsys)
    assert (status, said.partition(":")[0], fault in said) == (1, "line 4", True)


def test_certificate_of_another_root_is_found(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    journal.root = make_root("Test", ISSUED_AT)
    status, said = journal.verify(capsys)
    assert (status, said.startswith("line 2: no certificate of key ")) == (1, True)


def test_batch_received_after_its_certificate_ended_is_found(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.lines.clear()
    journal.add_payload(samples.batch(samples.three(), signer=SIGNER, clock="holdover"), LATER)
    status, said = journal.verify(capsys)
    assert (status, said) == (
        1,
        f"line 2: no certificate of key {SIGNER.key_id} leads to the root on 2027-02-21 at 09:30:00 UTC",
    )
    assert journal.verify(capsys, rooted=False)[0] == 0


def test_batch_that_was_brought_in_after_its_certificate_ended_is_good_and_told(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.lines[1]["received_at"] = LATER
    status, said = journal.verify(capsys)
    assert (status, "; 1 of the batches were brought in after their certificate had ended" in said) == (0, True)
    journal.lines.clear()
    journal.add_payload(samples.batch(samples.three(), signer=SIGNER, sent_at=LATER - 1), LATER)
    assert journal.verify(capsys)[0] == 1


def test_certificate_of_another_terminal_is_found(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = make_service(journal.issuer, "kiosk-303-a", new_key().public_key(), ISSUED_AT)
    journal.certificates.append(pem(stranger))
    assert journal.verify(capsys) == (1, "line 1: certificate 3 is of kiosk-303-a, and not of kiosk-302-a")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        ({"payload": "A"}, "line 2: batch.payload: "),
        ({"payload": "é"}, "line 2: batch.payload: "),
        ({"payload": ""}, "line 2: batch: cut"),
        ({"first": 2}, "line 2: stream and first are not those of the batch itself"),
        ({"received_at": "now"}, "line 2: batch.received_at: "),
    ],
)
def test_line_that_is_no_batch_is_named(
    spoil: dict[str, Any], fault: str, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.lines[0] |= spoil
    status, said = journal.verify(capsys)
    assert (status, said.startswith(fault)) == (1, True)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "line 1: is cut"),
        ("{}\n", "line 1: is not the head"),
        ('{"v":2}\n', "line 1: is not the head"),
        ('{"v":1,"terminal":"Kiosk 1","certificates":[]}\n', "line 1: terminal id 'Kiosk 1'"),
        ('{"v":1,"terminal":"kiosk-1","certificates":["x"]}\n', "line 1: certificate 1 is no certificate in PEM"),
        ('{"v":1,"terminal":"kiosk-1","certificates":[]}\n{"stream":', "line 2: is cut"),
        ('{"v":1,"terminal":"kiosk-1","certificates":[]}\n' + "x" * 300_000 + "\n", "line 2: is cut"),
    ],
)
def test_file_that_is_no_journal_is_named(
    content: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_text(content)
    assert main(["verify", str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"{file}: {fault}")


def test_what_cannot_be_read_ends_with_2(journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = journal.write()
    (tmp_path / "no-root.pem").write_text("not PEM")
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert main(["verify", str(file), "--root", str(tmp_path / "no-root.pem")]) == 2
    said = capsys.readouterr().err
    assert "none: No such file" in said
    assert "no-root.pem: is no certificate in PEM" in said
