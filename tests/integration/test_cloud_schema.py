"""The schema's history gives the tables that the code has, and a program never runs on a schema it does not know."""

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.orm import Session

from cloud import schema
from cloud.counters import Counts, advance, current
from cloud.database import Base, create_engine_for, transaction, wait_for_database
from cloud.errors import Conflict, StartError, Unavailable
from cloud.journal import projector
from cloud.organisations.models import Organisation
from cloud.terminals.versions import order_of
from tests.process import HOST, free_port


def test_revisions_make_exactly_the_tables_of_the_code(ledger_url: str) -> None:
    engine = create_engine_for(ledger_url)
    schema.upgrade(engine)
    schema.upgrade(engine)
    schema.check(engine)
    schema.import_models()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_series_of_an_older_schema_is_made_anew(ledger_url: str) -> None:
    """Revision 0003 counts what is handed to the series, so all of it has to be handed over once."""
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text("INSERT INTO projector_cursor VALUES ('series', 17)"))
        connection.execute(text("INSERT INTO projector_again VALUES (3)"))
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT journal_id FROM projector_cursor")) == projector.STARTS_OVER
        assert connection.scalar(text("SELECT COUNT(*) FROM projector_again")) == 0
    engine.dispose()


def test_defaults_that_every_form_once_wrote_outdo_no_template(ledger_url: str) -> None:
    """Revision 0012: a terminal's own settings are what was chosen at it; what its newest twin told stays known."""
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    settings = '{"language":"zh","resend_timeout_s":5.0,"health_every_s":60.0,"staff_pin_hash":"$argon2id$x"}'
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        insert = (
            "INSERT INTO terminals (id, kind, profile, password_hash, mqtt_password_hash, enabled, settings, created_at, "
            "version) VALUES (:id, 'kiosk', 'kiosk', '', '', :yes, :settings, 0, 1)"
        )
        for number in range(3):
            connection.execute(text(insert), {"id": f"kiosk-{number}", "yes": True, "settings": settings})
    schema.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT settings, twin_settings FROM terminals")).all()
    assert len(rows) == 3
    for own, told in rows:
        assert json.loads(own) == {"resend_timeout_s": 5.0, "staff_pin_hash": "$argon2id$x"}
        assert json.loads(told) == {"language": "zh", "resend_timeout_s": 5.0, "health_every_s": 60.0}
    engine.dispose()


def test_what_a_terminal_reported_last_begins_its_history(ledger_url: str) -> None:
    """Revision 0018: before it only the newest report was kept."""
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    insert = text(
        "INSERT INTO terminals (id, kind, profile, password_hash, mqtt_password_hash, enabled, settings, created_at, version, "
        "reported, reported_at) VALUES (:id, 'kiosk', 'kiosk', '', '', :yes, '{}', 0, 1, :reported, :at)"
    )
    refused = json.dumps({"v": 1, "version": [7, 3], "applied": False, "problems": ["no room"], "settings": {}})
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        connection.execute(insert, {"id": "kiosk-1", "yes": True, "reported": refused, "at": 42})
        connection.execute(insert, {"id": "kiosk-2", "yes": True, "reported": None, "at": None})
    schema.upgrade(engine)
    with engine.connect() as connection:
        query = (
            "SELECT terminal_id, number, at, twin_epoch, twin_number, applied, problems, changed FROM reported_twins"
        )
        rows = [(*row[:5], bool(row[5]), *map(json.loads, row[6:])) for row in connection.execute(text(query))]
    assert rows == [("kiosk-1", 1, 42, 7, 3, False, ["no room"], [])]
    engine.dispose()


def test_dead_letters_of_deleted_receivers_wait_for_nobody(ledger_url: str) -> None:
    """Revision 0020: before it they waited where nobody could send them again."""
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    receiver = text(
        "INSERT INTO receivers (id, name, kind, address, severity, rule_ids, what, after_minutes, language, timezone, "
        "quiet_days, enabled, version, created_at, since_at, deleted_at) "
        "VALUES (:id, '', 'email', '', 'warning', '[]', '[]', 0, 'zh', 'UTC', '[]', :yes, 1, 0, 0, :deleted)"
    )
    dead = text(
        "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, "
        "message_id) VALUES (:id, 'alm_1', 'raised', 1, 0, 'dead', 0, FALSE, FALSE, 8, 'msg_1')"
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0019")
        for name, deleted in (("rcv_here", None), ("rcv_gone", 5)):
            connection.execute(receiver, {"id": name, "yes": True, "deleted": deleted})
            connection.execute(dead, {"id": name})
    schema.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT receiver_id, state, why FROM notifications ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("rcv_here", "dead", None), ("rcv_gone", "dropped", '{"code":"receiver_off"}'),
    ]  # fmt: skip
    engine.dispose()


