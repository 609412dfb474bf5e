"""The audit on each database: one chain over all writers, shut against change, and every tampering found."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cloud import schema
from cloud.audit import chain, service
from cloud.audit.chain import Head, Line
from cloud.audit.service import Change, note
from cloud.backup import backup, restore
from cloud.counters import Counts, advance
from cloud.database import create_engine_for, transaction
from tests.ledgers import migrated

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
WRITERS, EACH = 4, 15


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Engine]:
    """An empty ledger on each database."""
    engine = migrated(ledger_url)
    yield engine
    engine.dispose()


def written(engine: Engine, count: int, who: str = "anna") -> None:
    """So many entries, one a transaction."""
    for number in range(count):
        with transaction(engine) as session:
            change = Change(who, AT, "192.0.2.7")
            note(session, change, "room.edit", f"rm_{number}", before={"number": "1", "名": [None, 2.5]}, number="302")


def verified(engine: Engine, expected: Head | None = None) -> chain.Checked:
    with transaction(engine, read_only=True) as session:
        return service.verify(session, expected)


def all_lines(engine: Engine) -> list[Line]:
    with transaction(engine, read_only=True) as session:
        return list(service.lines(session))


def tamper(engine: Engine, *statements: str) -> None:
    """As somebody may who has the database's own password: without the triggers."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        else:
            for event in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER audit_refuses_{event}"))
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_entries_say_who_from_where_and_what_was_before_and_follow_one_another(ledger: Engine) -> None:
    assert verified(ledger) == chain.Checked(0, chain.NOTHING, None)
    written(ledger, 3)
    first, second, third = all_lines(ledger)
    assert (first["who"], first["address"], first["at"]) == ("anna", "192.0.2.7", 1_795_422_600_000_000)
    assert (first["before"], first["detail"]) == ({"number": "1", "名": [None, 2.5]}, {"number": "302"})
    assert (first["prev"], second["prev"], third["prev"]) == (chain.BEGINNING, first["hash"], second["hash"])
    assert verified(ledger) == chain.Checked(3, Head(3, third["hash"]), None)


def test_an_exported_line_holds_all_that_is_needed_to_hash_it_again(ledger: Engine) -> None:
    written(ledger, 2)
    kept = [json.loads(json.dumps(line)) for line in all_lines(ledger)]
    assert chain.check(kept) == verified(ledger)


def test_a_part_of_the_entries_is_chosen_by_time(ledger: Engine) -> None:
    written(ledger, 1)
    with transaction(ledger, read_only=True) as session:
        assert list(service.lines(session, AT.replace(hour=9))) == []
        assert list(service.lines(session, None, AT)) == []
        assert len(list(service.lines(session, AT, AT.replace(hour=9)))) == 1


def test_the_database_itself_refuses_to_change_or_delete(ledger: Engine) -> None:
    written(ledger, 2)
    values = "(id, at, who, action, subject, detail) VALUES (1, 1, 'x', 'x', 'x', '{}')"
    own = {"postgresql": "TRUNCATE audit", "sqlite": f"INSERT OR REPLACE INTO audit {values}"}[ledger.dialect.name]
    for statement in ("UPDATE audit SET who = 'x'", "DELETE FROM audit WHERE id = 2", own):
        with pytest.raises(DBAPIError, match="the audit is append-only"), ledger.begin() as connection:
            connection.exec_driver_sql(statement)
    assert verified(ledger).count == 2


@pytest.mark.parametrize(
    ("statement", "number", "says"),
    [
        ("UPDATE audit SET who = 'ben' WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET address = '' WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET before = NULL WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET detail = 'no JSON' WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET hash = '' WHERE id = 5", 5, "was changed"),
        ("DELETE FROM audit WHERE id = 3", 4, "does not follow 2: what was between them was removed"),
        ("DELETE FROM audit WHERE id = 1", 2, "does not follow the beginning"),
        (
            "UPDATE audit SET id = 9 WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 4; UPDATE audit SET id = 4 WHERE id = 9",
            3,
            "was changed, or put in another place",
        ),
    ],
)
def test_the_first_line_that_does_not_fit_is_named(ledger: Engine, statement: str, number: int, says: str) -> None:
    written(ledger, 5)
    tamper(ledger, *statement.split("; "))
    wrong = verified(ledger).wrong
    assert wrong is not None
    assert (wrong.number, wrong.says[: len(says)]) == (number, says)


