"""Accounts may be bound to a branch of the tree of organisations."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: accounts that exist stay of the whole tree. There is no way back but a backup.

    Written out, because the constraint comes with the column in both dialects: making the table anew, as Alembic would for
    SQLite, would delete the sessions and tokens that hang on it.
    """
    op.execute(
        "ALTER TABLE accounts ADD COLUMN organisation_id TEXT "
        "CONSTRAINT fk_accounts_organisation_id REFERENCES organisations (id)"
    )
    op.create_index(op.f("ix_accounts_organisation_id"), "accounts", ["organisation_id"], unique=False)
