"""The story for people: tables that fit into a hundred columns."""

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from time import perf_counter
from urllib.parse import unquote

from rich.columns import Columns
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from service.demo.step_result import StepResult
from service.demo.story import Story
from service.demo.university import TYPE, UNITS, YEAR

WIDTH = 100
SHOWN_ERRORS = 8
STYLES = {"succeeded": "green", "partial": "yellow", "rejected": "red", "superseded": "magenta"}
"""The colours of outcomes."""


def console(*, stderr: bool = False) -> Console:
    """Return the console to print to: as wide as the terminal, at most as wide as the tables."""
    screen = Console(stderr=stderr, highlight=False)
    screen.width = min(screen.width, WIDTH) if screen.is_terminal else WIDTH
    return screen


@contextmanager
def show_progress(screen: Console, text: str) -> Iterator[None]:
    """Show a text while the body of the context runs, and then how long it took."""
    started = perf_counter()
    if screen.is_terminal:
        with screen.status(f"{text} …"):
            yield
        screen.print(f"  [green]✓[/] {text}", end="")
    else:
        screen.print(f"  {text} …", end="")
        try:
            yield
        except BaseException:
            screen.print()  # an error message starts on a line of its own
            raise
    screen.print(f" [dim]{perf_counter() - started:.1f} s[/]")


def opening() -> RenderableType:
    """Return the title, and the one rule of the service."""
    rule = (
        "An upload replaces exactly what the same kind of upload put there before, "
        "and nothing else."
    )
    body = Padding(Text(rule, "italic"), (0, 2, 1, 2))
    return Group(_heading("carbon-uploads, on embedded parts"), body)


def university_summary(story: Story) -> RenderableType:
    """Return one sentence about the university, and one about the subject of the story."""
    entries = sum(
        content.rows
        for slice_, content in story.start.slices.items()
        if slice_.table == "data_entries"
    )
    text = (
        f"The university has {len(UNITS)} units, {YEAR - 1} and {YEAR}, {entries:,} entries of "
        f"every source and of none. The story is about {TYPE.name} of {YEAR}."
    )
    return Padding(Text(text), (1, 2))


def step_report(result: StepResult, earlier: Sequence[StepResult]) -> RenderableType:
    """Return one step: its text, the tables before and after it, its event and its checks."""
    message = result.step.message
    sent = Text.assemble(
        "→ ", (result.topic, "cyan"), f"  job {message.job_id}  ", (message.content, "cyan")
    )
    body = Group(
        Text(result.step.text, "italic"),
        Text(),
        sent,
        Text(),
        Columns([_counts_table(result), _event_table(result)], padding=(0, 4)),
        Text(),
        *_remarks(result),
        *_row_errors(result, earlier),
        _checks(result),
    )
    title = f"{result.number}  {result.step.title}"
    return Group(_heading(title), Padding(body, (0, 2, 1, 2)))


def _heading(title: str) -> Rule:
    return Rule(Text(title, "bold"), align="left", characters="━", style="blue")


