"""The history of the schema; `service.db.migrate` (`uploads migrate`) runs it.

0001 creates the host application's tables if they are missing. 0002 adds the columns that say where
a row came from. 0003 adds the service's own tables. All of them are in the database of the host
application; `migrations.adopt` has what a migration needs for that.
"""
