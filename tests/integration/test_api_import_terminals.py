"""Import of terminals: every mistake with row, column and sentence; all or nothing, or only the good; and out again."""

import asyncio
import csv
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console.words import Language, Words
from cloud.csv_reading import MAX_SHOWN, Report
from cloud.database import transaction
from cloud.errors import Invalid
from cloud.ingest.line import Line
from cloud.scope import EVERYWHERE
from cloud.terminals import import_page
from tests.office import JSON, Office, etag
from tests.pen import Pen

IMPORT = "/api/v1/terminals/import"
MISTAKES = 500
ROWS = 10_000
AT_MOST_S = 120.0
"""For 10,000 rows, on a machine with much else to do."""
SLOWED_S = 10.0
"""More than a check-in and a question together may ever take beside it, on such a machine."""
MOST_BYTES = 1 << 20


@pytest.fixture
def place(office: Office) -> JSON:
    organisation = office.organisation()
    return {"organisation": organisation, "room": office.room(organisation["id"])}


def send(office: Office, text: str, role: Role = Role.ADMIN, **query: object) -> httpx.Response:
    with office.client(role) as client:
        return client.post(
            IMPORT, params={k: str(v).lower() for k, v in query.items()}, content=text.encode(), timeout=300,
            headers={"Content-Type": "text/csv"},
        )  # fmt: skip


def get(office: Office, terminal_id: str) -> httpx.Response:
    with office.client() as client:
        return client.get(f"/api/v1/terminals/{terminal_id}")


@pytest.mark.parametrize(
    ("row", "where", "says"),
    [
        ("Kiosk,kiosk,,,", "id", "pattern"),
        ("import,kiosk,,,", "id", "reserved"),
        (",kiosk,,,", "id", "pattern"),
        ("imp-1,robot,,,", "kind", "'kiosk' or 'tv'"),
        ("imp-1,kiosk,没有,,", "room", "there is no room '没有'"),
        ("imp-1,kiosk,,,3", "health_every_s", "must be 5 to 86400 s, and is 3"),
        ("imp-1,kiosk,,,often", "health_every_s", "must be 5 to 86400 s, and is often"),
        ("imp-1,kiosk,,fr,", "language", "must be one of zh, en, and is fr"),
        ("=imp-1,kiosk,,,", "id", "formula"),
        ("imp-1,kiosk", "row", "2 cells, and the header has 5"),
    ],
)
def test_mistake_is_said_with_row_column_and_sentence_and_nothing_is_kept(
    office: Office, row: str, where: str, says: str
) -> None:
    answer = send(office, f"id,kind,room,language,health_every_s\nimp-good,kiosk,,,\n{row}\n")
    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert fault["where"] == f"row 3, {where}"
    assert says in fault["says"]
    assert get(office, "imp-good").status_code == 404


@pytest.mark.parametrize("header", ["id,kind,profile,room", "编号,类型,型号,房间", "编号,类别,机型,房间"])
def test_columns_have_english_and_chinese_names(office: Office, header: str) -> None:
    assert send(office, f"{header}\nimp-named,tv,tv,\n").status_code == 200
    made = get(office, "imp-named").json()
    assert (made["kind"], made["profile"]) == ("tv", "tv")


def test_header_that_is_wrong_is_refused_with_what_it_may_have(office: Office) -> None:
    answer = send(office, "name,colour\nx,y\n")
    assert answer.status_code == 422
    assert {each["says"] for each in answer.json()["faults"]} == {
        "the column 'name' is not known", "the column 'colour' is not known", "the column id is missing",
    }  # fmt: skip
    assert send(office, "id\nx1x\n", Role.OPERATOR).status_code == 403


def test_room_whose_number_is_not_the_only_one_needs_its_organisation(office: Office, place: JSON) -> None:
    number = place["room"]["number"]
    other = office.organisation()
    office.make("/rooms", organisation_id=other["id"], number=number, name="绘画室")
    answer = send(office, f"id,room\ntwo-rooms,{number}\n")
    assert "several rooms" in answer.json()["faults"][0]["says"]
    answer = send(office, f"id,room,organisation\ntwo-rooms,{number},{place['organisation']['name']}\n")
    assert answer.json()["created"] == 1
    assert get(office, "two-rooms").json()["room_id"] == place["room"]["id"]


