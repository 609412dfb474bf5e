"""The audit says from where and what was so before, is chained by hashes, and is append-only in the database itself."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SAYS = "the audit is append-only"


def upgrade() -> None:
    """Add the columns, hash what is there in its order, then shut the table. There is no way back but a backup."""
    op.add_column("audit", sa.Column("address", sa.Text(), nullable=False, server_default=""))
    op.add_column("audit", sa.Column("before", sa.Text(), nullable=True))
    op.add_column("audit", sa.Column("prev", sa.Text(), nullable=False, server_default=""))
    op.add_column("audit", sa.Column("hash", sa.Text(), nullable=False, server_default=""))
    _chain()
    if op.get_bind().dialect.name == "postgresql":
        _shut_postgresql()
    else:
        _shut_sqlite()


def _chain() -> None:
    """A thousand at a time, by the formula of cloud/audit/chain.py at this revision."""
    connection = op.get_bind()
    page = sa.text("SELECT id, at, who, action, subject, detail FROM audit WHERE id > :after ORDER BY id LIMIT 1000")
    write = sa.text("UPDATE audit SET prev = :prev, hash = :hash WHERE id = :id")
    prev, after = hashlib.sha256(b"roomlink audit").hexdigest(), -(2**63)
    while rows := connection.execute(page, {"after": after}).all():
        hashed = []
        for row in rows:
            content = {**row._mapping, "detail": json.loads(row.detail), "address": "", "before": None}
            canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
            digest = hashlib.sha256(prev.encode() + canonical).hexdigest()
            hashed.append({"id": row.id, "prev": prev, "hash": digest})
            prev = digest
        connection.execute(write, hashed)
        after = rows[-1].id


def _shut_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{event.lower()} BEFORE {event} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{SAYS}'); END"
        )
    op.execute(  # INSERT OR REPLACE deletes without the trigger for it
        "CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    )


def _shut_postgresql() -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{SAYS}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuses()"
    )
    op.execute(
        "CREATE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()"
    )
