"""Vectors of single records, the files behind a twin, and topics."""

from collections.abc import Iterator, Mapping
from typing import Any

from firmware_specs import roster
from firmware_specs.messages import (
    Clock,
    Dropped,
    Outcome,
    Reason,
)
from firmware_specs.vectors import cards, samples
from firmware_specs.vectors.twins import desired
from firmware_specs.vectors.vector import Kind, Vector
from firmware_specs.wire import encode_record

HASH_KEY = samples.digest("roomlink TEST roster key: never trust it")


def records() -> Iterator[Vector]:
    """Record lines that are understood."""
    good = {"read": "ok"}
    refused = {"outcome": Outcome.REFUSED, "occurrence": None, "reason": Reason.EXPIRED}
    yield _record("check-in-refused", "an expired card", encode_record(samples.check_in(1, **refused)), good)
    yield _record(
        "guest-clock-unset",
        "1970, told by a clock that was never set",
        encode_record(samples.guest(1).model_copy(update={"at": 3_000_000})),
        good,
    )
    yield _record("interaction", "touches of one minute", encode_record(samples.interaction(1)), good)
    dropped = Dropped(**samples.base(1), dropped_type="health", reason="space")
    yield _record("dropped", "in the place of a health sample", encode_record(dropped), good)
    yield _record("clock-holdover", "a clock that was right a while ago", _changed({"clock": Clock.HOLDOVER}), good)
    yield _record(
        "leap-second",
        "2016-12-31T23:59:60Z has the same number as the second after it",
        _changed({"at": 1_483_228_800_000_000}),
        good,
    )
    yield _record(
        "escaped",
        "the same text, written with escapes",
        _changed({"clock": "s\u0079nced"}).replace(b"synced", b"s\\u0079nced"),
        good,
    )
    yield _record(
        "white-space", "spaces where JSON allows them", _line().replace(b":", b" : ").replace(b",", b" ,\t"), good
    )


def records_refused() -> Iterator[Vector]:
    """Record lines for the quarantine."""
    yield from _wrong_stamps()
    yield from _wrong_metrics()
    yield from _wrong_json()
    yield from _wrong_facts()


def _wrong_stamps() -> Iterator[Vector]:
    yield _quarantined("type-missing", "no type", _changed({"type": None}), "record")
    yield _quarantined(
        "id-upper-case",
        "ids are lower case",
        _changed({"id": samples.record_id(1).replace("8000", "8ABC")}),
        "record.health.id",
    )
    yield _quarantined("id-missing", "no id", _changed({"id": None}), "record.health.id")
    yield _quarantined("at-float", "a time with a fraction", _changed({"at": 1.5}), "record.health.at")
    yield _quarantined("at-negative", "before 1970", _changed({"at": -1}), "record.health.at")
    yield _quarantined("at-year-10000", "after 9999", _changed({"at": 253_402_300_800_000_000}), "record.health.at")
    yield _quarantined("at-64-bits", "2**64", _changed({"at": 2**64}), "record.health.at")
    yield _quarantined(
        "config-one", "a twin's version has two numbers", _changed({"config": [1]}), "record.health.config.1"
    )


def _wrong_metrics() -> Iterator[Vector]:
    yield _quarantined(
        "metric-text",
        "a measurement is no text",
        _changed({"metrics": {"cpu_percent": "12"}}),
        "record.health.metrics.cpu_percent",
    )
    yield _quarantined(
        "metric-huge",
        "1e400 is no number here",
        _line().replace(b"12.5", b"1e400"),
        "record.health.metrics.cpu_percent",
    )
    yield _quarantined("metric-infinity", "Infinity is no JSON", _line().replace(b"12.5", b"-Infinity"), "record")
    yield _quarantined(
        "metrics-65",
        "more than 64 measurements",
        _changed({"metrics": {f"m{n}": n for n in range(65)}}),
        "record.health.metrics",
    )


