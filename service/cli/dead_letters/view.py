"""Letters as tables and lines for people, and as JSON for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from service.cli.screen import Screen
from service.db.dead_letters import Group, Letter
from service.dead_letters.export import dump_json
from service.dead_letters.replay import JudgedLetter, TellProgress
from service.domain.provider_types import ProviderType
from service.domain.texts import shorten

SHORT_ID = 8
MESSAGE_LENGTH = 100


def show_groups(screen: Screen, groups: Sequence[Group]) -> None:
    """Show a line for each code."""
    rows = [
        (
            group.code,
            group.count,
            _describe_states(group.states),
            _local_time(group.oldest),
            _local_time(group.newest),
        )
        for group in groups
    ]
    screen.table(("code", "letters", "states", "oldest", "newest"), rows, numbers=("letters",))


def show_letters(screen: Screen, letters: Sequence[Letter]) -> None:
    """Show a line for each letter."""
    headings = ("id", "state", "code", "job", "scope", "topic", "replays", "age", "message")
    rows = [
        (
            short_id(letter),
            letter.state,
            letter.code,
            _job_id(letter),
            scope_of(letter),
            letter.original_topic,
            letter.replay_count,
            age(letter.parked_at),
            shorten(letter.message, MESSAGE_LENGTH),
        )
        for letter in letters
    ]
    screen.table(headings, rows, numbers=("job", "replays"))


def show_judged(screen: Screen, judged_letters: Sequence[JudgedLetter]) -> None:
    """Show a line with the verdict for each letter."""
    headings = ("id", "verdict", "code", "job", "scope", "replays", "age", "because")
    rows = [
        (
            short_id(judged.letter),
            judged.finding.verdict,
            judged.letter.code,
            _job_id(judged.letter),
            scope_of(judged.letter),
            judged.letter.replay_count,
            age(judged.letter.parked_at),
            shorten(judged.finding.detail, MESSAGE_LENGTH),
        )
        for judged in judged_letters
    ]
    screen.table(headings, rows, numbers=("job", "replays"))


def describe_verdicts(judged_letters: Sequence[JudgedLetter]) -> str:
    """Count letters by verdict: `3 would_apply, 2 file_gone`."""
    return describe_counts(Counter(judged.finding.verdict.value for judged in judged_letters))


def describe_counts(counts: Mapping[str, int]) -> str:
    """Write counts as `3 sent, 2 held_back`, the largest first; a count of 0 is left out."""
    return ", ".join(f"{count:,} {name}" for name, count in Counter(counts).most_common() if count)


def number_of_letters(letters: int) -> str:
    """Write a number as `1 letter` or `2 letters`."""
    return "1 letter" if letters == 1 else f"{letters:,} letters"


def fields_of(letter: Letter) -> Iterator[tuple[str, object]]:
    """Yield the fields of a letter that are known, with times as a person reads them."""
    for name, value in asdict(letter).items():
        if value is None:
            continue
        if isinstance(value, datetime):
            yield name, f"{_local_time(value)} ({age(value)} ago)"
        else:
            yield name, value


def as_text(data: bytes) -> str:
    """Return bytes for a person: JSON indented, text as it is, all else as Python writes bytes."""
    try:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return repr(data)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(dump_json(value, orjson.OPT_INDENT_2))


@contextmanager
def show_sending_progress() -> Iterator[TellProgress]:
    """Show on standard error what becomes of each letter: as a bar on a terminal, else in lines."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda letter, _: typer.echo(_describe_sending(letter), err=True)
        return

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("sending", total=None)
        yield lambda letter, total: bar.update(
            task, advance=1, total=total, description=_describe_sending(letter)
        )


def _describe_sending(judged: JudgedLetter) -> str:
    return f"{judged.sending} {judged.letter.id} ({judged.finding.verdict})"


def short_id(letter: Letter) -> str:
    """Return the beginning of a letter's id, which tables have instead of the whole id."""
    return str(letter.id)[:SHORT_ID]


def scope_of(letter: Letter) -> str:
    """Return a letter's scope as `--scope` takes it; empty if its job could not be read."""
    if letter.modules and _is_unit_specific(letter):
        return str(letter.modules[0])
    if letter.year is None:
        return ""
    return f"{letter.year}:{letter.data_entry_type_id}"


def _is_unit_specific(letter: Letter) -> bool:
    # The letter may be from a version with other provider types, so the texts are compared.
    return any(letter.provider_type == known for known in ProviderType if known.is_unit_specific)


def age(moment: datetime) -> str:
    """Return how long ago a moment was, in its largest unit: `3d`, `2h`, `15m` or `45s`."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _job_id(letter: Letter) -> str:
    return "" if letter.job_id is None else str(letter.job_id)


def _describe_states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in states.items())


def _local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
