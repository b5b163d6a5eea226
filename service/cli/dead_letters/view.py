"""Letters as tables and lines for people, and as JSON for programs."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from service.cli.screen import Screen
from service.db.dead_letters import Group, Letter
from service.dead_letters.replay import Sending, Tell
from service.dead_letters.verdict import Finding, Judgement
from service.domain.model import Record
from service.domain.provider_types import ProviderType

SHORT_ID = 8


@dataclass(frozen=True, slots=True)
class JudgedLetter:
    """What is shown of a letter that was judged, and perhaps sent: without its record."""

    letter: Letter
    finding: Finding
    sending: Sending | None = None

    def as_json(self) -> dict[str, Any]:
        """One letter of a replay, for programs."""
        letter = self.letter
        return {
            "id": letter.id,
            "job_id": letter.job_id,
            "code": letter.code,
            "topic": letter.original_topic,
            "parked_at": letter.parked_at,
            "replay_count": letter.replay_count,
            "verdict": self.finding.verdict,
            "detail": self.finding.detail,
            "sending": self.sending,
        }


def show_groups(screen: Screen, groups: Sequence[Group]) -> None:
    """A line for each code."""
    rows = [
        (
            group.code,
            group.count,
            _states(group.states),
            _moment(group.oldest),
            _moment(group.newest),
        )
        for group in groups
    ]
    screen.table(("code", "letters", "states", "oldest", "newest"), rows, numbers=("letters",))


def show_letters(screen: Screen, letters: Sequence[Letter]) -> None:
    """A line for each letter."""
    headings = ("id", "state", "code", "job", "scope", "topic", "replays", "age", "message")
    rows = [
        (
            *(short(letter), letter.state, letter.code, _job(letter), scope(letter)),
            *(
                letter.original_topic,
                letter.replay_count,
                age(letter.parked_at),
                _cut(letter.message),
            ),
        )
        for letter in letters
    ]
    screen.table(headings, rows, numbers=("job", "replays"))


def show_judged(screen: Screen, judged: Sequence[JudgedLetter]) -> None:
    """A line for each letter with its verdict."""
    rows = [
        (
            *(
                short(one.letter),
                one.finding.verdict,
                one.letter.code,
                _job(one.letter),
                scope(one.letter),
            ),
            *(one.letter.replay_count, age(one.letter.parked_at), _cut(one.finding.detail)),
        )
        for one in judged
    ]
    headings = ("id", "verdict", "code", "job", "scope", "replays", "age", "because")
    screen.table(headings, rows, numbers=("job", "replays"))


def tally(judged: Sequence[JudgedLetter]) -> str:
    """`3 would_apply, 2 file_gone`."""
    return counted(Counter(one.finding.verdict.value for one in judged))


def counted(counts: Mapping[str, int]) -> str:
    """`3 sent, 2 held_back`, the most frequent first."""
    return ", ".join(f"{count:,} {what}" for what, count in Counter(counts).most_common() if count)


def number_of(letters: int) -> str:
    """`1 letter`, `2 letters`."""
    return f"{letters:,} letter{'' if letters == 1 else 's'}"


def fields_of(letter: Letter) -> Iterator[tuple[str, object]]:
    """The rows of the table about one letter; what is not known is left out."""
    for name, value in asdict(letter).items():
        if value is not None:
            yield (
                name,
                value
                if not isinstance(value, datetime)
                else f"{_moment(value)} ({age(value)} ago)",
            )


def as_text(data: bytes) -> str:
    """Bytes for people: JSON laid out, text as it is, anything else as Python writes it."""
    try:
        return orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return repr(data)


def record_as_json(record: Record | None) -> dict[str, Any]:
    """A record with its bytes in base64; a null key or value stays null, `record` says whether there is one."""
    if record is None:
        return {"record": False, "key": None, "value": None, "headers": []}
    headers = [[name, _base64(value)] for name, value in record.headers]
    return {
        "record": True,
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": headers,
    }


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(dumped(value, orjson.OPT_INDENT_2))


def dumped(value: Any, option: int) -> bytes:
    """JSON of letters and what belongs to them; asyncpg's UUID is a kind that orjson does not know."""
    return orjson.dumps(value, default=str, option=option)


@contextmanager
def sending_shown(total: int, judged: list[JudgedLetter]) -> Iterator[Tell]:
    """Keeps what becomes of each letter, and shows it on standard error as it happens."""
    with _shown_on_stderr(total) as show:

        def tell(judgement: Judgement, sending: Sending) -> None:
            judged.append(JudgedLetter(judgement.letter, judgement.finding, sending))
            show(f"{sending} {judgement.letter.id} ({judgement.finding.verdict})")

        yield tell


@contextmanager
def _shown_on_stderr(total: int) -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda said: typer.echo(said, err=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("sending", total=total)
        yield lambda said: bar.update(task, advance=1, description=said)


def short(letter: Letter) -> str:
    """The beginning of a letter's id, as it is shown where there are many."""
    return str(letter.id)[:SHORT_ID]


def scope(letter: Letter) -> str:
    """A letter's scope as `--scope` takes it, where its job could be read."""
    if letter.modules and _is_unit_specific(letter):
        return str(letter.modules[0])
    return "" if letter.year is None else f"{letter.year}:{letter.data_entry_type_id}"


def _is_unit_specific(letter: Letter) -> bool:
    return any(letter.provider_type == known for known in ProviderType if known.is_unit_specific)


def age(moment: datetime) -> str:
    """How long ago a moment was, in the largest unit that fits."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _job(letter: Letter) -> str:
    return "" if letter.job_id is None else str(letter.job_id)


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in states.items())


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _cut(text: str, size: int = 100) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"
