"""Vectors of commands, and of what a terminal says of them."""

from collections.abc import Iterator
from typing import Any

from firmware_specs.command_messages import Command
from firmware_specs.messages import CommandState, CommandWord
from firmware_specs.vectors import samples
from firmware_specs.vectors.vector import Vector
from firmware_specs.wire import encode, encode_record

ID = "c0000000-0000-4000-8000-000000000001"
MINUTE_US = 60_000_000


def commands() -> Iterator[Vector]:
    """Commands, and the records that answer them."""
    yield _command("identify", "show and sound who you are for half a minute", _encoded(arguments={"seconds": 30}))
    yield _command(
        "unknown-name", "a newer cloud's command: answered with failed, unknown_command", _encoded(name="fly")
    )
    yield _refused(
        "id-missing", "no id, so no repeat could be told", _encoded().replace(b'"id"', b'"di"'), "command.id"
    )
    yield _refused(
        "argument-list",
        "arguments are words, numbers and truths",
        _encoded().replace(b"{}", b'{"a":[1]}'),
        "command.arguments.a.bool",
    )
    yield _refused(
        "deadline-missing",
        "a command without an end",
        _encoded().replace(b"deadline_at", b"deadline"),
        "command.deadline_at",
    )
    done = _state(CommandWord.DONE, results={"camera": "ok", "disk": "12,044 MB free"})
    yield Vector("record", "command-done", "a self-test, with what it found", done, {"read": "ok"})
    failed = _state(CommandWord.FAILED, reason="interrupted", detail="the agent ended meanwhile")
    yield Vector("record", "command-failed", "interrupted by a power cut", failed, {"read": "ok"})
    yield Vector(
        "record",
        "command-delivered",
        "not one of a terminal's words",
        done.replace(b'"done"', b'"delivered"'),
        {"refused": "broken", "where": "record.command_state.state"},
    )


def _encoded(**changes: Any) -> bytes:
    fields = {"id": ID, "name": "identify", "issued_at": samples.AT, "deadline_at": samples.AT + 10 * MINUTE_US}
    return encode(Command.model_validate(fields | changes))


def _state(state: CommandWord, **more: Any) -> bytes:
    return encode_record(CommandState(**samples.base(7), command=ID, state=state, **more))


def _command(name: str, shows: str, payload: bytes) -> Vector:
    return Vector("command", name, shows, payload, {"read": "ok"})


def _refused(name: str, shows: str, payload: bytes, where: str) -> Vector:
    return Vector("command", name, shows, payload, {"refused": "broken", "where": where})
