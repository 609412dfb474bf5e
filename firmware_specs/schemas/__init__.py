"""JSON Schema (2020-12) of every payload, and an AsyncAPI 3.0 document of the topics: generated from `messages`.

`python -m firmware_specs schemas` writes them beside this file; a test fails when they drift. A schema says less than the
contract: it knows no repeated keys, no bytes, no chain; and it takes 1.0 for an integer, which the contract refuses.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from firmware_specs import command_messages, file_messages, messages, presence_messages
from firmware_specs.fields import MAX_BATCH_BYTES, VERSION
from firmware_specs.topics import PREFIX, TERMINAL_ID, Channel

FOLDER: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MODELS: Final[Mapping[str, Any]] = {
    "header": messages.Header,
    "record": messages.Record,
    "stored": messages.Stored,
    "state": presence_messages.State,
    "desired": messages.Desired,
    "reported": messages.Reported,
    "command": command_messages.Command,
    "roster-head": file_messages.RosterHead,
    "roster-entry": file_messages.RosterEntry,
    "revocations-head": file_messages.RevocationsHead,
    "occurrences-head": file_messages.OccurrencesHead,
    "occurrence": messages.Occurrence,
}
_MESSAGES: Final[Mapping[Channel, tuple[str, str]]] = {
    Channel.RECORDS: ("records", "QoS 1, expires with the resend timeout. A batch of records."),
    Channel.STATE: ("state", "QoS 1, retained; also the will. Birth and death."),
    Channel.REPORTED: ("reported", "QoS 1, retained. The reported twin."),
    Channel.STORED: ("stored", "QoS 0. How far a stream is stored."),
    Channel.DESIRED: ("desired", "QoS 1, retained. The desired twin."),
    Channel.COMMANDS: ("command", "QoS 1, expires with its deadline. Something to do once."),
}


def documents() -> dict[str, str]:
    """Text of every document by its file name."""
    schemas = {f"{name}.schema.json": _schema(name, model) for name, model in MODELS.items()}
    written = {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}
    return written | {"asyncapi.json": json.dumps(_asyncapi(), indent=2, ensure_ascii=False) + "\n"}


def _schema(name: str, model: Any) -> dict[str, Any]:
    schema = TypeAdapter(model).json_schema(mode="validation")
    for definition in (schema, *schema.get("$defs", {}).values()):
        _require_constants(definition)
    return {"$schema": DIALECT, "$id": f"urn:roomlink:v{VERSION}:{name}"} | schema


def _require_constants(definition: dict[str, Any]) -> None:
    """A word that says which kind it is (``type``, ``event``) has a default when a model is built, and must be sent."""
    constants = [name for name, field in definition.get("properties", {}).items() if "const" in field]
    if constants:
        definition["required"] = [*constants, *definition.get("required", [])]


def _asyncapi() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Roomlink, terminal and cloud",
            "version": f"{VERSION}.0.0",
            "description": "Topics and payloads. The rules are in firmware_specs/README.md.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(channel, name) for channel, (name, _) in _MESSAGES.items()},
        "operations": {name: _operation(channel, name, about) for channel, (name, about) in _MESSAGES.items()},
        "components": {"messages": {name: _message(name) for name, _ in _MESSAGES.values()}},
    }


def _channel(channel: Channel, name: str) -> dict[str, Any]:
    pattern = TERMINAL_ID.pattern
    return {
        "address": f"{PREFIX}/{{terminal}}/{channel}",
        "parameters": {"terminal": {"description": f"the terminal's id, ^{pattern}$", "examples": ["kiosk-302-a"]}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(channel: Channel, name: str, about: str) -> dict[str, Any]:
    """As the terminal sees it."""
    return {
        "action": "send" if channel.startswith("up/") else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": about,
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(name: str) -> dict[str, Any]:
    if name != "records":
        return {"name": name, "payload": {"$ref": f"{name}.schema.json"}}
    return {
        "name": name,
        "contentType": "application/x-ndjson",
        "description": "A header (header.schema.json), then a line per record (record.schema.json); each ends with a newline.",
        "payload": {"type": "string", "maxLength": MAX_BATCH_BYTES},
    }
