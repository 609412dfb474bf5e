"""The history of each terminal's reported twins."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

PAGE = 1_000


def upgrade() -> None:
    """Make the table; the newest report of each terminal is the first line of its history. No way back but a backup."""
    op.create_table(
        "reported_twins",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("twin_epoch", sa.BigInteger(), nullable=False),
        sa.Column("twin_number", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_reported_twins_terminal_id_terminals")
        ),
        sa.PrimaryKeyConstraint("terminal_id", "number", name=op.f("pk_reported_twins")),
        sqlite_with_rowid=False,
    )
    _begin_histories()


def _begin_histories() -> None:
    connection = op.get_bind()
    query = sa.text(
        "SELECT id, reported, reported_at FROM terminals "
        "WHERE id > :after AND reported IS NOT NULL AND reported_at IS NOT NULL ORDER BY id LIMIT :page"
    )
    insert = sa.text(
        "INSERT INTO reported_twins (terminal_id, number, at, twin_epoch, twin_number, applied, problems, changed) "
        "VALUES (:id, 1, :at, :epoch, :number, :applied, :problems, '[]')"
    )
    last = ""
    while rows := connection.execute(query, {"after": last, "page": PAGE}).all():
        lines = [{"id": terminal, "at": at, **_read(json.loads(text))} for terminal, text, at in rows]
        connection.execute(insert, lines)
        last = rows[-1][0]


def _read(reported: dict[str, object]) -> dict[str, object]:
    version = reported.get("version")
    epoch, number = version if isinstance(version, list) and len(version) == 2 else (0, 0)
    problems = json.dumps(reported.get("problems") or [], ensure_ascii=False)
    return {"epoch": epoch, "number": number, "applied": bool(reported.get("applied")), "problems": problems}