def test_versions_of_births_that_are_there_already_can_be_looked_for(ledger_url: str) -> None:
    """Revision 0017 fills its columns as ingest does from then on."""
    engine = create_engine_for(ledger_url)
    config = schema.alembic_config()
    births = {"kiosk-0": '{"versions":{"agent":"1.10.2"}}', "kiosk-1": '{"versions":{}}', "kiosk-2": None}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        insert = (
            "INSERT INTO terminals (id, kind, profile, password_hash, mqtt_password_hash, enabled, settings, created_at, "
            "version, birth) VALUES (:id, 'kiosk', 'kiosk', '', '', :yes, '{}', 0, 1, :birth)"
        )
        for terminal_id, birth in births.items():
            connection.execute(text(insert), {"id": terminal_id, "yes": True, "birth": birth})
    schema.upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, agent_version, agent_order FROM terminals ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("kiosk-0", "1.10.2", order_of("1.10.2")),
        ("kiosk-1", "", ""),
        ("kiosk-2", "", ""),
    ]
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP TABLE alembic_version", "no tables yet"),
        ("UPDATE alembic_version SET version_num = '0001'", "older than this program"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this program"),
    ],
)
def test_another_schema_is_refused_with_what_to_do(ledger_url: str, statement: str, says: str) -> None:
    engine = create_engine_for(ledger_url)
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(statement))
    with pytest.raises(StartError, match=says):
        schema.check(engine)
    engine.dispose()


def test_a_newer_schema_is_not_migrated_either(ledger_url: str) -> None:
    engine = create_engine_for(ledger_url)
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StartError, match="newer"):
        schema.upgrade(engine)
    engine.dispose()


def test_a_database_that_is_away_is_waited_for_and_then_named() -> None:
    engine = create_engine_for(f"postgresql://roomlink:hidden@{HOST}:{free_port()}/roomlink")
    heard: list[str] = []
    with pytest.raises(StartError, match="not reachable within 1 s") as refused:
        wait_for_database(engine, 1, heard.append)
    assert heard
    assert "hidden" not in "".join(heard) + refused.value.sentence
    engine.dispose()


def test_a_transaction_on_a_database_that_is_away_says_so() -> None:
    engine = create_engine_for(f"postgresql://roomlink@{HOST}:{free_port()}/roomlink")
    with pytest.raises(Unavailable), transaction(engine) as session:
        session.execute(text("SELECT 1"))
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url"])
def test_another_database_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(StartError, match="an example is"):
        create_engine_for(url)


def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        pragmas = [
            connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    engine.dispose()


def test_what_a_key_refuses_is_a_conflict_and_what_is_our_fault_is_not(ledger_url: str) -> None:
    engine = create_engine_for(ledger_url)
    schema.upgrade(engine)
    with pytest.raises(Conflict), transaction(engine) as session:
        session.execute(text("INSERT INTO rooms VALUES ('rm_1', 'org_none', '1', 'x', '', 1, 0)"))
    with pytest.raises(Exception, match=r"(?i)null"), transaction(engine) as session:
        session.execute(text("INSERT INTO rooms (id) VALUES ('rm_1')"))
    engine.dispose()


def test_a_counter_counts_what_was_committed(ledger_url: str) -> None:
    engine = create_engine_for(ledger_url)
    schema.upgrade(engine)
    with transaction(engine) as session:
        assert advance(session, Counts.TWINS) == 1
    with Session(engine) as given_up:
        assert advance(given_up, Counts.TWINS) == 2
    with transaction(engine) as session:
        assert current(session, Counts.TWINS) == 1
        assert advance(session, Counts.TWINS) == 2
    engine.dispose()


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/ledger.db")
    schema.upgrade(engine)
    with transaction(engine) as writer:
        advance(writer, Counts.TWINS)
        with transaction(engine, read_only=True) as reader:
            assert current(reader, Counts.TWINS) == 0
            assert reader.get(Organisation, "org_none") is None
    engine.dispose()
