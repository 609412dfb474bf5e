"""A small InfluxDB 2 over HTTP on loopback, for tests without a server: writes, queries, deletes, buckets, errors.

It models what the adapter relies on: a point is its series and nanosecond, and is overwritten field by field; a
field has one type in a measurement; a part of a batch can be refused; answers are annotated CSV. Types are kept by
bucket, where a real server keeps them by shard. Not modelled: permissions beyond the token, tasks, other Flux.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from tests.influx_double_flux import FluxError, Row, Series, Table, evaluate, ns_of
from tests.influx_double_lines import LineError, WrittenPoint, parse_lines

TOKEN, ORG, ORG_ID = "double's token", "double's org", "00000000000000aa"
TYPE_NAMES = {float: "float", int: "integer", str: "string", bool: "boolean"}
CSV_TYPES = {float: "double", int: "long", str: "string", bool: "boolean"}
TIME_COLUMNS = ("_time", "_start", "_stop")


@dataclass
class DoubleBucket:
    """A bucket: its points, the types of its fields, its retention (0: for ever)."""

    name: str
    id: str
    retention_s: int = 0
    series: Series = field(default_factory=dict)
    types: dict[tuple[str, str], type] = field(default_factory=dict)

    def put(self, points: list[WrittenPoint]) -> str | None:
        """Write what can be; the complaint about what cannot, as InfluxDB words it."""
        oldest_ns = now_ns() - self.retention_s * 1_000_000_000 if self.retention_s else 0
        late = sum(point.time_ns < oldest_ns for point in points)
        conflicts = [
            conflict
            for point in points
            if point.time_ns >= oldest_ns and (conflict := self._put_one(point)) is not None
        ]
        if late:
            return (
                f"failure writing points to database: partial write: dropped {late} points outside retention "
                f"policy of duration {self.retention_s}s dropped={late} for database: {self.id}"
            )
        if conflicts:
            first = f"failure writing points to database: partial write: field type conflict: {conflicts[0]}"
            return f"{first} dropped={len(conflicts)}"
        return None

    def _put_one(self, point: WrittenPoint) -> str | None:
        for name, value in point.fields.items():
            known = self.types.setdefault((point.measurement, name), type(value))
            if known is not type(value):
                return (
                    f'input field "{name}" on measurement "{point.measurement}" is type '
                    f"{TYPE_NAMES[type(value)]}, already exists as type {TYPE_NAMES[known]}"
                )
        for name, value in point.fields.items():
            self.series.setdefault((point.measurement, point.tags, name), {})[point.time_ns] = value
        return None

    def delete(self, start_ns: int, stop_ns: int) -> None:
        """Both ends are included."""
        for values in self.series.values():
            for at in [at for at in values if start_ns <= at <= stop_ns]:
                del values[at]


@dataclass(frozen=True)
class Failure:
    """An answer to give instead of the right one; status 0 breaks the connection."""

    status: int
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)


class InfluxDouble:
    """The server: `with InfluxDouble() as influx: influx.url`."""

    def __init__(self) -> None:
        self.buckets: dict[str, DoubleBucket] = {}
        self.failures: deque[Failure | None] = deque()  # None: the right answer to that request
        self.is_stopped = False
        self.max_body_bytes = 50_000_000
        self.requests: list[tuple[str, str, str]] = []  # method, path, body
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def bodies(self, path: str) -> list[str]:
        """What was sent to a path, in order."""
        return [body for _, to, body in self.requests if to == path]

    def add_bucket(self, name: str, retention_s: int = 0) -> DoubleBucket:
        """Make a bucket."""
        bucket = DoubleBucket(name, f"{len(self.buckets) + 1:016x}", retention_s)
        self.buckets[name] = bucket
        return bucket

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or every answer waits 40 ms for its second packet

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Say nothing."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with double.lock:
                    failure = double.failures.popleft() if double.failures else None
                    reply = double.reply(self, body) if failure is None else refuse(failure)
                if double.is_stopped or (failure is not None and failure.status == 0):
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - names of the base

        return Handler

    def reply(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        """The answer to a request."""
        address = urlsplit(request.path)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.requests.append((request.command, address.path, body.decode()))
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return error(401, "unauthorized", "unauthorized access")
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if asked.get("org", ORG) != ORG:
            return error(404, "not found", f'organization name "{asked["org"]}" not found')
        path = address.path.removeprefix("/api/v2/")
        if path == "write":
            return self._write(asked, body)
        if path == "query":
            return self._query(json.loads(body)["query"])
        if path == "delete":
            limits = json.loads(body)
            self.buckets[asked["bucket"]].delete(ns_of(limits["start"]), ns_of(limits["stop"]))
            return Reply(204)
        if path == "orgs":
            return as_json({"orgs": [{"id": ORG_ID, "name": ORG}]})
        if path.startswith("buckets"):
            return self._bucket(request.command, path, asked, json.loads(body or b"{}"))
        return error(404, "not found", "path not found")

    def _write(self, asked: dict[str, str], body: bytes) -> Reply:
        bucket = self.buckets.get(asked["bucket"])
        if bucket is None:
            return error(404, "not found", f'bucket "{asked["bucket"]}" not found')
        if len(body) > self.max_body_bytes:
            return error(413, "request too large", "unable to read data: points batch is too large")
        if asked.get("precision", "ns") != "ns":
            return error(400, "invalid", "this double knows nanoseconds only")
        try:
            points = parse_lines(body.decode())
        except LineError as problem:
            return error(400, "invalid", f"unable to parse {problem}")
        complaint = bucket.put(points)
        return Reply(204) if complaint is None else error(422, "unprocessable entity", complaint)

    def _query(self, script: str) -> Reply:
        try:
            results = evaluate(script, {name: bucket.series for name, bucket in self.buckets.items()})
        except FluxError as problem:
            return error(400, "invalid", str(problem))
        return Reply(200, annotated_csv(results).encode(), {"Content-Type": "text/csv; charset=utf-8"})

    def _bucket(self, method: str, path: str, asked: dict[str, str], sent: dict[str, object]) -> Reply:
        if method == "POST":
            self.add_bucket(str(sent["name"]), retention_in(sent))
            return as_json(shown(self.buckets[str(sent["name"])]), 201)
        if method == "PATCH":
            (bucket,) = [each for each in self.buckets.values() if path == f"buckets/{each.id}"]
            rule = rule_in(sent)
            if 0 < rule["everySeconds"] < rule["shardGroupDurationSeconds"]:
                return error(422, "unprocessable entity", "shard-group duration must be smaller than retention")
            bucket.retention_s = rule["everySeconds"]
            return as_json(shown(bucket))
        if asked["name"] not in self.buckets:
            return error(404, "not found", f'bucket "{asked["name"]}" not found')
        return as_json({"buckets": [shown(self.buckets[asked["name"]])]})

    def __enter__(self) -> InfluxDouble:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening; connections are refused from here on."""
        self.is_stopped = True
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, message: str) -> Reply:
    return as_json({"code": code, "message": message}, status)


