"""The database: the engine, the tables, and every SQL statement of the service.

The functions here take a connection and never commit. A transaction belongs to the function that
opens it, in a package above this one, such as `service.jobs`: a reader finds all that happens in
it, and where it ends, in one place. The exception is `migrate`, which opens a connection of its own
and commits each migration.

**Snapshots and lock waits.** All transactions run at READ COMMITTED, PostgreSQL's default. A
statement takes its snapshot when it starts: it sees what was committed before. If it then waits for
a lock on a row, PostgreSQL reads this row again after the wait, in its newest version. All other
rows stay as they were in the snapshot. Two rules follow:

- One statement may lock a row and read this same row. `ledger.lock_line` waits for another delivery
  of the job, and returns what that one has committed.
- One statement must not lock a row and then read or delete others. If `scopes.take_scope_heads`
  also deleted the older rows, it would not see the rows that another job has committed during the
  wait, and would leave them in place. So a lock is a statement of its own, and what it protects is
  read by later statements, which have newer snapshots.
"""
