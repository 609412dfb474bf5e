"""What the contract's README says in numbers is what the code does."""

import json
import re
from enum import StrEnum
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import firmware_specs
from edge import enrolment, renewal
from edge.kiosk.views import Screen
from edge.store import ACCEPTED_KEPT_US, DAY_US
from firmware_specs import (
    command_messages,
    credentials,
    exported,
    fields,
    file_messages,
    messages,
    presence_messages,
    strict,
)
from firmware_specs.signing import covered
from firmware_specs.topics import RESERVED_IDS, Channel
from firmware_specs.vectors import samples, signatures

README = (Path(firmware_specs.__file__).parent / "README.md").read_text("utf-8")


def test_worked_example_of_the_chain_is_right() -> None:
    lines = samples.three()
    for number in range(len(lines) + 1):
        assert f"c({number})     {samples.chain_at(number)}\n" in README
    for number, line in enumerate(lines, 1):
        assert f"line {number}   {len(line)} bytes, {len(line):08x}" in README
    start = re.search(r"^hashed   (.*)$", README, re.MULTILINE)
    assert start is not None
    hashed = b"\0".join((b"roomlink/v1", samples.TERMINAL.encode(), samples.STREAM.encode()))
    assert bytes.fromhex(start[1]) == hashed


def test_header_of_the_worked_example_is_right() -> None:
    assert samples.batch(samples.three()).split(b"\n")[0].decode() in README


def test_signature_of_the_worked_example_is_right() -> None:
    header = samples.batch(samples.three(), signer=signatures.SIGNER).split(b"\n")[0].decode()
    assert header[header.index(',"sent_at"') :] in README
    assert f"key id   {signatures.SIGNER.key_id}" in README
    key = signatures.KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.hex() in README
    start = b"roomlink/v1 batch\0kiosk-302-a\0"
    assert covered(samples.TERMINAL, b"{") == start + b"{"
    hashed = re.search(r"^signed   ([0-9a-f ]*) 7b22", README, re.MULTILINE)
    assert hashed is not None
    assert bytes.fromhex(hashed[1].replace(" 00", "00")) == start


def test_enrolment_is_described_with_every_field_and_its_signed_bytes() -> None:
    section = README.partition("## 14. Claim, certificate, renewal")[2]
    named = set(re.findall(r"[a-z_]+", section))
    assert enrolment.Claimed.model_fields.keys() | enrolment.Claimable.model_fields.keys() <= named
    assert f'`"{renewal.PURPOSE.decode()}" 00`' in section
    assert f"{len(renewal.PURPOSE) + 1 + 32 + 32} bytes in all" in section


def test_fields_of_an_exported_journal_are_described() -> None:
    section = README.partition("## 13. An exported journal")[2]
    fields_of = (exported.ExportHead.model_fields, exported.ExportedBatch.model_fields)
    assert [name for model in fields_of for name in model if f'"{name}":' not in section] == []


@pytest.mark.parametrize("channel", Channel)
def test_every_topic_is_described(channel: Channel) -> None:
    assert f"| `roomlink/v1/<id>/{channel}` |" in README


@pytest.mark.parametrize("error", messages.StoredError)
def test_every_error_is_described(error: messages.StoredError) -> None:
    assert f"| `{error}` |" in README


MODELS = [
    *(messages.Header, messages.Stored, messages.Started, messages.CheckIn, messages.CheckOut, messages.Interaction),
    *(messages.Health, messages.Dropped, messages.CommandState, command_messages.Command, messages.Desired),
    *(messages.Reported, presence_messages.Birth, presence_messages.Death),
    *(messages.Occurrence, file_messages.RosterHead, file_messages.RosterEntry),
    *(file_messages.RevocationsHead, file_messages.OccurrencesHead),
]


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_described(model: type[messages.Message]) -> None:
    named = set(re.findall(r"[a-z_0-9]+", README))
    assert model.model_fields.keys() <= named


@pytest.mark.parametrize("words", [messages.Outcome, messages.Method, messages.Reason, messages.Flag, Screen])
def test_every_word_of_a_decision_is_in_the_table(words: type[StrEnum]) -> None:
    table = README.partition("### The words")[2].partition("###")[0]
    assert [word for word in words if f"`{word}`" not in table] == []


def test_reserved_ids_are_named() -> None:
    sentence = next(line for line in README.splitlines() if "are reserved: no terminal has such an id" in line)
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == RESERVED_IDS


def test_how_long_an_acceptance_is_remembered_is_said() -> None:
    assert f"kept for {ACCEPTED_KEPT_US // DAY_US} days after the occurrence began" in README


def test_limits_are_those_of_the_code() -> None:
    table = README.partition("## 11. Limits")[2].partition("## 12.")[0].replace(",", "")
    for limit in (
        fields.MAX_LINE_BYTES,
        fields.MAX_BATCH_RECORDS,
        fields.MAX_BATCH_BYTES,
        fields.MAX_TWIN_BYTES,
        fields.MAX_OCCURRENCES,
        fields.MAX_FILE_OCCURRENCES,
        strict.MAX_DEPTH,
    ):
        assert re.search(rf"\b{limit}\b", table)
    assert fields.MAX_NUMBER == 2**53 - 1
    assert f"{credentials.MAX_CHARACTERS} characters" in README
    assert f"{int(credentials.SKEW.total_seconds() / 60)} minutes" in README


def test_every_kind_of_vector_is_described() -> None:
    table = README.partition("## 12. Golden vectors")[2]
    kinds = {path.parent.name for path in (Path(firmware_specs.__file__).parent / "vectors").glob("*/*.json")}
    assert all(f"`{kind}`" in table for kind in kinds)
    assert json.loads((Path(firmware_specs.__file__).parent / "vectors/batch/three-records.json").read_text("utf-8"))
