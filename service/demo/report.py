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

from service.demo.played import Played
from service.demo.story import Story
from service.demo.university import TYPE, UNITS, YEAR

WIDTH = 100
SHOWN_ERRORS = 8
STYLES = {"succeeded": "green", "partial": "yellow", "rejected": "red", "superseded": "magenta"}
"""The colours of outcomes."""


def console(*, stderr: bool = False) -> Console:
    """Where the story is told; as wide as the terminal, but no wider than its tables need."""
    made = Console(stderr=stderr, highlight=False)
    made.width = min(made.width, WIDTH) if made.is_terminal else WIDTH
    return made


@contextmanager
def working(screen: Console, what: str) -> Iterator[None]:
    """Says what is being done, and then how long it took."""
    started = perf_counter()
    if screen.is_terminal:
        with screen.status(f"{what} …"):
            yield
        screen.print(f"  [green]✓[/] {what}", end="")
    else:
        screen.print(f"  {what} …", end="")
        try:
            yield
        except BaseException:
            screen.print()  # what is said about it gets a line of its own
            raise
    screen.print(f" [dim]{perf_counter() - started:.1f} s[/]")


def opening() -> RenderableType:
    """What is about to be seen."""
    rule = "An upload replaces exactly what the same kind of upload put there before, and nothing else."
    return Group(
        _rule("carbon-uploads, on embedded parts"), Padding(Text(rule, "italic"), (0, 2, 1, 2))
    )


def cast(story: Story) -> RenderableType:
    """Who plays: the university, and what it holds before the first step."""
    entries = sum(
        content.rows
        for slice_, content in story.start.slices.items()
        if slice_.table == "data_entries"
    )
    said = f"{len(UNITS)} units, {YEAR - 1} and {YEAR}, {entries:,} entries of every source and of none."
    return Padding(
        Text(f"The university has {said} The story is about {TYPE.name} of {YEAR}."), (1, 2)
    )


def scene(played: Played, earlier: Sequence[Played]) -> RenderableType:
    """One scene: what it is about, the tables before and after, the event, the checks."""
    message = played.scene.message
    sent = Text.assemble(
        "→ ", (played.topic, "cyan"), f"  job {message.job_id}  ", (message.content, "cyan")
    )
    parts: list[RenderableType] = [Text(played.scene.text, "italic"), Text(), sent, Text()]
    parts += [Columns([_counts(played), _event(played)], padding=(0, 4))]
    parts += [Text(), *_remarks(played), *_wrong_rows(played, earlier), _checks(played)]
    return Group(
        _rule(f"{played.number}  {played.scene.title}"), Padding(Group(*parts), (0, 2, 1, 2))
    )


def _rule(title: str) -> Rule:
    return Rule(Text(title, "bold"), align="left", characters="━", style="blue")