def _wrong_json() -> Iterator[Vector]:
    yield _quarantined(
        "metric-twice",
        "which value is meant?",
        _line().replace(b'"cpu_percent"', b'"cpu_percent":1,"cpu_percent"'),
        "record",
    )
    yield _quarantined(
        "key-twice-in-unknown",
        "even where nobody looks",
        _changed({"x": 0}).replace(b'"x":0', b'"x":{"a":1,"a":1}'),
        "record",
    )
    yield _quarantined("number-leading-zero", "012 is no JSON", _line().replace(b"12.5", b"012.5"), "record")
    yield _quarantined("comment", "JSON has no comments", _line()[:-1] + b"/**/}", "record")
    yield _quarantined("two-objects", "one line, one record", _line() + _line(), "record")


def _wrong_facts() -> Iterator[Vector]:
    unknown = samples.check_in(1).model_dump(mode="json", exclude_none=True)
    yield _quarantined(
        "outcome-unknown",
        "a new outcome changes what the record means",
        samples.compact(unknown | {"outcome": "teleported"}),
        "record.check_in.outcome",
    )
    yield _quarantined(
        "occurrence-malformed",
        "no start",
        samples.compact(unknown | {"occurrence": "act_test"}),
        "record.check_in.occurrence",
    )
    gap = {"stream": samples.OTHER_STREAM, "first": 5, "last": 4, "reason": "trimmed"}
    started = samples.started().model_dump(mode="json", exclude_none=True)
    yield _quarantined(
        "gap-backwards", "last before first", samples.compact(started | {"gap": gap}), "record.started.gap"
    )
    yield _quarantined(
        "nul",
        "PostgreSQL keeps no NUL",
        samples.compact(started | {"versions": {"agent": "0.1\0"}}),
        "record.started.versions.agent",
    )


def files() -> Iterator[Vector]:
    """Roster and revocation files."""
    entries = [
        roster.roster_entry(HASH_KEY, samples.SUBJECT, [cards.CARD.id], ["org_branch", "org_root"]),
        roster.roster_entry(HASH_KEY, "MadeUpMadeUpMadeUpMadA", [], ["org_root"]),
    ]
    lines = list(roster.roster_lines(HASH_KEY, entries))
    good = {"read": "ok", "members": 2}
    given = {"subject": samples.SUBJECT, "subject_hash": roster.keyed_hash(HASH_KEY, samples.SUBJECT)}
    given |= {"card": cards.CARD.id, "card_hash": roster.keyed_hash(HASH_KEY, cards.CARD.id)}
    yield Vector("roster", "two-members", "keyed hashes, in order", b"".join(lines), good, given=given)
    yield Vector("roster", "empty", "nobody", next(roster.roster_lines(HASH_KEY, [])), {"read": "ok", "members": 0})
    yield _file("roster", "cut", "a line is missing", b"".join(lines[:-1]), "file")
    yield _file("roster", "cut-in-line", "cut within a line", b"".join(lines)[:-5], "line 3")
    yield _file("roster", "out-of-order", "searching would miss", b"".join([lines[0], *reversed(lines[1:])]), "line 3")
    yield _file("roster", "twice", "one member, two lines", lines[0] + lines[1] * 2, "line 3")
    yield _file("roster", "wrong-kind", "another file", b"".join(roster.revocation_lines(1, [])), "line 1.kind")
    revoked = list(roster.revocation_lines(samples.EPOCH, [cards.CARD.id, "0" * 16]))
    yield Vector("revocations", "two", "credential ids in order", b"".join(revoked), {"read": "ok", "revoked": 2})
    yield _file("revocations", "cut", "a line is missing", b"".join(revoked[:-1]), "file")
    yield _file("revocations", "not-an-id", "upper case", revoked[0] + b"ABCDEF0000000000\n", "line 2")
    yield _file("revocations", "empty", "not even a head", b"", "line 1")


