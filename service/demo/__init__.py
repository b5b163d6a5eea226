"""A PostgreSQL, a broker and a small university to try the service with, without installing anything."""
