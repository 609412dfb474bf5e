"""What the projector has handed over by day, what the reconciler counted, and replays that are not lost.

The series is made anew once, so that what was handed over before is counted too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make and change the tables. There is no way back but a backup."""
    _series_days()
    _comparison()
    _stream_comparisons()
    _projector_again()
    op.create_index("ix_check_ins_received_at", "check_ins", ["received_at"], unique=False)
    op.execute(sa.text("UPDATE projector_cursor SET journal_id = -1"))


def _series_days() -> None:
    op.create_table(
        "series_days",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("day_at", sa.BigInteger(), nullable=False),
        sa.Column("handed", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "day_at", name=op.f("pk_series_days")),
    )
    op.create_index("ix_series_days_day_at", "series_days", ["day_at"], unique=False)


def _comparison() -> None:
    op.create_table(
        "comparison",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.Column("streams", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.BigInteger(), nullable=False),
        sa.Column("ledger", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=True),
        sa.Column("since_at", sa.BigInteger(), nullable=True),
        sa.Column("behind", sa.BigInteger(), nullable=False),
        sa.Column("wrong", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparison")),
    )


def _stream_comparisons() -> None:
    op.create_table(
        "stream_comparisons",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_stream_comparisons")),
    )


def _projector_again() -> None:
    """With a key of its own. The batches that wait in the old one are covered by making the series anew."""
    op.drop_table("projector_again")
    op.create_table(
        "projector_again",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projector_again")),
        sqlite_autoincrement=True,
    )
