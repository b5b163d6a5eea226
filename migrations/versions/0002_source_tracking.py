"""Source tracking: a row says where it came from and which job wrote it. Older rows keep NULL.

This runs outside a transaction, on tables that are in use. Every step first looks at what is there,
so an interrupted run can simply be repeated. A host application that tracks sources already keeps
its columns and indexes; an index of ours is built only if none of its own serves the same queries.
"""

from alembic import op

from migrations.adopt import Index, add_columns, build_index, drop_columns, drop_index

revision = "0002"
down_revision = "0001"

MARK = "created by carbon-uploads 0002"

COLUMNS = {
    "data_entries": {"source": "smallint", "created_by_id": "bigint"},
    "factors": {"last_seen_job_id": "bigint"},
}

INDEXES = [
    Index(
        "uploads_entries_by_scope",
        "data_entries",
        ("carbon_report_module_id", "data_entry_type_id", "source"),
    ),
    Index(
        "uploads_entries_by_job",
        "data_entries",
        ("created_by_id",),
        "created_by_id IS NOT NULL",
        alternatives=((("created_by_id",), None),),
    ),
    Index(
        "uploads_entries_of_unknown_source",
        "data_entries",
        ("carbon_report_module_id",),
        "source IS NULL",
        alternatives=((("carbon_report_module_id", "source"), None),),
    ),
]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, columns in COLUMNS.items():
            add_columns(table, columns, mark=MARK)
        for index in INDEXES:
            build_index(index)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for index in INDEXES:
            drop_index(index)
        for table, columns in COLUMNS.items():
            drop_columns(table, columns, mark=MARK)
