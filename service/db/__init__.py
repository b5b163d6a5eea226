"""The database: the engine, the tables, and every SQL statement of the service.

The functions here take a connection and never commit, and neither does any function below
`service.jobs`. A transaction belongs to the function that opens it, in a room above this one: a
reader finds all that happens in it, and where it ends, in one place. The exception is `migrate`,
which opens a connection of its own and commits each migration.
"""
