"""Prepare: fetch, verify, read and check an upload; what comes out is a stream of good rows, then its tally.

Read in this order: `prepare.prepare`, `fetch`, `read`, `check`, `upload`. Nothing here writes to the database.
"""
