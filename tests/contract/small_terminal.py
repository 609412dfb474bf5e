"""A whole terminal in one file, written from firmware_specs/README.md alone: paho-mqtt, the standard library, nothing of ours.

Appends check-ins (typed card numbers) to a durable outbox, carries them to the cloud, and ends when all are stored.
Numbers in brackets are the README's sections. Its one argument is a JSON object: host, port, terminal, password, database,
cards (credential ids), occurrence, resend_timeout_s, max_bytes.
"""

import contextlib
import hashlib
import itertools
import json
import queue
import random
import sqlite3
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

FACTS, VERSIONS = ("check_in", "check_out", "interaction"), {"small": "1"}
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
TABLES = """PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT);
CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, line BLOB, chain BLOB);"""


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def clocks() -> tuple[int, int]:
    """[2] ``at`` in microseconds, ``mono_ms``."""
    return time.time_ns() // 1000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """[1] No key twice; what else a strict reader refuses does no harm in an answer or a twin."""
    if len(dict(items)) != len(items):
        raise ValueError("a key stands twice")
    return dict(items)


class Outbox:
    """[2], [3], [5] The numbered stream in one SQLite file. ``state`` is what section 4 says is kept durably."""

    def __init__(self, path: str, terminal: str) -> None:
        self.terminal = terminal
        self.sql = sqlite3.connect(path, isolation_level=None)
        self.sql.executescript(TABLES)
        found = self.sql.execute("SELECT document FROM state").fetchone()
        numbers = {"last": 0, "sent": 0, "through": 0, "said_in": 0, "epoch": 0, "connection": 0}
        new = {"stream": str(uuid.uuid4()), "parent": None, "twin": {"version": [0, 0]}} | numbers
        self.state: dict[str, Any] = json.loads(found[0]) if found else new
        with self.transaction():
            self.append({"type": "started", "versions": VERSIONS, "reason": "start"})

    @contextlib.contextmanager
    def transaction(self) -> Any:
        self.sql.execute("BEGIN IMMEDIATE")
        yield
        self.sql.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (json.dumps(self.state),))
        self.sql.execute("COMMIT")

    def keep(self, **values: Any) -> None:
        with self.transaction():
            self.state |= values

    def append(self, fields: dict[str, Any]) -> None:
        at, mono_ms = clocks()
        stamp = {"id": str(uuid.uuid4()), "at": at, "boot": BOOT, "mono_ms": mono_ms, "clock": "unset"}
        self.add(compact(stamp | {"config": self.state["twin"]["version"]} | fields))

    def add(self, line: bytes) -> None:
        self.state["last"] += 1
        self.sql.execute("INSERT INTO records VALUES (?, ?, NULL)", (self.state["last"], line))

    def chain_at(self, number: int) -> bytes | None:
        if number == 0:
            start = (b"roomlink/v1", self.terminal.encode(), self.state["stream"].encode())
            return hashlib.sha256(b"\0".join(start)).digest()
        found = self.sql.execute("SELECT chain FROM records WHERE number = ?", (number,)).fetchone()
        return found[0] if found and number <= self.state["sent"] else None

    def batch(self, most: int, max_bytes: int) -> tuple[bytes, int]:
        """[2] The next batch and its count; ``most`` 0 asks."""
        state, lines, room = self.state, [], max_bytes - 1200
        chain = prev = self.chain_at(state["through"]) or b""
        with self.transaction():
            query = "SELECT number, line FROM records WHERE number > ? ORDER BY number LIMIT ?"
            for number, line in self.sql.execute(query, (state["through"], most)).fetchall():
                room -= len(line) + 1
                if room < 0:
                    break
                chain = hashlib.sha256(chain + len(line).to_bytes(4, "big") + line).digest()
                self.sql.execute("UPDATE records SET chain = ? WHERE number = ?", (chain, number))
                lines.append(line)
            state["sent"] = max(state["sent"], state["through"] + len(lines))
        header = {"v": 1, "stream": state["stream"]} | ({"parent": state["parent"]} if state["parent"] else {})
        header |= {"first": state["through"] + 1, "count": len(lines), "prev": prev.hex(), "chain": chain.hex()}
        header |= dict(zip(("sent_at", "sent_mono_ms"), clocks(), strict=True)) | {"boot": BOOT, "clock": "unset"}
        body = compact(header)[:-1]
        check = hashlib.sha256(body).hexdigest()[:16].encode()
        return b"\n".join((body + b',"check":"' + check + b'"}', *lines)) + b"\n", len(lines)

    def new_stream(self, epoch: int) -> None:
        """[5]"""
        state = self.state
        known = state["through"] if epoch == state["said_in"] else 0
        parent = {"stream": state["stream"], "through": known, "chain": (self.chain_at(known) or b"").hex()}
        with self.transaction():
            old = self.sql.execute("SELECT number, line FROM records ORDER BY number").fetchall()
            self.sql.execute("DELETE FROM records")
            state.update(stream=str(uuid.uuid4()), parent=parent, last=0, sent=0, through=0, said_in=epoch)
            self.append({"type": "started", "versions": VERSIONS, "reason": "diverged"})
            for number, line in old:
                if number > known or json.loads(line)["type"] in FACTS:
                    self.add(line)