def _table(headings: Sequence[str], numbers: Container[str] = ()) -> Table:
    """Return a table without lines.

    The columns in `numbers` are right-aligned; only the columns with sentences may wrap.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        justify: JustifyMethod = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in {"step", "message"})
    return table


def _counts_table(result: StepResult) -> Table:
    """Return the rows by source.

    `before` and `after` are counted in SQL; `deleted` and `inserted` are the event's numbers.
    """
    numbers = ("before", "deleted", "inserted", "after")
    table = _table((f"{TYPE.name}, {YEAR}", *numbers), numbers)

    moved = {}
    moved_factors = (0, 0)
    if result.moves:
        moved = {line.source: (line.deleted, line.inserted) for line in result.event.sources}
        if result.event.factors is not None:
            moved_factors = (result.event.factors.deleted, result.event.factors.inserted)

    before, after = result.before.counts(), result.after.counts()
    for source in before:
        name = source or "NULL (unknown origin)"
        _add_count(table, name, before[source], after[source], moved.get(source, (0, 0)))
    factors_before, factors_after = len(result.before.factor_ids), len(result.after.factor_ids)
    _add_count(table, "factors", factors_before, factors_after, moved_factors)
    return table


def _add_count(table: Table, name: str, before: int, after: int, moved: tuple[int, int]) -> None:
    deleted, inserted = moved
    table.add_row(
        name,
        f"{before:,}",
        Text(_signed("−", deleted), "red"),
        Text(_signed("+", inserted), "green"),
        f"{after:,}",
        style="bold" if any(moved) else "dim",
    )


def _signed(sign: str, rows: int) -> str:
    return f"{sign}{rows:,}" if rows else ""


def _event_table(result: StepResult) -> Table:
    """Return the numbers of the event, and the time that it took."""
    event = result.event
    table = _table(("event", ""))
    table.add_row("outcome", Text(event.outcome, f"bold {STYLES[event.outcome]}"))
    table.add_row("rows", f"{event.rows.total:,}")
    table.add_row("processed", f"{event.rows.processed:,}")
    table.add_row("skipped", f"{event.rows.skipped:,}")
    if event.superseded_by is not None:
        table.add_row("superseded by", f"job {event.superseded_by}")
    if event.affected_modules:
        table.add_row("modules", f"{len(event.affected_modules):,}")
    if event.factors is not None:
        table.add_row("updated", f"{event.factors.updated:,}")
    if result.first is None:
        table.add_row("work", f"{(event.finished_at - event.started_at).total_seconds():.2f} s")
    table.add_row("until the event", f"{result.seconds:.2f} s")
    return table


def _remarks(result: StepResult) -> Iterator[Text]:
    event = result.event
    if event.reason is not None:
        yield Text(f"Reason: {event.reason.message}")
    if event.reject_file is not None:
        name = unquote(event.reject_file.rpartition("/")[2])
        yield Text.assemble("Skipped rows, as they were and why: ", (name, "cyan"))


def _row_errors(result: StepResult, earlier: Sequence[StepResult]) -> Iterator[RenderableType]:
    """Yield the row errors as a table, or the number of the earlier step with the same ones."""
    errors = result.event.row_errors
    if not errors:
        return
    same = next((other.number for other in earlier if other.event.row_errors == errors), None)
    if same is not None:
        yield Text(f"They are the {len(errors)} of step {same}.")
    else:
        yield Padding(_row_errors_table(result), (0, 0, 0, 2))
    yield Text()


def _row_errors_table(result: StepResult) -> Table:
    errors, skipped = result.event.row_errors, result.event.rows.skipped
    shown = errors
    if skipped > SHOWN_ERRORS:
        shown = errors[: SHOWN_ERRORS // 2]

    table = _table(("row", "column", "message"), numbers={"row"})
    for error in shown:
        table.add_row(f"{error.row:,}", error.column, Text(error.message))
    if skipped > len(shown):
        table.add_row("…", "", f"and {skipped - len(shown):,} more")
    return table


def _checks(result: StepResult) -> Columns:
    lines = [
        Text.from_markup(f"{_mark(holds=check.holds)} {check.claim}") for check in result.checks
    ]
    return Columns(lines, padding=(0, 2))


def closing(story: Story, seconds: float) -> RenderableType:
    """Return all steps in a table, the rows that must not have changed, and the verdict."""
    parts = (_steps_table(story), Text(), _untouched_table(story), Text(), _verdict(story, seconds))
    return Group(_heading("The end"), Padding(Group(*parts), (1, 2)))


def _steps_table(story: Story) -> Table:
    numbers = ("deleted", "inserted", "skipped", "time")
    table = _table((" #", "step", "outcome", *numbers, ""), (" #", *numbers))
    for result in story.results:
        outcome = result.event.outcome
        deleted, inserted = _moved_rows(result)
        table.add_row(
            str(result.number),
            result.step.title,
            Text(outcome, STYLES[outcome]),
            deleted,
            inserted,
            f"{result.event.rows.skipped:,}",
            f"{result.seconds:.2f} s",
            _mark(holds=result.passed),
        )
    return table


def _mark(*, holds: bool) -> str:
    return "[green]✓[/]" if holds else "[bold red]✗[/]"


def _moved_rows(result: StepResult) -> tuple[str, str]:
    """Return how many rows a step deleted and inserted, as texts."""
    if not result.moves:
        return "", ""
    lines = result.event.sources if result.event.factors is None else [result.event.factors]
    return f"{sum(line.deleted for line in lines):,}", f"{sum(line.inserted for line in lines):,}"


def _untouched_table(story: Story) -> Table:
    numbers = ("rows", "checksum before", "after")
    table = _table(("what no upload may touch", *numbers, ""), numbers)
    end = story.end.foreign()
    for what, before in story.start.foreign().items():
        after = end.get(what)
        sums = (content.checksum[:12] if content else "none" for content in (before, after))
        table.add_row(what, f"{before.rows:,}", *sums, _mark(holds=before == after))
    return table


def _verdict(story: Story, seconds: float) -> Text:
    checks = [check for result in story.results for check in result.checks]
    if story.passed:
        steps = f"✓ {len(story.results)} steps in {seconds:.1f} s"
        return Text(
            f"{steps}: {len(checks)} checks hold, and nothing foreign changed.", "bold green"
        )
    failed = sum(not check.holds for check in checks)
    foreign = "nothing foreign changed" if story.untouched else "foreign rows were changed"
    return Text(f"✗ {failed} of {len(checks)} checks do not hold; {foreign}.", "bold red")


def remark(text: str) -> RenderableType:
    """Return a remark that is not part of the story."""
    return Padding(Text(text, "bold"), (1, 0))


def as_svg(*parts: RenderableType) -> str:
    """Return the parts as an SVG picture, in any fixed-width font that its viewer has."""
    screen = Console(width=WIDTH, record=True, file=StringIO(), highlight=False)
    screen.print(Group(*parts))
    svg = screen.export_svg(title="uploads demo", unique_id="demo")
    # without the font that would be loaded from the network, and without comments
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
