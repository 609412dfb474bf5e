"""One golden vector and its file. The format is in the contract's README, section "Golden vectors"."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal[
    "batch", "accept", "answer", "record", "state", "desired", "reported", "command", "roster", "revocations",
    "occurrences", "credential", "card_number", "topic", "decision", "signed",
]  # fmt: skip
FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Vector:
    """One payload, what it is given to (``given``), and what must come of it (``expect``), as JSON values."""

    kind: Kind
    name: str
    shows: str
    payload: bytes
    expect: Mapping[str, Any]
    topic: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it is kept, below the folder of vectors."""
        return f"{self.kind}/{self.name}.json"

    @property
    def is_valid(self) -> bool:
        """Whether the payload keeps the contract; answers and accepted batches are judged by more than their bytes."""
        return not {"refused", "reason"} & self.expect.keys()

    def to_json(self) -> str:
        """The file's text. A payload that is not UTF-8 stands in base64."""
        document: dict[str, Any] = {"kind": self.kind, "name": self.name, "shows": self.shows}
        if self.topic is not None:
            document["topic"] = self.topic
        try:
            document["payload"] = self.payload.decode()
        except UnicodeDecodeError:
            document["payload_base64"] = base64.b64encode(self.payload).decode()
        if self.given:
            document["given"] = dict(self.given)
        document["expect"] = dict(self.expect)
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Vector:
    """Read a vector's file; raises ValueError where it is none."""
    document = json.loads(text)
    try:
        payload = (
            document["payload"].encode() if "payload" in document else base64.b64decode(document["payload_base64"])
        )
        return Vector(
            kind=document["kind"],
            name=document["name"],
            shows=document["shows"],
            payload=payload,
            expect=document["expect"],
            topic=document.get("topic"),
            given=document.get("given", {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a vector: {error!r}") from None


def kept(folder: Path = FOLDER) -> Iterator[Vector]:
    """Every vector as it is kept, by kind and name."""
    for path in sorted(folder.glob("*/*.json")):
        yield from_json(path.read_text("utf-8"))
