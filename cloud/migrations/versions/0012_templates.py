"""Templates of settings; a terminal's own settings are only what was set at it; which terminal replaced which."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DEFAULTS = {"language": "zh", "resend_timeout_s": 20.0, "health_every_s": 60.0}
"""Until now every form wrote these where nobody chose another; as a terminal's own they would outdo every template."""

PAGE = 1_000


def upgrade() -> None:
    """Make the table and the columns, and leave out of each terminal's settings what is the default. No way back but a backup."""
    op.create_table(
        "templates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_templates_organisation_id")),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name=op.f("fk_templates_room_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("place", "kind", name=op.f("uq_templates_place_kind")),
    )
    op.add_column("terminals", sa.Column("twin_settings", sa.Text(), nullable=True))
    op.add_column("terminals", sa.Column("replaces", sa.Text(), nullable=True))
    op.add_column("terminals", sa.Column("replaced_by", sa.Text(), nullable=True))
    op.add_column("terminals", sa.Column("replaced_at", sa.BigInteger(), nullable=True))
    _leave_out_defaults()


def _leave_out_defaults() -> None:
    connection = op.get_bind()
    query = sa.text("SELECT id, settings FROM terminals WHERE id > :after ORDER BY id LIMIT :page")
    last = ""
    while rows := connection.execute(query, {"after": last, "page": PAGE}).all():
        changes = [{"id": terminal_id, **_split(json.loads(text))} for terminal_id, text in rows]
        connection.execute(
            sa.text("UPDATE terminals SET settings = :own, twin_settings = :told WHERE id = :id"), changes
        )
        last = rows[-1][0]


def _split(settings: dict[str, object]) -> dict[str, str]:
    told = {name: settings.get(name, value) for name, value in DEFAULTS.items()}
    own = {name: value for name, value in settings.items() if name not in DEFAULTS or value != DEFAULTS[name]}
    return {"own": json.dumps(own, ensure_ascii=False), "told": json.dumps(told, ensure_ascii=False)}
