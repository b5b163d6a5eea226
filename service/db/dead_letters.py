"""The dead letters: what each one is, how operators find it, and each change of its state.

The rows of one table, `dead_letters`. The worker inserts and settles them, an operator claims, sends and
discards them. Each change is one statement, and a letter that has moved on meanwhile is left alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db import tables
from service.domain.model import Job, LetterState, Outcome, Position, ReplaceScope, Result
from service.domain.provider_types import ProviderType, WriteMode

QUARANTINE_AFTER = 3
"""Replays after which a letter that has failed again is no longer `open`."""

ScopeKey = tuple[int, int] | int
"""A job's scope as its key names it: year and type, or a module."""

_row = tables.dead_letters.c


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of `dead_letters`."""

    id: UUID
    original_topic: str
    original_partition: int
    original_offset: int
    original_timestamp: datetime | None
    consumer_group: str
    job_id: int | None
    provider_type: str | None
    data_entry_type_id: int | None
    year: int | None
    modules: list[int] | None
    code: str
    stage: str
    exception_class: str
    message: str
    attempts: int
    first_failed_at: datetime | None
    parked_at: datetime
    service_version: str
    replay_count: int
    replay_of: UUID | None
    dlq_partition: int | None
    dlq_offset: int | None
    state: LetterState
    state_at: datetime
    state_by: str | None
    state_reason: str | None
    edited_as: int | None

    @classmethod
    def of(cls, row: sa.Row[Any]) -> "Letter":
        fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
        return cls(**fields | {"state": LetterState(row.state)})

    @property
    def position(self) -> Position | None:
        """Where in the dead-letter topic the record lies."""
        if self.dlq_partition is None or self.dlq_offset is None:
            return None
        return Position(self.dlq_partition, self.dlq_offset)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; what is empty does not narrow. Several values of one kind: any of them.

    `ids` are whole ids or their beginnings; a module as a scope means every letter that is known to be for
    it. Ages count from the parking.
    """

    ids: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    provider_types: tuple[ProviderType, ...] = ()
    scopes: tuple[ScopeKey, ...] = ()
    jobs: tuple[int, ...] = ()
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    states: tuple[LetterState, ...] = ()
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether it says anything about the letters but their state and number."""
        return any(
            (self.ids, self.codes, self.topics, self.provider_types, self.scopes, self.jobs)
        ) or bool(self.older_than or self.newer_than)

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.ids:
            yield sa.or_(
                *(
                    sa.cast(_row.id, sa.Text).startswith(given, autoescape=True)
                    for given in self.ids
                )
            )
        if self.scopes:
            yield sa.or_(*map(_of_scope, self.scopes))
        listed = {
            _row.code: self.codes,
            _row.original_topic: self.topics,
            _row.provider_type: self.provider_types,
            _row.job_id: self.jobs,
            _row.state: self.states,
        }
        yield from (column.in_(values) for column, values in listed.items() if values)
        if self.older_than:
            yield _row.parked_at < sa.func.now() - self.older_than
        if self.newer_than:
            yield _row.parked_at >= sa.func.now() - self.newer_than


def _of_scope(key: ScopeKey) -> sa.ColumnElement[bool]:
    if isinstance(key, int):
        return sa.any_(_row.modules) == key
    year, type_id = key
    unit_specific = [known for known in ProviderType if known.is_unit_specific]
    of_the_year = _row.provider_type.not_in(unit_specific)
    return sa.and_(_row.year == year, _row.data_entry_type_id == type_id, of_the_year)


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one code: how many in each state, and when the first and the last were parked."""

    code: str
    count: int
    states: Mapping[str, int]
    oldest: datetime
    newest: datetime


async def find_letters(conn: AsyncConnection, chosen: Filter) -> list[Letter]:
    """The letters that are meant, in the order in which they were parked."""
    query = (
        sa.select(tables.dead_letters)
        .where(*chosen.conditions())
        .order_by(_row.parked_at, _row.original_offset, _row.id)
    )
    return [Letter.of(row) for row in await conn.execute(query.limit(chosen.limit))]


async def count_by_code(conn: AsyncConnection, chosen: Filter) -> list[Group]:
    """The letters that are meant by code, the most frequent first."""
    counted = sa.select(
        _row.code,
        _row.state,
        sa.func.count(),
        sa.func.min(_row.parked_at),
        sa.func.max(_row.parked_at),
    )
    rows = (
        await conn.execute(counted.where(*chosen.conditions()).group_by(_row.code, _row.state))
    ).all()
    groups = [
        _group(code, [row for row in rows if row.code == code])
        for code in {row.code for row in rows}
    ]
    return sorted(groups, key=lambda count_by_code: (-count_by_code.count, count_by_code.code))


def _group(code: str, rows: Sequence[Any]) -> Group:
    states = {state: count for _, state, count, _, _ in rows}
    oldest, newest = min(row[3] for row in rows), max(row[4] for row in rows)
    return Group(code, sum(states.values()), dict(sorted(states.items())), oldest, newest)


