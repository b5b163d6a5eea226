"""The rows of an upload: read, checked, and made into lines for COPY.

Read in this order: `table`, `checker`, `row_rules`, `compiled_check`, `upload`. Nothing here touches the database.
"""