def _table(headings: Sequence[str], numbers: Container[str] = ()) -> Table:
    """A table without lines; the columns in `numbers` are set to the right, and only sentences are wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        justify: JustifyMethod = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in {"step", "message"})
    return table


def _counts(played: Played) -> Table:
    """Rows by source in SQL, before and after; between them, what the event says was deleted and inserted."""
    numbers = ("before", "deleted", "inserted", "after")
    table = _table((f"{TYPE.name}, {YEAR}", *numbers), numbers)
    before, after = played.before.counts(), played.after.counts()
    moved = (
        {line.source: (line.deleted, line.inserted) for line in played.event.sources}
        if played.moves
        else {}
    )
    for source in before:
        _count(
            table,
            source or "NULL (unknown origin)",
            before[source],
            after[source],
            moved.get(source, (0, 0)),
        )
    told = played.event.factors
    in_factors = (told.deleted, told.inserted) if told and played.moves else (0, 0)
    _count(
        table, "factors", len(played.before.factor_ids), len(played.after.factor_ids), in_factors
    )
    return table


def _count(table: Table, name: str, before: int, after: int, moved: tuple[int, int]) -> None:
    deleted, inserted = (
        f"{sign}{rows:,}" if rows else "" for sign, rows in zip("−+", moved, strict=True)
    )
    style = "bold" if any(moved) else "dim"
    table.add_row(
        name,
        f"{before:,}",
        Text(deleted, "red"),
        Text(inserted, "green"),
        f"{after:,}",
        style=style,
    )


def _event(played: Played) -> Table:
    """The numbers of the event, and the time that it took."""
    event = played.event
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
    if played.first is None:
        table.add_row("work", f"{(event.finished_at - event.started_at).total_seconds():.2f} s")
    table.add_row("until the event", f"{played.seconds:.2f} s")
    return table


def _remarks(played: Played) -> Iterator[Text]:
    event = played.event
    if event.reason is not None:
        yield Text(f"Reason: {event.reason.message}")
    if event.reject_file is not None:
        name = unquote(event.reject_file.rpartition("/")[2])
        yield Text.assemble("Skipped rows, as they were and why: ", (name, "cyan"))


def _wrong_rows(played: Played, earlier: Sequence[Played]) -> Iterator[RenderableType]:
    errors, skipped = played.event.row_errors, played.event.rows.skipped
    same = next((other.number for other in earlier if other.event.row_errors == errors), None)
    if errors and same is not None:
        yield Text(f"They are the {len(errors)} of step {same}.")
    elif errors:
        shown = errors if skipped <= SHOWN_ERRORS else errors[: SHOWN_ERRORS // 2]
        table = _table(("row", "column", "message"), numbers={"row"})
        for error in shown:
            table.add_row(f"{error.row:,}", error.column, Text(error.message))
        if skipped > len(shown):
            table.add_row("…", "", f"and {skipped - len(shown):,} more")
        yield Padding(table, (0, 0, 0, 2))
    if errors:
        yield Text()


def _checks(played: Played) -> Columns:
    marked = (
        Text.from_markup(f"{_mark(holds=check.holds)} {check.claim}") for check in played.checks
    )
    return Columns(marked, padding=(0, 2))


def closing(story: Story, seconds: float) -> RenderableType:
    """The story in a table, what it must not have touched, and the verdict."""
    parts = (_in_short(story), Text(), _untouched(story), Text(), _verdict(story, seconds))
    return Group(_rule("The end"), Padding(Group(*parts), (1, 2)))


def _in_short(story: Story) -> Table:
    numbers = ("deleted", "inserted", "skipped", "time")
    table = _table((" #", "step", "outcome", *numbers, ""), (" #", *numbers))
    for played in story.played:
        outcome = Text(played.event.outcome, STYLES[played.event.outcome])
        rest = (
            f"{played.event.rows.skipped:,}",
            f"{played.seconds:.2f} s",
            _mark(holds=played.passed),
        )
        table.add_row(str(played.number), played.scene.title, outcome, *_moved(played), *rest)
    return table


def _mark(*, holds: bool) -> str:
    return "[green]✓[/]" if holds else "[bold red]✗[/]"


def _moved(played: Played) -> tuple[str, str]:
    """How many rows a scene deleted and inserted."""
    if not played.moves:
        return "", ""
    lines = played.event.sources if played.event.factors is None else [played.event.factors]
    return f"{sum(line.deleted for line in lines):,}", f"{sum(line.inserted for line in lines):,}"


def _untouched(story: Story) -> Table:
    numbers = ("rows", "checksum before", "after")
    table = _table(("what no upload may touch", *numbers, ""), numbers)
    end = story.end.foreign()
    for what, before in story.start.foreign().items():
        after = end.get(what)
        sums = (content.checksum[:12] if content else "none" for content in (before, after))
        table.add_row(what, f"{before.rows:,}", *sums, _mark(holds=before == after))
    return table


def _verdict(story: Story, seconds: float) -> Text:
    checks = [check for played in story.played for check in played.checks]
    if story.passed:
        said = f"{len(checks)} checks hold, and nothing foreign changed."
        return Text(f"✓ {len(story.played)} steps in {seconds:.1f} s: {said}", "bold green")
    failed = sum(not check.holds for check in checks)
    said = "nothing foreign changed" if story.untouched else "foreign rows were changed"
    return Text(f"✗ {failed} of {len(checks)} checks do not hold; {said}.", "bold red")


def stage_direction(text: str) -> RenderableType:
    """A remark beside the story."""
    return Padding(Text(text, "bold"), (1, 0))


def picture(*parts: RenderableType) -> str:
    """The same as an SVG, in whatever fixed-width font its viewer has."""
    screen = Console(width=WIDTH, record=True, file=StringIO(), highlight=False)
    screen.print(Group(*parts))
    svg = screen.export_svg(title="uploads demo", unique_id="demo")
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
