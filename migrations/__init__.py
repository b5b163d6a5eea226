"""The schema's history, run by `service.db.migrate` (`uploads migrate`).

0001 makes the host application's tables where they are missing, 0002 lets rows say where they came from,
0003 adds the service's own tables. They share a database with its owner: `migrations.adopt` says how.
"""
