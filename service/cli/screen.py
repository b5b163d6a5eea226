"""Where a command writes: tables and colours on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from service.contract.events import UploadProgress


class Screen:
    """Standard output.

    Texts may come from an uploaded file, so nothing in them is read as markup of `rich`.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def line(self, text: str, style: str = "") -> None:
        """Print one line, however long; it is never broken."""
        self._console.print(Text(text, style), soft_wrap=True)

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        numbers: Sequence[str] = (),
    ) -> None:
        """Print rows under their headings: as a table on a terminal, in aligned columns elsewhere.

        On a terminal, the columns named in `numbers` are aligned to the right.
        """
        cells = [[_format_cell(value) for value in row] for row in rows]
        if not self.is_terminal:
            for line in _align_columns([list(headings), *cells]):
                self.line(line)
            return

        table = Table(header_style="bold")
        for heading in headings:
            table.add_column(
                heading, justify="right" if heading in numbers else "left", overflow="fold"
            )
        for row in cells:
            table.add_row(*map(Text, row))
        self._console.print(table)

    @contextmanager
    def waiting(self, description: str) -> Iterator["Waiting"]:
        """Show how far a job has come, while the body runs: as a bar on a terminal, else in lines.

        `description` stands beside the bar until the first progress event.
        """
        if not self.is_terminal:
            yield Waiting()
            return

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            yield _ProgressBar(bar, description)


class Waiting:
    """Shows progress in lines on standard error."""

    def show(self, progress: UploadProgress) -> None:
        """Show the latest progress event."""
        if progress.bytes_total:
            read = f"{progress.bytes_done:,} of {progress.bytes_total:,} bytes"
        else:
            read = "inline"  # the rows are in the message itself, so there is no file
        typer.echo(f"{progress.stage}: {progress.rows_done:,} rows, {read}", err=True)


class _ProgressBar(Waiting):
    def __init__(self, bar: Progress, description: str) -> None:
        self._bar = bar
        self._task = bar.add_task(description, total=None, rows=0)

    def show(self, progress: UploadProgress) -> None:
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=progress.bytes_done,
            total=progress.bytes_total,
            rows=progress.rows_done,
        )


def _format_cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _align_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
