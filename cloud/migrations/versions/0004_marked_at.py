"""When a terminal was marked, so that nobody is told another time."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of marks that are there already the time is not known. There is no way back but a backup."""
    op.add_column("terminals", sa.Column("marked_at", sa.BigInteger(), nullable=True))
