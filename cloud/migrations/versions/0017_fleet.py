"""Versions of terminals, flapping links and their standing can be asked for without reading every row; saved views."""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, indices and the table, and fill the columns from the births. There is no way back but a backup."""
    for name in ("agent_version", "agent_order"):
        op.add_column("terminals", sa.Column(name, sa.Text(), server_default="", nullable=False))
    _fill(op.get_bind())
    standing = ["presence", "enabled", "replaced_by", "kind", "room_id", "id"]
    op.create_index("ix_terminals_standing", "terminals", standing, unique=False)
    versions = ["agent_order", "agent_version", "enabled", "replaced_by", "room_id", "id"]
    op.create_index("ix_terminals_versions", "terminals", versions, unique=False)
    op.create_index(
        "ix_presence_changes_flapping", "presence_changes", ["at"], unique=False,
        sqlite_where=sa.text("flapping = 1"), postgresql_where=sa.text("flapping"),
    )  # fmt: skip
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_saved_views_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_saved_views_organisation_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index("ix_saved_views_account_id_name", "saved_views", ["account_id", "name"], unique=True)
    op.create_index(
        "ix_saved_views_shared", "saved_views", ["name", "id"], unique=False,
        sqlite_where=sa.text("shared = 1"), postgresql_where=sa.text("shared"),
    )  # fmt: skip


def _fill(connection: sa.Connection) -> None:
    """What each newest birth says."""
    rows = connection.execute(sa.text("SELECT id, birth FROM terminals WHERE birth IS NOT NULL")).all()
    said = []
    for terminal_id, birth in rows:
        versions = (json.loads(birth) or {}).get("versions") or {}
        version = str(versions.get("agent") or next(iter(versions.values()), ""))[:60]
        order = re.sub(r"[0-9]+", lambda number: number[0].zfill(8), version)
        said.append({"id": terminal_id, "version": version, "order": order})
    update = sa.text("UPDATE terminals SET agent_version = :version, agent_order = :order WHERE id = :id")
    if said:
        connection.execute(update, said)
