"""Reads and evaluates the part of Flux that the time series' questions are written in, for the InfluxDB double.

It parses rather than recognises, so that a wrong filter gives a wrong answer, and knows the errors that a real
server gives for these functions. Sources: Flux language specification and its `universe` package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Value = float | int | str | bool
Row = dict[str, Value]
SeriesKey = tuple[str, tuple[tuple[str, str], ...], str]  # measurement, tags, field
Series = dict[SeriesKey, dict[int, Value]]  # values by time in nanoseconds

TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<regex>/(?:[^/\\]|\\.)+/)
      | (?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)
      | (?P<duration>\d+us)
      | (?P<number>\d+\.\d+)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>\|>|=>|==|!=|!~|[()\[\]:,.])
    )""",
    re.VERBOSE,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class FluxError(Exception):
    """What a server answers with status 400."""


@dataclass
class Table:
    """Rows with a common group key."""

    key: Row
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """A function and its arguments, as parsed."""

    name: str
    arguments: dict[str, object]


class Parser:
    """A recursive descent over one script."""

    def __init__(self, script: str) -> None:
        self.tokens = list(tokens_of(script))
        self.place = 0

    def script(self) -> list[list[Call]]:
        """All pipelines."""
        pipelines = []
        while self.place < len(self.tokens):
            pipelines.append(self.pipeline())
        return pipelines

    def pipeline(self) -> list[Call]:
        calls = [self.call()]
        while self.is_next("|>"):
            self.take("|>")
            calls.append(self.call())
        return calls

    def call(self) -> Call:
        name = self.take_kind("word")
        self.take("(")
        arguments: dict[str, object] = {}
        while not self.is_next(")"):
            label = self.take_kind("word")
            self.take(":")
            arguments[label] = self.expression()
            if self.is_next(","):
                self.take(",")
        self.take(")")
        return Call(name, arguments)

    def expression(self) -> object:
        kind, text = self.peek()
        if text == "[":
            return self.array()
        if text == "(":
            for sign in ("(", "r", ")", "=>"):
                self.take(sign)
            return self.either()
        self.place += 1
        return literal(kind, text)

    def array(self) -> list[object]:
        self.take("[")
        items: list[object] = []
        while not self.is_next("]"):
            items.append(self.expression())
            if self.is_next(","):
                self.take(",")
        self.take("]")
        return items

    def either(self) -> Callable[[Row], bool]:
        sides = [self.both()]
        while self.is_next("or"):
            self.take("or")
            sides.append(self.both())
        return lambda row: any(side(row) for side in sides)

    def both(self) -> Callable[[Row], bool]:
        sides = [self.comparison()]
        while self.is_next("and"):
            self.take("and")
            sides.append(self.comparison())
        return lambda row: all(side(row) for side in sides)

    def comparison(self) -> Callable[[Row], bool]:
        self.take("r")
        self.take(".")
        column = self.take_kind("word")
        sign = self.take_kind("sign")
        kind, text = self.peek()
        self.place += 1
        wanted = literal(kind, text)
        if sign == "!~":
            return lambda row: not re.search(str(wanted), str(row.get(column, "")))
        if sign not in ("==", "!="):
            raise FluxError(f"error: unknown sign {sign}")
        return lambda row: column in row and (row[column] == wanted) is (sign == "==")

    def peek(self) -> tuple[str, str]:
        if self.place >= len(self.tokens):
            raise FluxError("error: unexpected end of script")
        return self.tokens[self.place]

    def is_next(self, text: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place][1] == text

    def take(self, text: str) -> None:
        if self.peek()[1] != text:
            raise FluxError(f"error: expected {text}, got {self.peek()[1]}")
        self.place += 1

    def take_kind(self, kind: str) -> str:
        found, text = self.peek()
        if found != kind:
            raise FluxError(f"error: expected a {kind}, got {text}")
        self.place += 1
        return text


def tokens_of(script: str) -> Iterable[tuple[str, str]]:
    place = 0
    while script[place:].strip():
        match = TOKEN.match(script, place)
        if match is None or match.lastgroup is None:
            raise FluxError(f"error: cannot read {script[place : place + 40]!r}")
        yield match.lastgroup, match[match.lastgroup]
        place = match.end()


def literal(kind: str, text: str) -> object:
    if kind == "string":
        body = text[1:-1]
        if re.search(r"(?<!\\)(?:\\\\)*\$\{", body):
            raise FluxError("error: string interpolation of data")
        return re.sub(r"\\(.)", lambda match: ESCAPES[match[1]], body)
    if kind == "regex":
        return text[1:-1].replace("\\/", "/")
    if kind == "time":
        return ns_of(text)
    if kind == "duration":
        return int(text.removesuffix("us")) * 1_000
    if kind == "number":
        return float(text)
    raise FluxError(f"error: unexpected {text}")


