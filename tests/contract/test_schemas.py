"""The generated schemas are fresh, are schemas, and agree with the models on what is valid."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from firmware_specs import schemas, vectors
from firmware_specs.topics import Channel
from firmware_specs.vectors import samples


@cache
def validator(name: str) -> Draft202012Validator:
    """Of one kept schema."""
    return Draft202012Validator(json.loads((schemas.FOLDER / f"{name}.schema.json").read_text("utf-8")))


@pytest.mark.parametrize("name", sorted(schemas.documents()))
def test_kept_document_is_what_is_generated(name: str) -> None:
    kept = (schemas.FOLDER / name).read_text("utf-8")
    assert kept == schemas.documents()[name], "run `python -m firmware_specs schemas`"


def test_no_other_document_is_kept() -> None:
    kept = {path.name for path in Path(schemas.FOLDER).glob("*.json")}
    assert kept == schemas.documents().keys()


@pytest.mark.parametrize("name", sorted(schemas.MODELS))
def test_document_is_a_schema_of_the_dialect(name: str) -> None:
    schema = validator(name).schema
    assert schema["$schema"] == schemas.DIALECT
    Draft202012Validator.check_schema(schema)


def test_schemas_take_what_is_encoded() -> None:
    lines = samples.three()
    validator("header").validate(json.loads(samples.batch(lines).split(b"\n")[0]))
    validator("header").validate(json.loads(samples.with_header(lines).split(b"\n")[0]))
    for line in lines:
        validator("record").validate(json.loads(line))


NOT_SAID_BY_A_SCHEMA = {
    "record/key-twice-in-unknown",
    "record/metric-twice",
    "record/gap-backwards",
    "answer/key-twice",
    "answer/through-without-chain",
    "answer/chain-without-through",
    "answer/through-without-stream",
    "answer/says-nothing",
    "state/oversized",
    "desired/oversized",
}
"""Invalid payloads that a schema lets pass, each for a reason that the README names."""


def is_json(payload: bytes) -> bool:
    """Whether Python's reader takes it as it must: without the words that are no JSON."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        json.loads(payload, parse_constant=refuse)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "vector",
    [
        vector
        for vector in vectors.kept()
        if vector.kind in {"record", "answer", "state", "desired", "reported", "command"} and is_json(vector.payload)
    ],
    ids=lambda vector: vector.path,
)
def test_schema_says_of_a_vector_what_the_models_say(vector: vectors.Vector) -> None:
    schema = validator("stored" if vector.kind == "answer" else vector.kind)
    lets_pass = schema.is_valid(json.loads(vector.payload))
    assert lets_pass == ("refused" not in vector.expect or vector.path.removesuffix(".json") in NOT_SAID_BY_A_SCHEMA)


def test_asyncapi_names_every_topic_that_has_payloads_and_only_documents_that_exist() -> None:
    document = json.loads((schemas.FOLDER / "asyncapi.json").read_text("utf-8"))
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {f"roomlink/v1/{{terminal}}/{channel}" for channel in Channel}
    payloads = [message["payload"] for message in document["components"]["messages"].values()]
    named = {payload["$ref"] for payload in payloads if "$ref" in payload}
    assert named <= schemas.documents().keys()
    for operation in document["operations"].values():
        name = operation["channel"]["$ref"].removeprefix("#/channels/")
        assert name in document["channels"]
        action = "send" if "/up/" in document["channels"][name]["address"] else "receive"
        assert operation["action"] == action
