"""The reject file: every bad row as it was, after its number, column, code and message."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from service.rows.checker import BadRow

PREFIX = ("row", "column", "code", "message")
"""The names of the columns before those of the upload."""


class RejectFile:
    """The bad rows of an upload in a local CSV file, which is created with the first bad row.

    The thread that checks the rows writes to it. The event loop uses it only after that thread
    ended.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self._header = header
        self._file: TextIO | None = None

    @property
    def any(self) -> bool:
        """Return True if there is a bad row, and so a file."""
        return self._file is not None

    def add(self, rows: Iterable[BadRow]) -> None:
        """Append these rows to the file."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow((*PREFIX, *self._header))
        csv.writer(self._file).writerows(
            (
                bad.error.row,
                bad.error.column,
                bad.error.code,
                bad.error.message,
                *map(str, bad.cells),  # `str` turns a `NestedJson` into its JSON
            )
            for bad in rows
        )

    def close(self) -> None:
        """Write everything to the disk and close the file, if there is one."""
        if self._file is not None:
            self._file.close()
