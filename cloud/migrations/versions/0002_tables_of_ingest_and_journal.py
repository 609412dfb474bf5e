"""Tables of ingest and journal, and the first epoch."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the first epoch is the hour of their making. There is no way back but a backup."""
    _check_ins()
    _check_outs()
    _epoch()
    _fact_ids()
    _interactions()
    _journal()
    _projector_again()
    _projector_cursor()
    _quarantine()
    _streams()
    epoch = sa.text("INSERT INTO epoch (id, epoch) VALUES (1, :now)").bindparams(now=time.time_ns() // 1_000_000)
    op.execute(epoch)


def _check_ins() -> None:
    op.create_table(
        "check_ins",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("occurrence_id", sa.Text(), nullable=True),
        sa.Column("said_occurrence_id", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("member_id", sa.Text(), nullable=True),
        sa.Column("waits", sa.Integer(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("uncertainty_us", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=True),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_ins")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_check_ins_member_id_effective_at", "check_ins", ["member_id", "effective_at"], unique=False)
    op.create_index(
        "ix_check_ins_occurrence_id_effective_at", "check_ins", ["occurrence_id", "effective_at"], unique=False
    )
    op.create_index("ix_check_ins_stream_number", "check_ins", ["stream", "number"], unique=True)
    op.create_index(
        "ix_check_ins_waits",
        "check_ins",
        ["id"],
        unique=False,
        sqlite_where=sa.text("waits = 1"),
        postgresql_where=sa.text("waits = 1"),
    )


def _check_outs() -> None:
    op.create_table(
        "check_outs",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("occurrence_id", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("member_id", sa.Text(), nullable=True),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("uncertainty_us", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "number", name=op.f("pk_check_outs")),
    )
    op.create_index(
        "ix_check_outs_occurrence_id_effective_at", "check_outs", ["occurrence_id", "effective_at"], unique=False
    )
    op.create_index(
        "ix_check_outs_unlinked",
        "check_outs",
        ["credential_id"],
        unique=False,
        sqlite_where=sa.text("member_id IS NULL"),
        postgresql_where=sa.text("member_id IS NULL"),
    )


def _epoch() -> None:
    op.create_table(
        "epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_epoch")),
    )


def _fact_ids() -> None:
    op.create_table(
        "fact_ids",
        sa.Column("record_id", sa.LargeBinary(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_fact_ids")),
        sqlite_with_rowid=False,
    )


def _interactions() -> None:
    op.create_table(
        "interactions",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("screen", sa.Text(), nullable=False),
        sa.Column("minute_at", sa.BigInteger(), nullable=False),
        sa.Column("touches", sa.Integer(), nullable=False),
        sa.Column("help", sa.Integer(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "number", name=op.f("pk_interactions")),
    )
    op.create_index("ix_interactions_room_id_minute_at", "interactions", ["room_id", "minute_at"], unique=False)


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("prev", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("fixed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sa.UniqueConstraint("stream", "first", name=op.f("uq_journal_stream_first")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_journal_received_at", "journal", ["received_at"], unique=False)


def _projector_again() -> None:
    op.create_table(
        "projector_again",
        sa.Column("journal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("journal_id", name=op.f("pk_projector_again")),
    )


def _projector_cursor() -> None:
    op.create_table(
        "projector_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projector_cursor")),
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_quarantine_state_id", "quarantine", ["state", "id"], unique=False)
    op.create_index("ix_quarantine_stream_number_kind", "quarantine", ["stream", "number", "kind"], unique=True)
    op.create_index("ix_quarantine_terminal_id_kind", "quarantine", ["terminal_id", "kind"], unique=False)


def _streams() -> None:
    op.create_table(
        "streams",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("parent_stream", sa.Text(), nullable=True),
        sa.Column("parent_through", sa.BigInteger(), nullable=True),
        sa.Column("parent_chain", sa.Text(), nullable=True),
        sa.Column("gap_stream", sa.Text(), nullable=True),
        sa.Column("gap_first", sa.BigInteger(), nullable=True),
        sa.Column("gap_last", sa.BigInteger(), nullable=True),
        sa.Column("gap_reason", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("last_stored_at", sa.BigInteger(), nullable=False),
        sa.Column("last_effective_at", sa.BigInteger(), nullable=True),
        sa.Column("last_uncertainty_us", sa.BigInteger(), nullable=True),
        sa.Column("last_boot", sa.Text(), nullable=True),
        sa.Column("last_mono_ms", sa.BigInteger(), nullable=True),
        sa.Column("facts", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("said_through", sa.BigInteger(), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_streams")),
    )
    op.create_index("ix_streams_terminal_id_opened_at", "streams", ["terminal_id", "opened_at"], unique=False)