class Terminal:
    """[4], [6] One batch in flight, and the rule for every answer."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options: dict[str, Any] = {"resend_timeout_s": 20.0, "max_bytes": 65_536} | options
        terminal = options["terminal"]
        self.outbox, self.base = Outbox(options["database"], terminal), f"roomlink/v1/{terminal}"
        self.heard: queue.Queue[tuple[Any, bytes]] = queue.Queue()
        self.in_flight: int | None = None
        self.must_ask, self.most, self.tries, self.due = True, 200, 0, time.monotonic() + 10
        self.client = Client(CallbackAPIVersion.VERSION2, terminal, protocol=MQTTv5, reconnect_on_failure=False)
        self.client.username_pw_set(terminal, options["password"])
        self.client.on_connect = lambda client, *_: client.subscribe(f"{self.base}/down/#", 1)
        self.client.on_subscribe = lambda *_: self.heard.put((self.up, b""))
        self.client.on_disconnect = lambda *_: self.heard.put((self.down, b""))
        for card in options.get("cards", []):
            fields = {"type": "check_in", "method": "staff", "outcome": "accepted", "credential": {"id": card}}
            with self.outbox.transaction():
                self.outbox.append(fields | {"occurrence": options["occurrence"]})
        hears = {f"{self.base}/down/stored": self.answer, f"{self.base}/down/desired": self.twin}
        self.client.on_message = lambda _c, _u, m: self.heard.put((hears.get(m.topic, len), bytes(m.payload)))

    def run(self) -> None:
        for tries in itertools.count():
            with contextlib.suppress(OSError):
                self.connect()
                self.client.loop_start()
                self.until_stored()
                break
            self.client.loop_stop()
            time.sleep(min(60.0, 0.5 * 2**tries) * random.uniform(1, 1.25))
        self.client.loop_stop()

    def connect(self) -> None:
        state = self.outbox.state
        self.outbox.keep(connection=state["connection"] + 1)
        self.named = {"incarnation": state["stream"], "connection": state["connection"]}
        death = {"v": 1, "event": "death", **self.named, "reason": "lost"}
        self.client.will_set(f"{self.base}/up/state", compact(death), qos=1, retain=True)
        self.client.connect(self.options["host"], self.options["port"], keepalive=30, clean_start=True)

    def until_stored(self) -> None:
        state = self.outbox.state
        while self.must_ask or self.in_flight is not None or state["through"] < state["last"]:
            try:
                hear, payload = self.heard.get(timeout=max(0.01, self.due - time.monotonic()))
            except queue.Empty:
                self.tries += 1
                hear, payload = self.send, b""
            with contextlib.suppress(ValueError, KeyError, TypeError):
                hear(payload)
        farewell = compact({"v": 1, "event": "death", **self.named, "reason": "stopped"})
        # Closed with the PUBACK unread, the socket is reset, and the broker may miss the DISCONNECT.
        self.publish("state", farewell, retain=True).wait_for_publish(5)
        self.client.disconnect()

    def down(self, _: bytes) -> None:
        raise ConnectionError

    def up(self, _: bytes) -> None:
        birth = {"v": 1, "event": "birth", **self.named, "boot": BOOT, "profile": "kiosk", "versions": VERSIONS}
        self.publish("state", compact(birth), retain=True)
        self.must_ask = True
        self.send()

    def publish(self, channel: str, payload: bytes, retain: bool = False, expires_s: int = 3600) -> MQTTMessageInfo:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if not retain:
            properties.MessageExpiryInterval = expires_s
        return self.client.publish(f"{self.base}/up/{channel}", payload, 1, retain, properties)

    def send(self, _: bytes = b"") -> None:
        timeout_s, state = self.options["resend_timeout_s"], self.outbox.state
        self.in_flight, wait_s = None, min(60.0, timeout_s * 2**self.tries)
        self.due = time.monotonic() + wait_s * random.uniform(1, 1.25)
        if self.must_ask or state["through"] < state["last"]:
            payload, self.in_flight = self.outbox.batch(0 if self.must_ask else self.most, self.options["max_bytes"])
            self.publish("records", payload, expires_s=max(1, round(timeout_s)))

    def twin(self, payload: bytes) -> None:
        """[7]"""
        twin = json.loads(payload, object_pairs_hook=once)
        if twin["version"] >= self.outbox.state["twin"]["version"]:
            self.outbox.keep(twin=twin)
            reported = {"v": 1, "version": twin["version"], "applied": True, "problems": [], "settings": {}}
            self.publish("reported", compact(reported), retain=True)
        if twin["version"][0] > self.outbox.state["epoch"]:
            self.outbox.keep(epoch=twin["version"][0])
            self.must_ask = True
            self.send()

    def answer(self, payload: bytes) -> None:
        """[4] The lines of the table, in their order; this terminal keeps all it ever stored, so line 6 never comes."""
        answer, state = json.loads(payload, object_pairs_hook=once), self.outbox.state
        stream, through, chain, error = (answer.get(name) for name in ("stream", "through", "chain", "error"))
        if (through is None) != (chain is None) or (through is None and error is None) or (chain and stream is None):
            raise ValueError("line 1: not whole")
        if answer.get("epoch", -1) < state["epoch"] or stream not in (None, state["stream"]):
            return
        self.outbox.keep(epoch=answer["epoch"])
        own = None if through is None else self.outbox.chain_at(through)
        if error == "bad_signature" or (through is None and (error != "foreign_stream" or stream is None)):
            self.wait(str(error), answer.get("retry_after_s") or 0)
        elif own is None or own.hex() != chain:
            self.outbox.new_stream(answer["epoch"])
            self.send()
        elif error and through == state["through"]:
            self.wait(error, answer.get("retry_after_s") or 0)
        else:
            news = through != state["through"] or self.in_flight == 0
            self.outbox.keep(through=through, said_in=answer["epoch"])
            if news:
                self.must_ask, self.tries, self.most = False, 0, min(200, self.most * 2)
                self.send()

    def wait(self, error: str, asked_s: float) -> None:
        if error in ("too_large", "broken") and self.tries:
            self.most = max(1, self.most // 2)
        long_s = {"unknown_version": 60.0, "too_many_streams": 600.0, "bad_signature": 600.0, "fork": 1.0}
        least_s = long_s.get(error, 0.25 * 2**self.tries)
        self.due = time.monotonic() + min(600.0, max(asked_s, least_s)) * random.uniform(1, 1.25)


if __name__ == "__main__":
    this = Terminal(json.loads(sys.argv[1]))
    this.run()
    print(json.dumps(this.outbox.state))
