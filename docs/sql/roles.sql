-- The rights that a worker needs in the database (`uploads serve`, `uploads dead-letters`), and no more:
-- it reads the application's tables, writes entries, factors and the service's own tables, and changes
-- no entry that is there: it can only insert and delete.
--
-- Run this after `uploads migrate`, as the owner of the tables and with the right to create roles:
--
--     psql "$ADMIN_URL" -f docs/sql/roles.sql
--
-- and give each login that a worker uses the role:
--
--     CREATE ROLE uploads LOGIN PASSWORD '…' IN ROLE uploads_worker;
--
-- Run it again after the migrations of a newer version; that is safe at any time.
-- `uploads migrate` itself needs the owner's rights, not these.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'uploads_worker') THEN
        CREATE ROLE uploads_worker NOLOGIN;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO uploads_worker', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO uploads_worker', current_schema());
END
$$;

GRANT SELECT
ON units, carbon_reports, carbon_report_modules, data_entries, factors, uploads_alembic_version
TO uploads_worker;

GRANT INSERT, DELETE
ON data_entries
TO uploads_worker;

GRANT INSERT, UPDATE, DELETE
ON factors
TO uploads_worker;

GRANT SELECT, INSERT, UPDATE, DELETE
ON upload_jobs, scope_heads, factor_heads, member_locks, dead_letters, dead_letter_actions, service_state
TO uploads_worker;

GRANT USAGE
ON SEQUENCE upload_job_id_seq
TO uploads_worker;

-- Identity columns need no right of their own; an application's serial columns need their sequence's.
DO $$
DECLARE
    serial text;
BEGIN
    FOR serial IN
        SELECT pg_get_serial_sequence(attrelid::regclass::text, attname)
        FROM pg_attribute
        WHERE attrelid IN ('data_entries'::regclass, 'factors'::regclass)
          AND attname = 'id' AND attidentity = '' AND atthasdef
    LOOP
        EXECUTE 'GRANT USAGE ON SEQUENCE ' || serial || ' TO uploads_worker';
    END LOOP;
END
$$;