async def states_of(conn: AsyncConnection, ids: Collection[UUID]) -> Mapping[UUID, LetterState]:
    """Where letters stand now."""
    rows = await conn.execute(sa.select(_row.id, _row.state).where(_row.id.in_(ids)))
    return {letter_id: LetterState(state) for letter_id, state in rows}


async def find_successors(conn: AsyncConnection, letter_id: UUID) -> list[UUID]:
    """The letters that a letter came back as, the first one first."""
    query = sa.select(_row.id).where(_row.replay_of == letter_id).order_by(_row.parked_at)
    return list(await conn.scalars(query))


_INSERT = text("""
    INSERT INTO dead_letters
           (id, original_topic, original_partition, original_offset, original_timestamp, consumer_group,
            job_id, provider_type, data_entry_type_id, year, modules, code, stage, exception_class, message,
            attempts, first_failed_at, parked_at, service_version, replay_count, replay_of, state)
    VALUES (:id, :original_topic, :original_partition, :original_offset, :original_timestamp, :consumer_group,
            :job_id, :provider_type, :data_entry_type_id, :year, :modules, :code, :stage, :exception_class, :message,
            :attempts, :first_failed_at, :parked_at, :service_version, :replay_count,
            (SELECT id FROM dead_letters WHERE id = :replay_of AND original_topic = :original_topic), :state)
    ON CONFLICT (id) DO NOTHING
""")

# `open` and `quarantined` too: its sender may have died before saying so, and the claim been taken back.
_FAILED_AGAIN = text("""
    UPDATE dead_letters SET state = 'failed', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE id = :replay_of AND original_topic = :original_topic
      AND state IN ('open', 'claimed', 'sent', 'quarantined')
""")

_SENT_TO = text(
    "UPDATE dead_letters SET dlq_partition = :partition, dlq_offset = :offset WHERE id = :id"
)

_COUNT_OPEN = text("""
    SELECT code, count(*) FROM dead_letters WHERE state IN ('open', 'claimed', 'sent', 'quarantined')
    GROUP BY code ORDER BY code
""")

_RECENT = text("SELECT count(*) FROM dead_letters WHERE parked_at > :since AND replay_of IS NULL")

# In this order: the letters that the job is an edited copy of, its own, and older ones that it covers whole.
# A conflicting message bears the id of a job that it is not, so that job's end says nothing about it.
_SETTLE = text("""
    UPDATE dead_letters
    SET state = CASE WHEN edited_as IS DISTINCT FROM :job_id
                     THEN CASE WHEN job_id = :job_id THEN 'resolved' ELSE 'superseded' END
                     WHEN :changed THEN 'resolved'
                     WHEN replay_count >= :quarantine_after THEN 'quarantined' ELSE 'open' END,
        state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE (edited_as = :job_id AND state NOT IN ('resolved', 'superseded', 'discarded'))
       OR (state IN ('open', 'claimed', 'sent', 'quarantined') AND job_id = :job_id AND code <> 'job_id_conflict')
       OR (:replaced AND state IN ('open', 'quarantined') AND job_id < :job_id AND provider_type = :provider_type
           AND data_entry_type_id = :type_id AND year = :year
           AND (:is_whole OR modules <@ CAST(:modules AS bigint[])))
""")

_SETTLE_REPEAT = text("""
    UPDATE dead_letters SET state = 'resolved', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE job_id = :job_id AND code <> 'job_id_conflict' AND state IN ('open', 'claimed', 'sent', 'quarantined')
""")


