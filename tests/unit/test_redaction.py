"""What an operator gets of a terminal's log says what went wrong, and holds no secret and nobody's data."""

import random
import time
from base64 import urlsafe_b64encode

import pytest

from edge.redaction import OUT, redacted

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    "line",
    [
        "broker 10.0.0.7:8883 not reachable: [Errno 111] Connection refused",
        "2026-11-27 17:31:30,123 WARNING edge.link: the broker refused the connection: Not authorized",
        "twin 1795800478439 of epoch 17 is in force".replace("1795800478439", "12"),
        "command self_test 0b4f5f0e-8b57-4f4e-9d38-1f4d1f6a2c11: done",
        'File "/opt/roomlink/edge/kiosk/session.py", line 120, in _saw',
        "ConnectionRefusedError: TransactionRollbackException in certificate_revocation_list",
        "mapping: {'depth': 3, 'ping': 4}",
    ],
)
def test_what_helps_to_find_a_fault_stays(line: str) -> None:
    assert redacted(line, [PASSWORD]) == line


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        (f"signing in with {PASSWORD} failed", PASSWORD),
        ("password=hunter2 was wrong", "hunter2"),
        ('{"mqtt_password": "hunter 2", "x": 1}', "hunter 2"),
        ("Authorization: Basic a2lvc2stMTpzZWNyZXQ=", "a2lvc2stMTpzZWNyZXQ="),
        ("sent Bearer abcdefgh.12345", "abcdefgh.12345"),
        ("GET https://kiosk-1:hunter2@cloud.example/x", "hunter2"),
        ("token rlt_9aZ09aZ0 is revoked", "rlt_9aZ09aZ0"),
        ("claim with 7K3QX-9M2TB failed", "7K3QX-9M2TB"),
        ("staff pin: 2580", "2580"),
        ("staff_pin_hash=$argon2id$v=19$m=64,t=1$c2FsdA$aGFzaA", "argon2id$v"),
        ("hash is $argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA", "c2FsdA"),
        ("read RL1:6BF5XYZ%$*+-./:ABC", "6BF5XYZ"),
        ("card 00000000000004d2 is revoked", "00000000000004d2"),
        ("typed 123456789012", "123456789012"),
        ("typed 1234 5678 9012", "5678"),
        ("call 13800138000", "13800138000"),
        ("id 11010519491231002X", "11010519491231002X"),
        ("mail to example.person@example.org", "example.person"),
        ("member \u5f20\u4e09 came", "\u5f20\u4e09"),
        ("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nByqGSM49AgEG\n-----END PRIVATE KEY-----\nafter", "MIGHAgEA"),
        ("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nByqGSM49AgEG", "ByqGSM49AgEG"),
        (f"{'MIGHAgEAMBMGByqG' * 4}\nByqG\n-----END PRIVATE KEY-----\nafter", "MIGHAgEA"),
    ],
)  # fmt: skip
def test_secrets_and_persons_are_out(line: str, gone: str) -> None:
    said = redacted(line, [PASSWORD])
    assert gone not in said
    assert OUT in said
    assert "after" not in line or "after" in said


def test_opaque_references_of_members_and_random_keys_are_out() -> None:
    drawn = random.Random(20)
    left = 0
    for _ in range(500):
        subject = urlsafe_b64encode(drawn.randbytes(16)).decode().rstrip("=")
        left += subject in redacted(f"credential of {subject} is unknown: {drawn.randbytes(8).hex()}")
    assert left <= 2  # one that happens to look like a word stays


def test_a_long_line_of_anything_takes_no_time() -> None:
    begin = time.process_time()
    for piece in ("a", "a-", "1", "aB1", "@", "password", "=", "/a", "RL1:", "\u4e00", "-----BEGIN "):
        redacted("\n".join([(piece * 2_000)[:2_000]] * 20))
    assert time.process_time() - begin < 10
