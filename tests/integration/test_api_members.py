"""Members over HTTP: edits, import of whole files, export, erasure."""

import csv
import io

import httpx
import pytest

from cloud.accounts.service import Role
from cloud.database import transaction
from cloud.members import importing
from cloud.members.models import Member
from cloud.terminals.models import RosterKey
from tests.office import JSON, Office, etag

IMPORT = "/api/v1/members/import"


def send(office: Office, organisation: JSON, content: bytes | str, *, dry_run: bool = False) -> httpx.Response:
    query = {"organisation_id": organisation["id"], "dry_run": str(dry_run).lower()}
    body = content.encode() if isinstance(content, str) else content
    with office.client(Role.OPERATOR) as client:
        return client.post(IMPORT, params=query, content=body, headers={"Content-Type": "text/csv"})


def names(office: Office, organisation: JSON) -> dict[str, str]:
    with office.client() as client:
        query = {"organisation_id": organisation["id"], "limit": 200}
        items = client.get("/api/v1/members", params=query).json()["items"]
    return {each["external_id"]: each["display_name"] for each in items}


def test_a_member_is_made_edited_and_found(office: Office) -> None:
    organisation = office.organisation()
    made = office.member(organisation["id"], display_name="例子甲", external_id="A-1")
    path = f"/api/v1/members/{made['id']}"
    with office.client() as client:
        body = {"organisation_id": organisation["id"], "display_name": "例子乙", "external_id": "A-1"}
        assert client.put(path, json=body, headers=etag(1)).status_code == 200
        query = {"organisation_id": organisation["id"], "search": "子乙"}
        found = client.get("/api/v1/members", params=query).json()["items"]
    assert [each["id"] for each in found] == [made["id"]]
    assert "subject" not in found[0]


def test_an_external_id_is_one_members(office: Office) -> None:
    organisation = office.organisation()
    office.member(organisation["id"], external_id="A-1")
    body = {"organisation_id": organisation["id"], "display_name": "例子丙", "external_id": "A-1"}
    with office.client() as client:
        assert client.post("/api/v1/members", json=body).status_code == 409


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_import_takes_chinese_headers_encodings_and_delimiters(office: Office, encoding: str, delimiter: str) -> None:
    organisation = office.organisation()
    text = "编号,姓名\r\n001,样例甲\r\n002,样例乙㐂\r\n".replace(",", delimiter)
    answer = send(office, organisation, text.encode(encoding))
    assert answer.status_code == 200, answer.text
    assert answer.json()["created"] == 2
    assert names(office, organisation) == {"001": "样例甲", "002": "样例乙㐂"}


def test_a_dry_run_reports_each_row_and_changes_nothing(office: Office) -> None:
    organisation = office.organisation()
    send(office, organisation, "external_id,name\n1,样例一\n2,样例二\n")
    report = send(office, organisation, "external_id,name\n1,样例一\n2,改名\n3,样例三\n", dry_run=True).json()
    assert [(each["number"], each["action"]) for each in report["shown"]] == [
        (2, "unchanged"),
        (3, "updated"),
        (4, "created"),
    ]
    assert names(office, organisation) == {"1": "样例一", "2": "样例二"}


def test_import_again_updates_names_and_makes_nobody_twice(office: Office) -> None:
    organisation = office.organisation()
    send(office, organisation, "external_id,name\n1,样例一\n2,样例二\n")
    report = send(office, organisation, "external_id,name\n1,样例一\n2,改名\n").json()
    assert (report["created"], report["updated"], report["unchanged"]) == (0, 1, 1)
    assert names(office, organisation) == {"1": "样例一", "2": "改名"}


def test_rows_may_name_their_organisation_by_id_or_by_a_name_that_is_unique(office: Office) -> None:
    top = office.organisation()
    one = office.organisation(parent_id=top["id"], name=f"一部{top['id']}")
    two = office.organisation(parent_id=top["id"])
    text = f"external_id,name,organisation\n1,甲例,{one['name']}\n2,乙例,{two['id']}\n3,丙例,\n"
    assert send(office, top, text).status_code == 200
    assert [names(office, each) for each in (one, two, top)] == [{"1": "甲例"}, {"2": "乙例"}, {"3": "丙例"}]


