"""A process that plays many terminals: one connection each, batches encoded beforehand, one in flight, to `stored`.

Reads its plan as a line of JSON, says "ready" when all are connected, begins at the next line, ends with a line of JSON.
Started by tests/bench/stage.py. It stands in for terminals' own CPUs: what is measured is behind the broker.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench import mqtt_bytes
from tests.bench.payloads import Mix, Writer
from tests.process import HOST

RESEND_S = 10.0
SAID_NOTHING_S = 60.0


@dataclass
class Terminal:
    """One connection and what it still has to send."""

    name: str
    connection: socket.socket
    packets: list[bytes]
    last: list[int]
    buffer: bytearray = field(default_factory=bytearray)
    place: int = -1
    sent_s: float = 0.0
    subscribed: bool = False

    def send_next(self) -> bool:
        """The next batch; False at the end."""
        self.place += 1
        if self.place == len(self.packets):
            return False
        self.send()
        return True

    def send(self) -> None:
        """The batch in flight."""
        self.sent_s = time.monotonic()
        self.connection.sendall(self.packets[self.place])


class Publisher:
    """All terminals of one process."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._trusting: bool = plan["trusting"]
        self._selector = selectors.DefaultSelector()
        self._terminals = [self._connect(plan, *each) for each in plan["terminals"]]
        self.answers = self.resent = 0

    def subscribe(self) -> None:
        """Return when every terminal hears its answers."""
        while not all(each.subscribed for each in self._terminals):
            self._turn()

    def run(self) -> None:
        """Send everything, and return when all is stored."""
        began = checked_s = time.monotonic()
        for each in self._terminals:
            each.send_next()
        self._open = len(self._terminals)
        while self._open:
            self._turn()
            now_s = time.monotonic()
            if now_s - checked_s > 1.0:
                checked_s = now_s
                self._send_again(now_s)
            if now_s - began > SAID_NOTHING_S and not self.answers:
                raise SystemExit("nobody answers")

    def _connect(self, plan: dict[str, Any], name: str, place: int, config: list[int]) -> Terminal:
        mix = Mix(**plan["mix"])
        writer = Writer(name, place, (config[0], config[1]), plan["members"], plan["occurrences"], mix)
        payloads = list(writer.batches())
        topic = f"roomlink/v1/{name}/up/records"
        encoded = [mqtt_bytes.publish(topic, payload, 1 + i % 65_000) for i, payload in enumerate(payloads)]
        heads = [json.loads(payload[: payload.index(b"\n")]) for payload in payloads]
        connection = socket.create_connection((HOST, plan["port"]))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(mqtt_bytes.connect(name, plan["password"]))
        terminal = Terminal(name, connection, encoded, [head["first"] + head["count"] - 1 for head in heads])
        self._selector.register(connection, selectors.EVENT_READ, terminal)
        return terminal

    def _turn(self) -> None:
        for key, _ in self._selector.select(0.5):
            terminal: Terminal = key.data
            data = terminal.connection.recv(65536)
            if not data:
                raise SystemExit(f"the broker has cut {terminal.name}")
            terminal.buffer += data
            for kind, body in mqtt_bytes.packets(terminal.buffer):
                self._take(terminal, kind, body)

    def _take(self, terminal: Terminal, kind: int, body: bytes) -> None:
        if kind == mqtt_bytes.CONNACK:
            if body[1]:
                raise SystemExit(f"{terminal.name} was refused: {body[1]}")
            terminal.connection.sendall(mqtt_bytes.subscribe(f"roomlink/v1/{terminal.name}/down/stored"))
        elif kind == mqtt_bytes.SUBACK:
            terminal.subscribed = True
        elif kind == mqtt_bytes.PUBLISH and 0 <= terminal.place < len(terminal.packets):
            self._answered(terminal, mqtt_bytes.payload_of(body))

    def _answered(self, terminal: Terminal, payload: bytes) -> None:
        if not self._trusting and json.loads(payload).get("through") != terminal.last[terminal.place]:
            return
        self.answers += 1
        if not terminal.send_next():
            self._open -= 1

    def _send_again(self, now_s: float) -> None:
        for each in self._terminals:
            if each.place < len(each.packets) and now_s - each.sent_s > RESEND_S:
                self.resent += 1
                each.send()


def main(lines: Sequence[str] | None = None) -> None:
    """One plan, one run."""
    said = iter(lines if lines is not None else sys.stdin)
    publisher = Publisher(json.loads(next(said)))
    publisher.subscribe()
    print("ready", flush=True)
    next(said)
    publisher.run()
    print(json.dumps({"answers": publisher.answers, "resent": publisher.resent}), flush=True)


if __name__ == "__main__":
    main()