async def insert_letter(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Note a record as parked; False where it was noted before. The letter that it is a replay of has failed."""
    state = LetterState.QUARANTINED if row["replay_count"] >= QUARANTINE_AFTER else LetterState.OPEN
    inserted = await conn.execute(_INSERT, row | {"state": state.value})
    if inserted.rowcount == 0:
        return False
    if row["replay_of"] is not None:
        reason = f"parked again as {row['id']}: {row['code']}"
        predecessor = {
            "replay_of": row["replay_of"],
            "original_topic": row["original_topic"],
            "reason": reason,
        }
        await conn.execute(_FAILED_AGAIN, predecessor)
    return True


async def settle_letters(conn: AsyncConnection, job: Job, result: Result) -> None:
    """Close the letters that a job's end answers, in the job's own transaction.

    Resolved: its own, and, where it succeeded, those that it is an edited copy of; where it did not, these
    are open again. Superseded: older ones of the same kind that a successful replace covers whole; an
    append settles nobody else's.
    """
    changed = result.outcome.changes_rows
    await conn.execute(
        _SETTLE,
        {
            "job_id": job.job_id,
            "reason": _reason(job.job_id, result.outcome),
            "changed": changed,
            "quarantine_after": QUARANTINE_AFTER,
            "replaced": changed and job.mode is WriteMode.REPLACE,
            "provider_type": job.provider_type.value,
            "type_id": job.data_entry_type_id,
            "year": job.year,
            "is_whole": job.is_factors or job.replace_scope is ReplaceScope.YEAR,
            "modules": list(result.affected_modules),
        },
    )


async def settle_letters_of_repeat(conn: AsyncConnection, job_id: int, outcome: Outcome) -> None:
    """Close the letters of a job that had ended before: its message came again and was answered."""
    await conn.execute(_SETTLE_REPEAT, {"job_id": job_id, "reason": _reason(job_id, outcome)})


def _reason(job_id: int, outcome: Outcome) -> str:
    return f"job {job_id}: {outcome.value}"


async def note_position(
    conn: AsyncConnection, letter_id: UUID, *, partition: int, offset: int
) -> None:
    """Remember where in the dead-letter topic the record lies."""
    await conn.execute(_SENT_TO, {"id": letter_id, "partition": partition, "offset": offset})


async def count_since(conn: AsyncConnection, since: datetime) -> int:
    """Records parked since a moment, replays aside: what the dead-letter guard looks at."""
    counted: int = await conn.scalar(_RECENT, {"since": since})
    return counted


async def count_open(conn: AsyncConnection) -> Mapping[str, int]:
    """Letters that still need an end, by code."""
    counted = await conn.execute(_COUNT_OPEN)
    return {row[0]: row[1] for row in counted}


# What could not be read when it was parked may be readable to a newer version of the service.
_CLAIM = text("""
    UPDATE dead_letters
    SET state = 'claimed', state_at = now(), state_by = :by, state_reason = :reason, edited_as = :edited_as,
        job_id = coalesce(job_id, :job_id), data_entry_type_id = coalesce(data_entry_type_id, :type_id),
        year = coalesce(year, :year), modules = coalesce(modules, CAST(:modules AS bigint[]))
    WHERE id = :id AND state = :state AND state_at = :state_at AND state IN ('open', 'quarantined', 'sent')
    RETURNING id
""")

_SENT = text("""
    UPDATE dead_letters SET state = 'sent', state_at = now()
    WHERE id = :id AND state = 'claimed' AND state_by = :by AND state_reason = :reason
""")

# A job that was begun after the claim was sent by it; one that has ended would have settled the letter.
_TAKE_BACK = text("""
    UPDATE dead_letters AS letter
    SET state = CASE
            WHEN EXISTS (SELECT FROM upload_jobs AS line
                         WHERE line.job_id = coalesce(letter.edited_as, letter.job_id)
                           AND line.started_at > letter.state_at) THEN 'sent'
            WHEN replay_count >= :quarantine_after THEN 'quarantined'
            ELSE 'open' END,
        state_at = now(), state_by = :by, state_reason = 'claim abandoned by ' || state_by
    WHERE state = 'claimed' AND state_at < now() - CAST(:after AS interval)
    RETURNING id, state
""")

_DISCARD = text("""
    UPDATE dead_letters SET state = 'discarded', state_at = now(), state_by = :by, state_reason = :reason
    WHERE id = :id AND state = :state AND state_at = :state_at AND state IN ('open', 'quarantined', 'sent')
    RETURNING id
""")


async def claim_letter(
    conn: AsyncConnection,
    letter: Letter,
    *,
    by: str,
    reason: str,
    job: Job | None = None,
    edited_as: int | None = None,
) -> bool:
    """Take a letter for sending, if it still is as it was read; of two operators at once, one gets True.

    `job` is what its message can be read as now, `edited_as` the job id of a changed copy.
    """
    module_id = job and job.carbon_report_module_id
    read_as = {
        "job_id": job and job.job_id,
        "type_id": job and job.data_entry_type_id,
        "year": job and job.year,
        "modules": None if module_id is None else [module_id],
    }
    claimed = await conn.execute(
        _CLAIM, _seen(letter) | read_as | {"by": by, "reason": reason, "edited_as": edited_as}
    )
    return claimed.rowcount == 1


async def mark_sent(conn: AsyncConnection, letter_id: UUID, *, by: str, reason: str) -> None:
    """Remember that the broker has the record; where its job has ended meanwhile, that stands."""
    await conn.execute(_SENT, {"id": letter_id, "by": by, "reason": reason})


async def take_back_claims(
    conn: AsyncConnection, *, after: timedelta, by: str
) -> Mapping[UUID, LetterState]:
    """End the claims that are that old: their operator was killed. Where each letter stands now.

    It counts as sent where its job was begun since, else it is as before the claim.
    """
    given = {"after": after, "by": by, "quarantine_after": QUARANTINE_AFTER}
    return {row.id: LetterState(row.state) for row in await conn.execute(_TAKE_BACK, given)}


async def discard_letters(
    conn: AsyncConnection, letters: Collection[Letter], *, by: str, reason: str
) -> list[UUID]:
    """Give letters up, those that still are as they were read; their ids."""
    gone = []
    for letter in letters:
        moved = await conn.execute(_DISCARD, _seen(letter) | {"by": by, "reason": reason})
        gone += [row.id for row in moved]
    return gone


def _seen(letter: Letter) -> dict[str, Any]:
    return {"id": letter.id, "state": letter.state.value, "state_at": letter.state_at}
