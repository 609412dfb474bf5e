"""A small cloud for terminal tests: keeps streams in memory and answers each batch as the contract says.

Promises to take only the batch that continues what it has; `restore` goes back to an earlier copy in a new epoch.
Used by the unit and integration tests of the uplink, behind a real broker or none.
"""

import copy
from dataclasses import dataclass, field

from firmware_specs.errors import DecodeError
from firmware_specs.messages import Record, Stored, StoredError
from firmware_specs.wire import chain_over, chain_start, decode_batch, decode_records, stream_of


@dataclass
class StoredStream:
    """What the cloud has of one stream."""

    terminal: str
    chain: bytes
    lines: list[bytes] = field(default_factory=list)
    parent: str | None = None


@dataclass
class CloudDouble:
    """`answer` is the cloud; `silent` takes and never answers; `error_next` answers so once, and takes nothing."""

    epoch: int = 1
    streams: dict[str, StoredStream] = field(default_factory=dict)
    silent: bool = False
    error_next: list[Stored] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def answer(self, terminal: str, payload: bytes) -> Stored | None:
        """The `down/stored` for one payload of `up/records`; None for silence."""
        self.payloads.append(payload)
        if self.error_next:
            return self.error_next.pop(0)
        try:
            batch = decode_batch(payload)
        except DecodeError:
            return self._word(stream_of(payload), StoredError.BROKEN)
        header = batch.header
        parent = header.parent.stream if header.parent else None
        start = StoredStream(terminal, chain_start(terminal, header.stream), parent=parent)
        stream = self.streams.setdefault(header.stream, start)
        if stream.terminal != terminal:
            return Stored(epoch=self.epoch, stream=header.stream, error=StoredError.FOREIGN_STREAM)
        error = None
        if header.count and header.first == len(stream.lines) + 1:
            if header.prev == stream.chain.hex():
                stream.lines += batch.lines
                stream.chain = chain_over(stream.chain, batch.lines)
            else:
                error = StoredError.FORK
        return None if self.silent else self._word(header.stream, error)

    def see_birth(self, stream: str) -> Stored:
        """What is said, unasked, after a birth that names this stream."""
        return self._word(stream, None).model_copy(update={"unasked": True})

    def _word(self, stream: str | None, error: StoredError | None) -> Stored:
        known = None if stream is None else self.streams.get(stream)
        if known is None:
            return Stored(epoch=self.epoch, stream=stream, error=error or StoredError.BUSY)
        return Stored(epoch=self.epoch, stream=stream, through=len(known.lines), chain=known.chain.hex(), error=error)

    def backup(self) -> dict[str, StoredStream]:
        """A copy to restore later."""
        return copy.deepcopy(self.streams)

    def restore(self, backup: dict[str, StoredStream]) -> None:
        """Go back to a copy, in a new epoch."""
        self.streams = copy.deepcopy(backup)
        self.epoch += 1

    def records(self) -> list[Record]:
        """All records of all streams, in the order of each; raises what cannot be decoded."""
        found: list[Record] = []
        for stream in self.streams.values():
            for record in decode_records(stream.lines):
                if isinstance(record, DecodeError):
                    raise record
                found.append(record)
        return found

    def check_in_ids(self) -> list[str]:
        """Ids of all check-ins, each once, in the order of their first coming."""
        return list(dict.fromkeys(record.id for record in self.records() if record.type == "check_in"))
