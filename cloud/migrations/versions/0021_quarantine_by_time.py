"""An index by which a terminal's quarantine is counted by the hour; private views let go of the branch they were shared with."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index. There is no way back but a backup."""
    op.create_index("ix_quarantine_terminal_id_received_at", "quarantine", ["terminal_id", "received_at"])
    op.execute("UPDATE saved_views SET organisation_id = NULL WHERE NOT shared")
