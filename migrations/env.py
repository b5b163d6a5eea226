"""Alembic's entry point: runs the migrations on the connection of `service.db.migrate`."""

from typing import Any

from alembic import context

from service.db.migrate import VERSION_TABLE
from service.db.tables import metadata

attributes = context.config.attributes


def _report_revision(*_: object, **details: Any) -> None:
    step = details["step"]
    direction = "upgraded to" if step.is_upgrade else "downgraded from"
    attributes["report"](f"{direction} revision {step.up_revision_id}")


context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=True,
    on_version_apply=_report_revision,
)
with context.begin_transaction():
    context.run_migrations()
