"""The stored side: the engine, the tables, the migrations and the statements that touch rows.

Functions here take a connection and never commit: a transaction has one owner, the use case above.
"""
