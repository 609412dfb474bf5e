"""What terminals send in on a command, screenshots of their pages and their logs; and commands that were asked for together."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables, and fill the second from what was asked for. There is no way back but a backup."""
    op.create_table(
        "uploads",
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name=op.f("fk_uploads_command_id_commands")),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_terminal_id_received_at", "uploads", ["terminal_id", "received_at"])
    op.create_index("ix_uploads_received_at", "uploads", ["received_at"])
    op.create_table(
        "command_bulks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_bulks")),
    )
    op.create_index("ix_command_bulks_asked_at", "command_bulks", ["asked_at"])
    op.execute(
        "INSERT INTO command_bulks SELECT bulk, MIN(name), MIN(arguments), MIN(asked_by), MIN(asked_at) "
        "FROM commands WHERE bulk IS NOT NULL GROUP BY bulk"
    )
    op.drop_index("ix_commands_bulk", "commands")
    op.create_index("ix_commands_bulk_state", "commands", ["bulk", "state"])
    op.create_index("ix_commands_asked_at", "commands", ["asked_at"])
