"""A ledger as text, and back into a database of its revision: rows of every table, bytes in base64.

Promises that what is put back is what was dumped, on either database; ids go on where they were. Used by tests of upgrades.
"""

import base64
import json
from pathlib import Path
from typing import Any, Final

from alembic import command
from sqlalchemy import Boolean, Connection, Engine, MetaData, Table, insert, text

from cloud import schema

Rows = dict[str, list[dict[str, Any]]]
HERE: Final = Path(__file__).parent
REVISIONS: Final = sorted(each.stem for each in HERE.glob("*.json"))


def dump(engine: Engine) -> str:
    """All rows of all tables."""
    with engine.connect().execution_options(read_only=True) as connection:
        rows = read(connection)
        kept = {
            name: [{key: _to_text(value) for key, value in row.items()} for row in found]
            for name, found in rows.items()
        }
    return json.dumps(kept, ensure_ascii=False, indent=1) + "\n"


def kept(revision: str) -> Rows:
    """As it was dumped."""
    rows: Rows = json.loads((HERE / f"{revision}.json").read_text("utf-8"))
    return {
        name: [{key: _from_text(value) for key, value in row.items()} for row in found] for name, found in rows.items()
    }


def put(engine: Engine, revision: str) -> None:
    """The kept ledger, into an empty database."""
    config = schema.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        tables, rows = _tables(connection), kept(revision)
        for table in reversed(tables):
            connection.execute(table.delete())
        for table in tables:
            if rows[table.name]:
                connection.execute(insert(table), [_typed(table, row) for row in rows[table.name]])
            _count_on(connection, table)


def read(connection: Connection) -> Rows:
    """All rows, truth values as 0 and 1 on either database."""
    found: Rows = {}
    for table in _tables(connection):
        rows = connection.execute(text(f"SELECT * FROM {table.name}"))
        found[table.name] = [{key: _plain(value) for key, value in row._mapping.items()} for row in rows]
    return found


def _tables(connection: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    truth = {column.name for column in table.columns if isinstance(column.type, Boolean)}
    return {key: bool(value) if key in truth and value is not None else value for key, value in row.items()}


def _count_on(connection: Connection, table: Table) -> None:
    if connection.dialect.name != "postgresql" or "id" not in table.columns:
        return
    sequence = connection.scalar(text(f"SELECT pg_get_serial_sequence('{table.name}', 'id')"))
    if sequence:
        highest = f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {table.name})"
        connection.execute(text(f"SELECT setval('{sequence}', {highest}, false)"))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else bytes(value) if isinstance(value, memoryview) else value


def _to_text(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _from_text(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value