def ns_of(text: str) -> int:
    """RFC 3339 to nanoseconds."""
    whole, _, fraction = text.replace("+00:00", "Z").removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(whole + "+00:00") - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def evaluate(script: str, buckets: dict[str, Series]) -> dict[str, list[Table]]:
    """The tables of each result, by the name it is yielded under."""
    results: dict[str, list[Table]] = {}
    for pipeline in Parser(script).script():
        name, tables = "_result", list[Table]()
        for call in pipeline:
            if call.name == "yield":
                name = str(call.arguments["name"])
            else:
                tables = apply(call, tables, buckets)
        if name in results:
            raise FluxError(f"error: two results are called {name}")
        results[name] = tables
    return results


def apply(call: Call, tables: list[Table], buckets: dict[str, Series]) -> list[Table]:
    """One step of a pipeline."""
    if call.name == "from":
        return read(buckets, str(call.arguments["bucket"]))
    steps: dict[str, Callable[[list[Table], dict[str, object]], list[Table]]] = {
        "range": limit_to_range,
        "filter": keep_matching,
        "window": split_in_windows,
        "group": regroup,
        "sort": put_in_order,
    }
    if call.name in steps:
        return steps[call.name](tables, call.arguments)
    if call.name in ("count", "sum"):
        return [aggregate(call.name, table) for table in tables]
    if call.name in ("min", "max", "last"):
        return [select(call.name, table) for table in tables]
    raise FluxError(f"error: undefined identifier {call.name}")


def read(buckets: dict[str, Series], bucket: str) -> list[Table]:
    if bucket not in buckets:
        raise FluxError(f"failed to initialize execute state: could not find bucket {bucket!r}")
    tables = []
    for (measurement, tags, name), values in sorted(buckets[bucket].items()):
        key: Row = {"_measurement": measurement, "_field": name, **dict(tags)}
        rows = [key | {"_time": at, "_value": value} for at, value in sorted(values.items())]
        tables.append(Table(key, rows))
    return tables


def limit_to_range(tables: list[Table], arguments: dict[str, object]) -> list[Table]:
    start, stop = arguments["start"], arguments["stop"]
    assert isinstance(start, int)
    assert isinstance(stop, int)
    if start >= stop:
        raise FluxError("error in building plan while starting program: cannot query an empty range")
    bounds: Row = {"_start": start, "_stop": stop}
    limited = []
    for table in tables:
        rows = [row | bounds for row in table.rows if start <= time_of(row) < stop]
        limited.append(Table(table.key | bounds, rows))
    return [table for table in limited if table.rows]


def keep_matching(tables: list[Table], arguments: dict[str, object]) -> list[Table]:
    is_wanted = arguments["fn"]
    assert callable(is_wanted)
    kept = [Table(table.key, [row for row in table.rows if is_wanted(row)]) for table in tables]
    return [table for table in kept if table.rows]


def split_in_windows(tables: list[Table], arguments: dict[str, object]) -> list[Table]:
    """Windows are multiples of `every` since 1970, cut off where the range begins and ends."""
    every = arguments["every"]
    assert isinstance(every, int)
    windows: dict[str, Table] = {}
    for table in tables:
        first, end = table.key["_start"], table.key["_stop"]
        assert isinstance(first, int)
        assert isinstance(end, int)
        for row in table.rows:
            start = time_of(row) - time_of(row) % every
            bounds: Row = {"_start": max(start, first), "_stop": min(start + every, end)}
            key = table.key | bounds
            windows.setdefault(repr(sorted(key.items())), Table(key)).rows.append(row | bounds)
    return list(windows.values())


def regroup(tables: list[Table], arguments: dict[str, object]) -> list[Table]:
    columns = arguments["columns"]
    assert isinstance(columns, list)
    groups: dict[str, Table] = {}
    for row in (row for table in tables for row in table.rows):
        key = {column: row[column] for column in columns if column in row}
        table = groups.setdefault(repr(key), Table(key))
        if table.rows and type(table.rows[0]["_value"]) is not type(row["_value"]):
            raise FluxError('schema collision detected: column "_value" is both of type string and float')
        table.rows.append(row)
    return list(groups.values())


def put_in_order(tables: list[Table], arguments: dict[str, object]) -> list[Table]:
    columns = arguments["columns"]
    assert isinstance(columns, list)
    return [Table(t.key, sorted(t.rows, key=lambda row: [row[column] for column in columns])) for t in tables]


def aggregate(name: str, table: Table) -> Table:
    """Aggregates keep the group key and nothing else."""
    if name == "count":
        return Table(table.key, [table.key | {"_value": len(table.rows)}])
    return Table(table.key, [table.key | {"_value": sum(numbers(name, table))}])


def select(name: str, table: Table) -> Table:
    """Selectors keep the whole row."""
    if name == "last":
        return Table(table.key, [table.rows[-1]])
    values = numbers(name, table)
    chosen = min(values) if name == "min" else max(values)
    return Table(table.key, [table.rows[values.index(chosen)]])


def numbers(name: str, table: Table) -> list[float | int]:
    values = []
    for row in table.rows:
        value = row["_value"]
        if isinstance(value, str | bool):
            raise FluxError(f"unsupported input type for {name} aggregate: {type(value).__name__}")
        values.append(value)
    return values


def time_of(row: Row) -> int:
    at = row["_time"]
    assert isinstance(at, int)
    return at
