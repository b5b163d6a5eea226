"""The rows of an upload: read, checked, and made into lines for COPY, without the database.

Read the modules in this order:

1. `upload`: all steps from the file to the lines, and what is counted. Start with `Upload.lines`.
2. `table`: a CSV file or inline rows become a header and rows of text cells.
3. `checker`: a row becomes a line for COPY, or a row error.
4. `row_rules`: what a cell may contain, and the mistakes that are explained to people.
5. `compiled_check` and `column_code`: the same rules as generated code, for speed.
6. `copy_stream`: a worker thread makes, sorts and joins the lines; the event loop sends them.
7. `reject_file`: the bad rows, in a file for the person who uploaded them.
"""
