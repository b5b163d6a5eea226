"""Databases of applications that existed before the service, as SQL."""

# An application's own tables: with serial ids, keys, checks and columns that the service does not
# know.
OLDER = """
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('5f0c2e');
CREATE TABLE users (id serial PRIMARY KEY);
CREATE TABLE units (
    id serial PRIMARY KEY, institutional_id varchar NOT NULL UNIQUE, name varchar, level int
);
CREATE TABLE carbon_reports (
    id serial PRIMARY KEY, unit_id int NOT NULL REFERENCES units, year int NOT NULL,
    kind varchar NOT NULL, owner_id int REFERENCES users
);
CREATE TABLE carbon_report_modules (
    id serial PRIMARY KEY, carbon_report_id int NOT NULL REFERENCES carbon_reports,
    module_type_id int NOT NULL,
    UNIQUE (carbon_report_id, module_type_id)
);
CREATE TABLE data_entries (
    id serial PRIMARY KEY, data_entry_type_id int NOT NULL,
    carbon_report_module_id int NOT NULL REFERENCES carbon_report_modules,
    data json NOT NULL, status smallint,
    year int, unit_id int, reviewed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plausible CHECK (year > 1900)
);
CREATE INDEX ix_data_entries_module ON data_entries (carbon_report_module_id);
CREATE TABLE factors (
    id serial PRIMARY KEY, data_entry_type_id int NOT NULL, year int NOT NULL,
    classification jsonb, "values" jsonb,
    UNIQUE (data_entry_type_id, year, classification)
);
INSERT INTO units (institutional_id, name) VALUES ('10582', 'Laboratory of Things');
INSERT INTO carbon_reports (unit_id, year, kind) VALUES (1, 2025, 'calculator');
INSERT INTO carbon_report_modules (carbon_report_id, module_type_id) VALUES (1, 5);
INSERT INTO data_entries (data_entry_type_id, carbon_report_module_id, data, year)
SELECT 66, 1, json_build_object('name', n), 2025 FROM generate_series(1, 100) AS n;
"""

# User 900 typed in a row; the highest job is 41.
TRACKING = (
    OLDER
    + """
ALTER TABLE data_entries ADD COLUMN source int, ADD COLUMN created_by_id int;
CREATE INDEX ix_data_entries_source ON data_entries (source);
CREATE INDEX ix_data_entries_created_by_id ON data_entries (created_by_id);
CREATE INDEX ix_data_entries_scope
    ON data_entries (carbon_report_module_id, data_entry_type_id, source, id);
UPDATE data_entries
SET source = id % 6, created_by_id = CASE WHEN id % 6 = 0 THEN 900 ELSE 36 + id % 6 END
WHERE id <= 60;
"""
)