def occurrence_files() -> Iterator[Vector]:
    """Files of occurrences."""
    first = desired().occurrences[0]
    day_us = 86_400_000_000
    later = {
        "starts_at": first.starts_at + day_us,
        "ends_at": first.ends_at + day_us,
        "opens_at": first.opens_at + day_us,
    }
    second = first.model_copy(update={"id": "act_test/20261124T093000Z", **later})
    until = samples.AT + 31 * day_us
    lines = list(roster.occurrence_lines(until, [second, first]))
    good = {"read": "ok", "occurrences": 2, "until": until}
    yield Vector("occurrences", "two-dates", "by their start", b"".join(lines), good)
    none = next(roster.occurrence_lines(until, []))
    yield Vector("occurrences", "none", "nothing takes place", none, {"read": "ok", "occurrences": 0, "until": until})
    same_start = list(
        roster.occurrence_lines(until, [first, first.model_copy(update={"id": "act_a/20261123T093000Z"})])
    )
    yield Vector("occurrences", "same-start", "two at once, by their id", b"".join(same_start), good)
    yield _file("occurrences", "cut", "a line is missing", b"".join(lines[:-1]), "file")
    yield _file("occurrences", "cut-in-line", "cut within a line", b"".join(lines)[:-5], "line 3")
    yield _file("occurrences", "more-than-counted", "a line too many", b"".join([none, lines[1]]), "file")
    yield _file("occurrences", "out-of-order", "the later first", b"".join([lines[0], lines[2], lines[1]]), "line 3")
    yield _file("occurrences", "twice", "one occurrence, two lines", lines[0] + lines[1] * 2, "line 3")
    yield _file("occurrences", "no-until", "until when is it known?", b'{"v":1,"kind":"occurrences","count":0}\n',
                "line 1.until")  # fmt: skip
    too_many = lines[0].replace(b'"count":2', b'"count":10001')
    yield _file("occurrences", "count-10001", "more than a terminal must hold", too_many, "line 1.count")
    yield _file("occurrences", "wrong-kind", "another file", b"".join(roster.revocation_lines(1, [])), "line 1.kind")


def topics() -> Iterator[Vector]:
    """Topics of the contract, and others."""
    good = "roomlink/v1/kiosk-302-a/up/records"
    yield Vector(
        "topic", "records", "a terminal's records", good.encode(), {"terminal": "kiosk-302-a", "channel": "up/records"}
    )
    yield Vector(
        "topic",
        "shortest-id",
        "one character",
        b"roomlink/v1/7/down/stored",
        {"terminal": "7", "channel": "down/stored"},
    )
    for name, shows, text in (
        ("version-2", "another major version", good.replace("v1", "v2")),
        ("deeper", "one level more", good + "/x"),
        ("unknown-channel", "no such channel", "roomlink/v1/kiosk-302-a/up/gossip"),
        ("no-terminal", "an empty level", "roomlink/v1//up/records"),
        ("wildcard", "a pattern is no topic", "roomlink/v1/+/up/records"),
        ("upper-case", "ids are lower case", good.replace("kiosk", "Kiosk")),
        ("reserved", "the cloud's own name", "roomlink/v1/roomlink-cloud/up/records"),
        ("id-41", "41 characters", f"roomlink/v1/{'k' * 41}/up/records"),
        ("hyphen-last", "an id ends in a letter or digit", "roomlink/v1/kiosk-/up/records"),
    ):
        yield Vector("topic", name, shows, text.encode(), {"refused": "topic"})


def _line() -> bytes:
    return encode_record(samples.health(1))


def _changed(changes: dict[str, Any]) -> bytes:
    """A health record's line with other fields; None takes one away."""
    fields = samples.health(1).model_dump(mode="json") | changes
    return samples.compact({name: value for name, value in fields.items() if value is not None})


def _record(name: str, shows: str, line: bytes, expect: Mapping[str, Any]) -> Vector:
    return Vector("record", name, shows, line, expect)


def _quarantined(name: str, shows: str, line: bytes, where: str) -> Vector:
    return _record(name, shows, line, {"refused": "broken", "where": where})


def _file(kind: Kind, name: str, shows: str, content: bytes, where: str) -> Vector:
    return Vector(kind, name, shows, content, {"refused": "broken", "where": where})
