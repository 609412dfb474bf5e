"""The history of each terminal's presence and marks; the ends of its commands in order."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make two tables and an index. Histories begin now. There is no way back but a backup."""
    op.create_table(
        "presence_changes",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("presence", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("connection", sa.BigInteger(), nullable=True),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("flapping", sa.Boolean(), nullable=False),
        sa.Column("recent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["terminal_id"], ["terminals.id"], name=op.f("fk_presence_changes_terminal_id_terminals")
        ),
        sa.PrimaryKeyConstraint("terminal_id", "number", name=op.f("pk_presence_changes")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_presence_changes_terminal_id_at", "presence_changes", ["terminal_id", "at"])
    op.create_table(
        "marks_set",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["terminal_id"], ["terminals.id"], name=op.f("fk_marks_set_terminal_id_terminals")),
        sa.PrimaryKeyConstraint("terminal_id", "at", "mark", name=op.f("pk_marks_set")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_commands_terminal_id_settled_at", "commands", ["terminal_id", "settled_at"])
