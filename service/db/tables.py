"""The tables: those of the host application, as far as we use them, and those of the service.

The migrations turn an empty database into exactly these tables; a test compares the two. In the
database of a host application, its tables may have more columns, constraints and indexes, and
integers of other widths.
"""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON, JSONB

from service.domain.model import MAX_JOB_ID, LetterState, Outcome

metadata = sa.MetaData(
    naming_convention={  # the names that PostgreSQL itself would give
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _id(width: type[sa.Integer] = sa.Integer) -> sa.Column[int]:
    return sa.Column("id", width, sa.Identity(), primary_key=True)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True))


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _one_of(column: str, values: Iterable[str]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


# Tables of the host application

units = sa.Table(
    "units",
    metadata,
    _id(),
    sa.Column("institutional_id", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
)

carbon_reports = sa.Table(
    "carbon_reports",
    metadata,
    _id(),
    sa.Column("unit_id", sa.ForeignKey("units.id"), nullable=False),
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    _one_of("kind", ("calculator", "simulator")),
    sa.Index(
        "carbon_reports_one_calculator",
        "unit_id",
        "year",
        unique=True,
        postgresql_where=sa.text("kind = 'calculator'"),
    ),
)

carbon_report_modules = sa.Table(
    "carbon_report_modules",
    metadata,
    _id(),
    sa.Column("carbon_report_id", sa.ForeignKey("carbon_reports.id"), nullable=False),
    sa.Column("module_type_id", sa.Integer, nullable=False),
    sa.UniqueConstraint("carbon_report_id", "module_type_id"),
)

# No foreign keys here: checking one doubles the time of a COPY, and every job has looked up its
# modules before it writes.
data_entries = sa.Table(
    "data_entries",
    metadata,
    _id(sa.BigInteger),
    sa.Column("data_entry_type_id", sa.Integer, nullable=False),
    sa.Column("carbon_report_module_id", sa.Integer, nullable=False),
    sa.Column("data", JSON, nullable=False),
    sa.Column("status", sa.SmallInteger),
    sa.Column("year", sa.Integer),
    sa.Column("unit_id", sa.Integer),
    sa.Column("source", sa.SmallInteger),
    sa.Column("created_by_id", sa.BigInteger),
    _now("created_at"),
    _now("updated_at"),
    sa.Index("uploads_entries_by_scope", "carbon_report_module_id", "data_entry_type_id", "source"),
    sa.Index(
        "uploads_entries_by_job",
        "created_by_id",
        postgresql_where=sa.text("created_by_id IS NOT NULL"),
    ),
    sa.Index(
        "uploads_entries_of_unknown_source",
        "carbon_report_module_id",
        postgresql_where=sa.text("source IS NULL"),
    ),
)

factors = sa.Table(
    "factors",
    metadata,
    _id(),
    sa.Column("data_entry_type_id", sa.Integer, nullable=False),
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("classification", JSONB, nullable=False),
    sa.Column("values", JSONB, nullable=False),
    sa.Column("last_seen_job_id", sa.BigInteger),
    sa.UniqueConstraint("data_entry_type_id", "year", "classification"),
)

# Tables of the service

upload_job_ids = sa.Sequence(
    "upload_job_id_seq", minvalue=1, maxvalue=MAX_JOB_ID, metadata=metadata
)
"""Every producer of jobs draws its job ids here, so a later upload has a higher id."""

upload_jobs = sa.Table(
    "upload_jobs",
    metadata,
    sa.Column("job_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("provider_type", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("data_entry_type_id", sa.Integer, nullable=False),
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("carbon_report_module_id", sa.BigInteger),
    sa.Column("partition_key", sa.Text, nullable=False),
    sa.Column("submitted_by", sa.BigInteger),
    _count("attempts"),
    _time("first_started_at"),
    _time("started_at"),
    _time("finished_at"),
    sa.Column("outcome", sa.Text),
    sa.Column("superseded_by", sa.BigInteger),
    sa.Column("rows_total", sa.Integer),
    sa.Column("rows_processed", sa.Integer),
    sa.Column("rows_skipped", sa.Integer),
    sa.Column("event_key", sa.LargeBinary),
    sa.Column("event_headers", sa.LargeBinary),
    sa.Column("event", sa.LargeBinary),
    _time("announced_at"),
    sa.Column("last_error_code", sa.Text),
    _time("last_error_at"),
    sa.CheckConstraint(f"job_id BETWEEN 1 AND {MAX_JOB_ID}", name="job_id"),
    _one_of("outcome", Outcome),
    sa.CheckConstraint(
        "outcome IS NULL OR num_nulls(finished_at, event_key, event_headers, event) = 0",
        name="final",
    ),
    sa.Index(
        "upload_jobs_to_announce",
        "finished_at",
        postgresql_where=sa.text("outcome IS NOT NULL AND announced_at IS NULL"),
    ),
)
"""The ledger, one line for each job, and at the same time the outbox.

A line is final once it has an outcome. From then on it holds the completion event as bytes, and
`announced_at` is set once the event is on its topic.
"""

scope_heads = sa.Table(
    "scope_heads",
    metadata,
    sa.Column("carbon_report_module_id", sa.BigInteger, primary_key=True),
    sa.Column("data_entry_type_id", sa.Integer, primary_key=True),
    sa.Column("source", sa.SmallInteger, primary_key=True),
    sa.Column("job_id", sa.BigInteger, nullable=False),
)
"""The head of each scope: the last job that replaced it.

A job locks the scope by writing its head. A job whose fence is below the head ends `superseded`.
"""

factor_heads = sa.Table(
    "factor_heads",
    metadata,
    sa.Column("data_entry_type_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("year", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("job_id", sa.BigInteger, nullable=False),
)
"""The head of each type and year of factors: the last job that replaced them."""

member_locks = sa.Table(
    "member_locks",
    metadata,
    sa.Column("carbon_report_module_id", sa.BigInteger, primary_key=True),
    sa.Column("data_entry_type_id", sa.Integer, primary_key=True),
)
"""One row to lock for each module and type, shared by the jobs of all sources.

They are rows, because 2,300 advisory locks in one transaction would fill the server's lock table.
"""

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("original_topic", sa.Text, nullable=False),
    sa.Column("original_partition", sa.Integer, nullable=False),
    sa.Column("original_offset", sa.BigInteger, nullable=False),
    _time("original_timestamp"),
    sa.Column("consumer_group", sa.Text, nullable=False),
    sa.Column("job_id", sa.BigInteger),
    sa.Column("provider_type", sa.Text),
    sa.Column("data_entry_type_id", sa.Integer),
    sa.Column("year", sa.Integer),
    sa.Column("modules", sa.ARRAY(sa.BigInteger)),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("exception_class", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    _time("first_failed_at"),
    _now("parked_at"),
    sa.Column("service_version", sa.Text, nullable=False),
    _count("replay_count"),
    sa.Column("replay_of", sa.Uuid),
    sa.Column("dlq_partition", sa.Integer),
    sa.Column("dlq_offset", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    _now("state_at"),
    sa.Column("state_by", sa.Text),
    sa.Column("state_reason", sa.Text),
    sa.Column("edited_as", sa.BigInteger),
    sa.UniqueConstraint(
        "original_topic", "original_partition", "original_offset", name="dead_letters_original_key"
    ),
    _one_of("state", LetterState),
    sa.Index("dead_letters_by_state", "state", "code"),
    sa.Index("dead_letters_by_job", "job_id"),
    sa.Index("dead_letters_by_time", "parked_at"),
    sa.Index(
        "dead_letters_by_edit", "edited_as", postgresql_where=sa.text("edited_as IS NOT NULL")
    ),
)
"""The state of each dead letter. The original record's bytes are on the dead-letter topic."""

dead_letter_actions = sa.Table(
    "dead_letter_actions",
    metadata,
    _id(sa.BigInteger),
    _now("at"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("filter", JSONB),
    sa.Column("reason", sa.Text),
    sa.Column("dead_letter_ids", sa.ARRAY(sa.Uuid), nullable=False),
    sa.Column("outcome", JSONB),
)
"""Who did what to which dead letters, when, why, and what came of it."""

service_state = sa.Table(
    "service_state",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", JSONB, nullable=False),
    _now("at"),
    sa.Column("by", sa.Text),
)
"""State that must survive a restart and belongs to no job.

For example, that the dead-letter guard has stopped.
"""
