"""Dead letters: records that can't be processed, kept with the bytes that they came with.

The dead-letter topic holds the records; the table `dead_letters` holds the state of each letter.
The worker parks records (`park`, `guard`). Everything else is what an operator does: find letters
(`select`), judge them (`verdict`), and `replay`, `edit`, `discard` or `export` them, each with a
line in the `audit`.
"""