def refuse(failure: Failure) -> Reply:
    reply = error(failure.status, "injected", failure.message)
    return Reply(reply.status, reply.body, {**reply.headers, **failure.headers})


def as_json(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def rule_in(sent: dict[str, object]) -> dict[str, int]:
    rules = sent["retentionRules"]
    assert isinstance(rules, list)
    return dict(rules[0])


def retention_in(sent: dict[str, object]) -> int:
    return rule_in(sent)["everySeconds"]


def shown(bucket: DoubleBucket) -> dict[str, object]:
    rules = [{"type": "expire", "everySeconds": bucket.retention_s}] if bucket.retention_s else []
    return {"id": bucket.id, "name": bucket.name, "orgID": ORG_ID, "retentionRules": rules}


def now_ns() -> int:
    return (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def annotated_csv(results: dict[str, list[Table]]) -> str:
    """Source: InfluxDB 2 reference, "Annotated CSV": blocks of tables with the same columns, CRLF between lines."""
    out = io.StringIO()
    writer = csv.writer(out)
    for result, tables in results.items():
        numbered = list(enumerate(tables))
        for schema, block in groupby(numbered, key=lambda item: schema_of(item[1])):
            columns = [name for name, _, _ in schema]
            writer.writerow(["#datatype", "string", "long", *(kind for _, kind, _ in schema)])
            writer.writerow(["#group", "false", "false", *(grouped for _, _, grouped in schema)])
            writer.writerow(["#default", result, "", *("" for _ in schema)])
            writer.writerow(["", "result", "table", *columns])
            for number, table in block:
                for row in table.rows:
                    writer.writerow(["", "", number, *(shown_value(row, name) for name in columns)])
            out.write("\r\n")
    return out.getvalue()


def schema_of(table: Table) -> tuple[tuple[str, str, str], ...]:
    """Name, data type and whether it is in the group key, of each column."""
    return tuple(
        (
            name,
            "dateTime:RFC3339" if name in TIME_COLUMNS else CSV_TYPES[type(value)],
            "true" if name in table.key else "false",
        )
        for name, value in sorted(table.rows[0].items())
    )


def shown_value(row: Row, name: str) -> str:
    value = row.get(name, "")
    if name in TIME_COLUMNS and isinstance(value, int):
        seconds, below = divmod(value, 1_000_000_000)
        whole = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        fraction = f".{below:09d}".rstrip("0") if below else ""
        return f"{whole}{fraction}Z"
    return str(value).lower() if isinstance(value, bool) else str(value)
