"""A deleted receiver keeps its branch, and has no dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; dead letters of receivers that were deleted before are dropped. There is no way back but a backup."""
    op.add_column("receivers", sa.Column("deleted_from", sa.Text(), nullable=True))
    op.execute(
        """UPDATE notifications SET state = 'dropped', why = '{"code":"receiver_off"}' WHERE state = 'dead' """
        "AND receiver_id IN (SELECT id FROM receivers WHERE deleted_at IS NOT NULL)"
    )
