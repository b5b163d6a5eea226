"""Alembic's entry: runs the migrations on the connection that `service.db.migrate` hands it."""

from typing import Any

from alembic import context

from service.db.migrate import VERSION_TABLE
from service.db.tables import metadata

attributes = context.config.attributes


def _applied(*_: object, **details: Any) -> None:
    step = details["step"]
    attributes["report"](
        f"{'upgraded to' if step.is_upgrade else 'downgraded from'} revision {step.up_revision_id}"
    )


context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=True,
    on_version_apply=_applied,
)
with context.begin_transaction():
    context.run_migrations()
