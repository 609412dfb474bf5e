"""Which streams the reconciler found wrong, by name."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; the next round of the reconciler fills it. There is no way back but a backup."""
    op.create_table(
        "wrong_streams",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_wrong_streams")),
    )
