"""The reject file: every bad row as it was, with its number, column, code and message in front."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from service.rows.checker import BadRow

PREFIX = ("row", "column", "code", "message")


class RejectFile:
    """Bad rows, gathered in a local CSV file that exists once there is a first one.

    Used from the parsing thread while rows come, and from the event loop afterwards.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self._header = header
        self._file: TextIO | None = None

    @property
    def any(self) -> bool:
        return self._file is not None

    def add(self, rows: Iterable[BadRow]) -> None:
        """Write these rows after the ones before."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow((*PREFIX, *self._header))
        csv.writer(self._file).writerows(
            (
                bad.error.row,
                bad.error.column,
                bad.error.code,
                bad.error.message,
                *map(str, bad.cells),
            )
            for bad in rows
        )

    def close(self) -> None:
        """Flush what was written; harmless where nothing was."""
        if self._file is not None:
            self._file.close()
