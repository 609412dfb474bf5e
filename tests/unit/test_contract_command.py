"""`python -m firmware_specs`: one line says what a payload is, or what is wrong with it and where."""

import json
from pathlib import Path

import pytest

from firmware_specs import schemas, vectors
from firmware_specs.__main__ import main
from firmware_specs.vectors import samples

THREE = samples.batch(samples.three())


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(THREE)
    return path


def check(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit status and what was printed, of `check`."""
    status = main(["check", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_good_batch_is_described(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(capsys, payload, "--topic", samples.RECORDS)
    assert (status, said) == (
        0,
        f"{payload}: ok: batch, records 1 to 3 (check_in, health, started), stream {samples.STREAM}\n",
    )


def test_broken_batch_is_named_with_place_and_fault(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload.write_bytes(THREE[:-1])
    status, said = check(capsys, payload, "--topic", samples.RECORDS)
    assert (status, said) == (1, f"{payload}: batch: cut: the last line has no newline\n")


def test_record_that_would_go_to_quarantine_is_named_by_line_and_number(
    payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = samples.three()
    payload.write_bytes(samples.batch([lines[0], lines[2].replace(b"12.5", b'"hot"')]))
    status, said = check(capsys, payload, "--topic", samples.RECORDS)
    assert status == 1
    assert "line 2 (number 2): record.health.metrics.cpu_percent: Input should be a valid number" in said


@pytest.mark.parametrize("vector", list(vectors.kept()), ids=lambda vector: vector.path)
def test_every_vector_is_good_or_named_in_one_line(vector: vectors.Vector, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(capsys, vectors.FOLDER / vector.path)
    readable = vector.is_valid and None not in vector.expect.get("records", [])
    assert status == (0 if readable else 1)
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("kind", "content", "begins"),
    [
        ("record", samples.three()[0] + b"\n", "ok: record, started"),
        ("credential", b"RL1:", "not CBOR"),
        ("credential", b"\xff", "not a text"),
        ("card_number", b"0000 0000 0000\n", "ok: card number of credential 0000000000000000"),
        ("topic", samples.RECORDS.encode(), "ok: topic up/records of terminal kiosk-302-a"),
    ],
)
def test_what_came_under_no_topic_is_checked_by_its_kind(
    kind: str, content: bytes, begins: str, payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload.write_bytes(content)
    _, said = check(capsys, payload, "--kind", kind)
    assert said.startswith(f"{payload}: {begins}")


def test_card_without_keys_is_read_and_said_not_to_be_verified(
    payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = next(vector for vector in vectors.kept() if vector.path == "credential/good.json")
    payload.write_bytes(good.payload + b"\n")
    status, said = check(capsys, payload, "--kind", "credential")
    assert status == 0
    assert "signature not checked" in said


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "give --topic or --kind"),
        (["--topic", "roomlink/v1/kiosk-1/down/commands"], "command"),
        (["--topic", "roomlink/v2/kiosk-1/up/records"], "does not begin with roomlink/v1"),
    ],
)
def test_payload_without_a_readable_meaning_is_refused(
    arguments: list[str], fault: str, payload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = check(capsys, payload, *arguments)
    assert status == 1
    assert fault in said


@pytest.mark.parametrize("content", ["{}", "[]", "5", "{", '{"kind":1,"name":1,"shows":1,"payload":1,"expect":1}'])
def test_file_that_is_no_vector_is_refused(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    status, said = check(capsys, path)
    assert status == 1
    assert said.startswith(f"{path}: ")


def test_missing_file_is_one_line_and_the_others_are_checked(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(capsys, payload.with_name("none"), payload, "--kind", "batch")
    assert status == 1
    assert said.splitlines()[0].endswith("none: No such file or directory")
    assert ": ok: batch" in said.splitlines()[1]


def test_schemas_are_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "--to", str(tmp_path / "new")]) == 0
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "new").iterdir()}
    assert written == schemas.documents()
    assert len(capsys.readouterr().out.splitlines()) == len(written)


def test_vectors_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(list(vectors.kept()))
    assert "batch/cut-line.json\tinvalid\ta whole line is missing" in listed


def test_vectors_are_written_anew_and_old_ones_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "batch" / "old.json"
    old.parent.mkdir()
    old.write_text(json.dumps({}))
    assert main(["vectors", "--write", "--to", str(tmp_path)]) == 0
    assert not old.exists()
    assert list(vectors.kept(tmp_path)) == list(vectors.kept())
    assert capsys.readouterr().out


def test_wrong_arguments_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", "x", "--kind", "gossip"])
    assert caught.value.code == 2
    assert "gossip" in capsys.readouterr().err
