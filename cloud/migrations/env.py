"""Run by Alembic: uses the connection that `cloud.schema` hands over, inside its transaction."""

from typing import Any, Literal

from alembic import context

from cloud.database import Base, Instant, JsonText
from cloud.schema import import_models


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column types as what the database sees, so that a revision never depends on today's code."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, JsonText):
        return "sa.Text()"
    return False


import_models()
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_item=render_item,
    transactional_ddl=True,
)
context.run_migrations()
