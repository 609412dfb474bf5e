"""Vectors of presence, and of desired and reported twins."""

from collections.abc import Iterator

from firmware_specs.messages import (
    Desired,
    FileReference,
    IssuerKey,
    Occurrence,
    OrganisationFacts,
    Reported,
    RoomFacts,
)
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.vectors import cards, samples
from firmware_specs.vectors.vector import Kind, Vector
from firmware_specs.wire import encode


def presence() -> Iterator[Vector]:
    """Births and deaths."""
    birth = Birth(
        incarnation=samples.STREAM, connection=1, boot=samples.BOOT, profile="kiosk", versions={"agent": "0.1.0"}
    )
    death = Death(incarnation=samples.STREAM, connection=1)
    yield _ok("state", "birth", "retained at every connection", encode(birth))
    yield _ok("state", "death", "the will of that connection", encode(death))
    yield _ok(
        "state", "future-state", "an unknown state counts as online", encode(birth).replace(b'"online"', b'"dreaming"')
    )
    yield _bad(
        "state",
        "connection-0",
        "connections count from 1",
        encode(birth).replace(b'"connection":1', b'"connection":0'),
        "state.birth.connection",
    )
    yield _bad(
        "state", "event-unknown", "neither birth nor death", encode(birth).replace(b'"birth"', b'"rebirth"'), "state"
    )
    yield _bad(
        "state",
        "oversized",
        "more than 8 KiB",
        encode(birth)[:-1] + b',"x":"' + b"y" * 8192 + b'"}',
        "state",
        "too_large",
    )


def twins() -> Iterator[Vector]:
    """Desired and reported twins."""
    yield from _desired_read()
    yield from _desired_refused()
    yield from _files_refused()
    yield from _reported()


def desired() -> Desired:
    """A kiosk's small twin."""
    occurrence = Occurrence(
        id="act_test/20261123T093000Z",
        title="书法",
        title_en="Calligraphy",
        starts_at=samples.AT,
        ends_at=samples.AT + 5_400_000_000,
        opens_at=samples.AT - 1_800_000_000,
        audience=["org_branch"],
    )
    keys = [IssuerKey(**key) for key in cards.trusted_keys()[:2]]
    return Desired(
        version=samples.CONFIG,
        room=RoomFacts(id="rm_test", number="302", name="测试室", name_en="Test room"),
        organisation=OrganisationFacts(id="org_branch", name="测试部", name_en="Test branch", timezone="Asia/Shanghai"),
        occurrences=[occurrence],
        issuer_keys=keys,
        roster=FileReference(sha256="a" * 64, size=512, path="/api/v1/terminals/self/files/" + "a" * 64),
    )


def _desired_read() -> Iterator[Vector]:
    twin = desired()
    yield _ok("desired", "kiosk", "a small twin", encode(twin))
    yield _ok("desired", "occurrences-file", "what does not fit is in a file", encode(_with_file()))
    yield _ok("desired", "empty", "a terminal without a room", encode(Desired(version=samples.CONFIG)))
    yield _ok(
        "desired", "future-language", "an unknown language counts as English", encode(twin).replace(b'"zh"', b'"fr"')
    )
    texts = {"title": "مرحبا \u202e abc", "title_en": "Cafe\u0301 \U0001f469\u200d\U0001f4bb"}
    odd = twin.model_copy(update={"occurrences": [twin.occurrences[0].model_copy(update=texts)]})
    yield _ok(
        "desired", "right-to-left", "right-to-left, combining characters and an emoji of three code points", encode(odd)
    )
    yield _ok("desired", "longest-name", "200 code points, four bytes each", _named("𠮷" * 200))


def _desired_refused() -> Iterator[Vector]:
    twin = desired()
    yield _bad("desired", "overlong-name", "201 code points", _named("𠮷" * 201), "desired.room.name")
    yield _bad("desired", "name-with-newline", "control characters", _named("a\\nb"), "desired.room.name")
    yield _bad(
        "desired",
        "version-one-number",
        "epoch and number",
        encode(twin).replace(b"]", b"", 1).replace(b",7", b""),
        "desired",
    )
    yield _bad(
        "desired",
        "oversized",
        "more than 64 KiB",
        encode(twin)[:-1] + b',"x":"' + b"y" * 65_536 + b'"}',
        "desired",
        "too_large",
    )


def _files_refused() -> Iterator[Vector]:
    yield _bad(
        "desired",
        "occurrences-file-no-hash",
        "a file is named by its hash",
        encode(_with_file()).replace(b"b" * 64, b"B" * 64, 1),
        "desired.occurrences_file.sha256",
    )
    for name, path in (("host", "//evil.example/"), ("user", "@evil.example/"), ("relative", "files/")):
        yield _bad(
            "desired",
            f"file-path-{name}",
            "a path begins with one slash: the terminal's password goes to its own cloud only",
            encode(desired()).replace(b'"path":"/api/', b'"path":"' + path.encode(), 1),
            "desired.roster.path",
        )


def _reported() -> Iterator[Vector]:
    reported = Reported(version=samples.CONFIG, applied=False, problems=["roster: the file has another hash"])
    yield _ok("reported", "problem", "a twin that could not be applied whole", encode(reported))
    yield _bad(
        "reported", "applied-text", "true is no text", encode(reported).replace(b"false", b'"no"'), "reported.applied"
    )


def _with_file() -> Desired:
    """The same, cut, with a file of occurrences."""
    twin = desired()
    path = "/api/v1/terminals/self/files/" + "b" * 64
    file = FileReference(sha256="b" * 64, size=70_000, path=path)
    return twin.model_copy(update={"occurrences_until": twin.occurrences[0].ends_at, "occurrences_file": file})


def _named(name: str) -> bytes:
    return encode(desired()).replace("测试室".encode(), name.encode())


def _ok(kind: Kind, name: str, shows: str, payload: bytes) -> Vector:
    return Vector(kind, name, shows, payload, {"read": "ok"}, _topic(kind))


def _bad(kind: Kind, name: str, shows: str, payload: bytes, where: str, error: str = "broken") -> Vector:
    return Vector(kind, name, shows, payload, {"refused": error, "where": where}, _topic(kind))


def _topic(kind: Kind) -> str:
    way = "down" if kind == "desired" else "up"
    return f"roomlink/v1/{samples.TERMINAL}/{way}/{kind}"