def test_known_terminal_is_changed_and_keeps_its_pin(office: Office, place: JSON) -> None:
    made = office.terminal(place["room"]["id"], settings={"language": "en"})["terminal"]
    with office.client() as client:
        client.put(f"/api/v1/terminals/{made['id']}/staff-pin", json={"pin": "2468"}, headers=etag(1))
    text = f"id,room,health_every_s\n{made['id']},{place['room']['id']},30\n"
    assert send(office, text, dry_run=True).json()["shown"] == [
        {"number": 2, "action": "updated", "id": made["id"], "room": place["room"]["number"]}
    ]
    assert send(office, text).json()["updated"] == 1
    shown = get(office, made["id"]).json()
    assert (shown["settings"], shown["has_staff_pin"], shown["version"]) == ({"health_every_s": 30}, True, 3)
    assert send(office, text).json()["unchanged"] == 1


def test_ten_thousand_rows_that_are_all_wrong_give_a_report_of_bounded_length_and_nothing_else(office: Office) -> None:
    text = "\n".join(["id,room,health_every_s", *(f"Wrong {n},没有,3" for n in range(ROWS)), ""])
    report = send(office, text, dry_run=True).json()
    assert (report["rows"], report["problem_count"], len(report["problems"])) == (ROWS, 3 * ROWS, MAX_SHOWN)
    began_s = time.monotonic()
    refused = send(office, text)
    assert (refused.status_code, len(refused.json()["faults"])) == (422, MAX_SHOWN)
    assert f"{3 * ROWS} problems; nothing was imported" in refused.json()["detail"]
    assert time.monotonic() - began_s < AT_MOST_S
    assert len(refused.content) < MOST_BYTES
    assert get(office, "wrong-1").status_code == 404


def test_others_are_not_held_up_while_ten_thousand_are_imported(office: Office, place: JSON) -> None:
    """Check-ins are stored and the console is answered meanwhile, on one writer (SQLite) as on many."""
    room = place["room"]["id"]
    pen = Pen(terminal=office.terminal(room)["terminal"]["id"])
    rows = [f"beside-{n:05},{room},{3 if n % 100 == 0 else 30}" for n in range(ROWS)]
    text, answers, slowest_s = "\n".join(["id,room,health_every_s", *rows, ""]), list[httpx.Response](), 0.0
    importing = threading.Thread(target=lambda: answers.append(send(office, text, only_good=True)))
    importing.start()
    while importing.is_alive():
        began_s = time.monotonic()
        number = pen.check_in(None, None)
        assert Line(office.engine).ingest([pen.delivery(number, 1)]).batches == 1
        assert get(office, pen.terminal).status_code == 200
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    assert answers[0].json()["created"] == ROWS - ROWS // 100
    assert len(pen.lines) > 1
    assert slowest_s < SLOWED_S


def test_ten_thousand_with_mistakes_are_all_refused_or_the_good_ones_taken_and_go_out_again(
    office: Office, place: JSON
) -> None:
    room = place["room"]["id"]
    every = ROWS // MISTAKES
    rows = [f"mass-{n:05},{room},{3 if n % every == 0 else 30}" for n in range(ROWS)]
    text = "\n".join(["id,room,health_every_s", *rows, ""])
    refused = send(office, text)
    assert refused.status_code == 422
    assert len(refused.json()["faults"]) == MISTAKES
    assert refused.json()["faults"][1]["where"] == f"row {2 + every}, health_every_s"
    assert get(office, "mass-00001").status_code == 404
    began_s = time.monotonic()
    report = send(office, text, only_good=True).json()
    took_s = time.monotonic() - began_s
    assert (report["created"], report["problem_count"]) == (ROWS - MISTAKES, MISTAKES)
    assert took_s < AT_MOST_S
    with office.client(Role.OPERATOR) as client:
        out = client.get("/api/v1/terminals/export", timeout=120).content.decode("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(out)))
    ours = [each for each in table if each["id"].startswith("mass-")]
    assert len(ours) == ROWS - MISTAKES
    assert {(each["room"], each["health_every_s"], each["language"]) for each in ours} == {(room, "30", "")}
    again = send(office, out).json()
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, len(table))
    assert get(office, "mass-00000").status_code == 404


def test_a_row_that_is_wrong_since_all_were_shown_to_be_good_keeps_the_file_out(office: Office, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id\nimp-shown\nImp-Wrong\n")

    async def write(_role: Role, apply: Callable[..., Report]) -> Report:
        with transaction(office.engine) as session:
            return apply(session, Change("test", office.now()), EVERYWHERE)

    view: Any = SimpleNamespace(words=Words(Language.ENGLISH, ZoneInfo("UTC")), write=write)
    page = import_page._Import(view)
    page.begins(Report(rows=2, created=2))
    with pytest.raises(Invalid):
        asyncio.run(page.written(tmp_path / "t.csv", Report()))
    assert get(office, "imp-shown").status_code == 404
    page.begins(Report(rows=2, created=1, problem_count=1))
    assert asyncio.run(page.written(tmp_path / "t.csv", Report())).created == 1
