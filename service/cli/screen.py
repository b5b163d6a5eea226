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
    """Standard output. What it shows may come from a file: nothing in it is read as markup."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def line(self, text: str, style: str = "") -> None:
        """One line, however long."""
        self._console.print(Text(text, style), soft_wrap=True)

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        numbers: Sequence[str] = (),
    ) -> None:
        """Rows under their headings; the columns in `numbers` are set to the right."""
        cells = [[_shown(value) for value in row] for row in rows]
        if not self.is_terminal:
            for line in _aligned([list(headings), *cells]):
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
    def waiting(self, for_what: str) -> Iterator["Waiting"]:
        """Shows how far a job has come, while the body runs."""
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
            yield _Bar(bar, for_what)


class Waiting:
    """Shows progress as lines beside the output, on standard error."""

    def show(self, progress: UploadProgress) -> None:
        """The latest progress event."""
        done = (
            f"{progress.bytes_done:,} of {progress.bytes_total:,} bytes"
            if progress.bytes_total
            else "inline"
        )
        typer.echo(f"{progress.stage}: {progress.rows_done:,} rows, {done}", err=True)


class _Bar(Waiting):
    def __init__(self, bar: Progress, for_what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(for_what, total=None, rows=0)

    def show(self, progress: UploadProgress) -> None:
        self._bar.update(
            self._task,
            description=progress.stage,
            completed=progress.bytes_done,
            total=progress.bytes_total,
            rows=progress.rows_done,
        )


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