def test_a_line_that_was_put_in_is_found_although_its_own_hash_is_right(ledger: Engine) -> None:
    written(ledger, 2)
    second = all_lines(ledger)[1]
    forged = {**second, "id": 3, "who": "nobody", "prev": second["prev"]}
    digest = chain.link(forged["prev"], forged)
    tamper(
        ledger,
        "INSERT INTO audit (id, at, who, action, subject, address, detail, before, prev, hash) SELECT 3, at, 'nobody', "
        f"action, subject, address, detail, before, prev, '{digest}' FROM audit WHERE id = 2",
    )
    assert verified(ledger).wrong == chain.Wrong(
        3, "does not follow 2: one of them was put in, or what was between them was removed"
    )


def test_a_cut_off_end_is_noticed_by_a_head_that_was_kept(ledger: Engine) -> None:
    written(ledger, 4)
    kept = verified(ledger).head
    assert Head.parse(f" {kept}\n") == kept
    tamper(ledger, "DELETE FROM audit WHERE id > 2")
    assert verified(ledger).wrong is None
    wrong = verified(ledger, kept).wrong
    assert wrong == chain.Wrong(4, "is missing: the end was cut off")
    written(ledger, 3)
    wrong = verified(ledger, kept).wrong
    assert wrong is not None
    assert wrong.number == 4
    assert "made anew" in wrong.says


def test_a_head_that_was_kept_lies_anywhere_in_the_chain(ledger: Engine) -> None:
    written(ledger, 3)
    second = all_lines(ledger)[1]
    assert verified(ledger, Head(2, second["hash"])).wrong is None
    assert verified(ledger, chain.NOTHING).wrong is None


@pytest.mark.parametrize("text", ["", "4", "4:xyz", "x:" + "0" * 64, "4:" + "A" * 64, "-4:" + "0" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        Head.parse(text)


def test_writers_at_once_make_one_chain(ledger: Engine) -> None:
    def write(who: str) -> None:
        engine = create_engine_for(ledger.url.render_as_string(hide_password=False))
        try:
            written(engine, EACH, who)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=write, args=(f"writer-{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    checked = verified(ledger)
    assert (checked.count, checked.head.number, checked.wrong) == (WRITERS * EACH, WRITERS * EACH, None)


def test_a_long_transaction_holds_up_no_other_ones_entry(postgres_url: str) -> None:
    engine = migrated(postgres_url)
    impatient = create_engine_for(f"{postgres_url}?options=-c%20lock_timeout%3D3s")
    with transaction(engine) as session:
        note(session, Change("slow", AT), "room.edit", "rm_slow")
        advance(session, Counts.TWIN_INPUTS)
        written(impatient, 1, "quick")
    assert [line["who"] for line in all_lines(engine)] == ["quick", "slow"]
    assert verified(engine).wrong is None
    for each in (engine, impatient):
        each.dispose()


def test_what_is_rolled_back_leaves_no_entry_and_no_hole(ledger: Engine) -> None:
    written(ledger, 1)
    with Session(ledger) as session:
        note(session, Change("anna", AT), "room.edit", "rm_1")
        session.flush()
        session.rollback()
    written(ledger, 1)
    assert [line["id"] for line in all_lines(ledger)] == [1, 2]
    assert verified(ledger).wrong is None


def test_backup_and_restore_keep_the_chain_and_the_table_shut(ledger: Engine, tmp_path: Path) -> None:
    written(ledger, 3)
    before = all_lines(ledger)
    backup(ledger, tmp_path / "b")
    written(ledger, 2)
    later = verified(ledger).head
    restore(ledger, tmp_path / "b")
    assert all_lines(ledger) == before
    assert verified(ledger, later).wrong == chain.Wrong(5, "is missing: the end was cut off")
    with pytest.raises(DBAPIError, match="append-only"), ledger.begin() as connection:
        connection.execute(text("DELETE FROM audit"))
    written(ledger, 1)
    assert verified(ledger).count == 4
    assert verified(ledger).wrong is None


def test_entries_of_an_older_schema_are_hashed_in_their_order(ledger_url: str) -> None:
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    add = text("INSERT INTO audit (id, at, who, action, subject, detail) VALUES (:id, 7, '安娜', 'x', 'y', :detail)")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        many = [{"id": number * 2, "detail": '{"b":1.50,"a":"名"}'} for number in range(1, 1203)]
        connection.execute(add, many)
    schema.upgrade(engine)
    written(engine, 1)
    checked = verified(engine)
    assert (checked.count, checked.head.number, checked.wrong) == (1203, 2405, None)
    assert all_lines(engine)[0]["detail"] == {"a": "名", "b": 1.5}
    engine.dispose()