@pytest.mark.parametrize(
    ("content", "where", "says"),
    [
        ("external_id,nmae\n1,x\n", "row 1", "the column 'nmae' is not known"),
        ("external_id\n1\n", "row 1", "the column name is missing"),
        ("name,external_id,name\na,1,b\n", "row 1", "stands twice"),
        ("", "row 1", "is missing"),
        ("external_id,name\n1,甲例\n1,乙例\n", "row 3, external_id", "twice"),
        ("external_id,name\n=cmd(),甲例\n", "row 2, external_id", "formula"),
        ("external_id,name\n1,@SUM(A1)\n", "row 2, name", "formula"),
        ("external_id,name\n1,甲例\n,乙例\n", "row 3, external_id", "empty"),
        ("external_id,name\n1,\n", "row 2, name", "at least 1"),
        ("external_id,name\n1," + "长" * 121 + "\n", "row 2, name", "at most 120"),
        ("external_id,name\n1,a\u202eb\n", "row 2, name", "U+202E"),
        ("external_id,name\n1,甲例,多余\n", "row 2, row", "3 cells"),
        ('external_id,name\n1,"never closed\n', "row 2, row", "cannot be read"),
        ("external_id,name,organisation\n1,甲例,没有这个机构\n", "row 2, organisation", "没有这个机构"),
        ("external_id,name\n1,样例\n".encode("utf-16"), "file", "UTF-8"),
        (b"external_id,name\n1,\xff\xff\n", "file", "UTF-8"),
        (b"external_id,name\n1,a\0b\n", "file", "UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_whole_and_says_where(
    office: Office, content: bytes | str, where: str, says: str
) -> None:
    organisation = office.organisation()
    answer = send(office, organisation, content)
    assert answer.status_code == 422
    fault = answer.json()["faults"][0]
    assert fault["where"] == where
    assert says in fault["says"]
    assert names(office, organisation) == {}


def test_good_rows_are_not_kept_beside_a_bad_one(office: Office) -> None:
    organisation = office.organisation()
    rows = "".join(f"{number},样例\n" for number in range(1_200))
    assert send(office, organisation, f"external_id,name\n{rows}0,又一次\n").status_code == 422
    assert names(office, organisation) == {}


def test_a_file_with_too_many_rows_is_refused(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_ROWS", 3)
    organisation = office.organisation()
    answer = send(office, organisation, "external_id,name\n" + "".join(f"{n},例\n" for n in range(4)))
    assert answer.status_code == 413


def test_a_file_with_too_many_bytes_is_refused_before_it_is_whole(office: Office) -> None:
    organisation = office.organisation()
    chunk = b"x" * (1 << 20)
    with office.client() as client:
        answer = client.post(
            IMPORT,
            params={"organisation_id": organisation["id"]},
            content=(chunk for _ in range(importing.MAX_BYTES // len(chunk) + 1)),
            headers={"Content-Type": "text/csv"},
        )
    assert answer.status_code == 413
    assert not list((office.settings.data_dir / "uploads").iterdir())


def test_ten_thousand_members_come_in_and_go_out_again(office: Office) -> None:
    organisation = office.organisation()
    rows = "".join(f"N{number},样例{number}\n" for number in range(10_000))
    assert send(office, organisation, f"external_id,name\n{rows}").json()["created"] == 10_000
    with office.client(Role.OPERATOR) as client:
        answer = client.get("/api/v1/members/export", params={"organisation_id": organisation["id"]})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert table[0] == ["external_id", "name", "organisation_id", "member_id"]
    assert {row[0] for row in table[1:]} == {f"N{number}" for number in range(10_000)}


def test_no_exported_cell_is_run_by_a_spreadsheet(office: Office) -> None:
    organisation = office.organisation()
    office.member(organisation["id"], display_name="=HYPERLINK(1)")
    with office.client() as client:
        answer = client.get("/api/v1/members/export", params={"organisation_id": organisation["id"]})
    assert ",'=HYPERLINK(1)," in answer.text


def test_erasing_forgets_name_number_and_whose_the_card_was(office: Office) -> None:
    organisation = office.organisation()
    made = office.member(organisation["id"], external_id="E-1")
    card = office.make("/credentials", member_id=made["id"])
    with transaction(office.engine, read_only=True) as session:
        subject = session.get_one(Member, made["id"]).subject
        keys = session.query(RosterKey).count()
    path = f"/api/v1/members/{made['id']}"
    with office.client() as client:
        assert client.delete(path, headers=etag(1)).status_code == 204
        gone = client.get(path).json()
        assert client.get(f"/api/v1/credentials/{card['id']}").json()["revoke_reason"] == "erased"
        body = {"organisation_id": organisation["id"], "display_name": "回来"}
        assert client.put(path, json=body, headers=etag(2)).status_code == 409
        assert client.post("/api/v1/credentials", json={"member_id": made["id"]}).status_code == 409
        entries = client.get("/api/v1/audit", params={"subject": made["id"]}).text
    assert (gone["display_name"], gone["external_id"]) == ("", None)
    assert gone["erased_at"] is not None
    assert made["display_name"] not in entries
    assert names(office, organisation) == {}
    with transaction(office.engine, read_only=True) as session:
        assert session.get_one(Member, made["id"]).subject != subject
        assert session.query(RosterKey).count() == keys + 1
