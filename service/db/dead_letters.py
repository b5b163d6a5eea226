"""The rows of the table `dead_letters`: how they are found, and each change of their state.

Four parts: the words, the questions, the worker's changes, the operator's changes. Each change is
one statement whose WHERE names the states that it may start from, so a letter that somebody else
has changed in the meantime is left alone. `settlement` has the changes at the end of a job.
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
from service.db.letter_states import text_with_unfinished
from service.domain.model import Job, LetterState, Position
from service.domain.provider_types import ProviderType

# The words

QUARANTINE_AFTER = 3
"""Replays after which a letter that fails again is `quarantined` instead of `open`."""

JobKey = tuple[int, int] | int
"""A job's scope as its key names it: (year, type), or the id of a module."""

_columns = tables.dead_letters.c


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
        """Where the record lies in the dead-letter topic; None until the broker has it."""
        if self.dlq_partition is None or self.dlq_offset is None:
            return None
        return Position(self.dlq_partition, self.dlq_offset)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant. An empty field does not narrow; of several values, one must match.

    `ids` are whole ids or beginnings of ids. A module in `scopes` means every letter that is known
    to be for this module. Ages count from the time of parking.
    """

    ids: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    provider_types: tuple[ProviderType, ...] = ()
    scopes: tuple[JobKey, ...] = ()
    jobs: tuple[int, ...] = ()
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    states: tuple[LetterState, ...] = ()
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """True if any field is set besides `states` and `limit`."""
        listed = (self.ids, self.codes, self.topics, self.provider_types, self.scopes, self.jobs)
        return any(listed) or bool(self.older_than or self.newer_than)

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """The conditions that a letter must meet, as SQL expressions."""
        if self.ids:
            id_text = sa.cast(_columns.id, sa.Text)
            yield sa.or_(*(id_text.startswith(given, autoescape=True) for given in self.ids))
        if self.scopes:
            yield sa.or_(*map(_scope_condition, self.scopes))
        listed = {
            _columns.code: self.codes,
            _columns.original_topic: self.topics,
            _columns.provider_type: self.provider_types,
            _columns.job_id: self.jobs,
            _columns.state: self.states,
        }
        yield from (column.in_(values) for column, values in listed.items() if values)
        if self.older_than:
            yield _columns.parked_at < sa.func.now() - self.older_than
        if self.newer_than:
            yield _columns.parked_at >= sa.func.now() - self.newer_than


def _scope_condition(key: JobKey) -> sa.ColumnElement[bool]:
    if isinstance(key, int):
        return sa.any_(_columns.modules) == key
    # A unit-specific job has a year and a type too, but its scope is its module alone.
    year, type_id = key
    unit_specific = [known for known in ProviderType if known.is_unit_specific]
    is_per_year = _columns.provider_type.not_in(unit_specific)
    return sa.and_(_columns.year == year, _columns.data_entry_type_id == type_id, is_per_year)


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one code: how many in each state, and when the first and last were parked."""

    code: str
    count: int
    states: Mapping[str, int]
    oldest: datetime
    newest: datetime


# The questions

_COUNT_SINCE = text("""
    SELECT count(*) FROM dead_letters WHERE parked_at > :since AND replay_of IS NULL
""")

_COUNT_UNFINISHED = text_with_unfinished("""
    SELECT code, count(*) FROM dead_letters
    WHERE state IN :unfinished GROUP BY code ORDER BY code
""")


async def find_letters(conn: AsyncConnection, chosen: Filter) -> list[Letter]:
    """The letters that the filter means, in the order in which they were parked."""
    query = sa.select(tables.dead_letters).where(*chosen.conditions()).limit(chosen.limit)
    in_order = query.order_by(_columns.parked_at, _columns.original_offset, _columns.id)
    return [Letter.of(row) for row in await conn.execute(in_order)]


async def count_by_code(conn: AsyncConnection, chosen: Filter) -> list[Group]:
    """The letters that the filter means as groups, the largest group first."""
    oldest, newest = sa.func.min(_columns.parked_at), sa.func.max(_columns.parked_at)
    counted = sa.select(_columns.code, _columns.state, sa.func.count(), oldest, newest)
    query = counted.where(*chosen.conditions()).group_by(_columns.code, _columns.state)
    rows = (await conn.execute(query)).all()

    codes = {row.code for row in rows}
    groups = [_make_group(code, [row for row in rows if row.code == code]) for code in codes]
    return sorted(groups, key=lambda group: (-group.count, group.code))


def _make_group(code: str, rows: Sequence[Any]) -> Group:
    states = {state: count for _, state, count, _, _ in rows}
    oldest, newest = min(row[3] for row in rows), max(row[4] for row in rows)
    return Group(code, sum(states.values()), dict(sorted(states.items())), oldest, newest)


async def states_of(conn: AsyncConnection, ids: Collection[UUID]) -> Mapping[UUID, LetterState]:
    """The present states of letters, by their ids."""
    rows = await conn.execute(sa.select(_columns.id, _columns.state).where(_columns.id.in_(ids)))
    return {letter_id: LetterState(state) for letter_id, state in rows}


async def find_successors(conn: AsyncConnection, letter_id: UUID) -> list[UUID]:
    """The ids of the letters that a replay of this letter became, the oldest first."""
    query = (
        sa.select(_columns.id).where(_columns.replay_of == letter_id).order_by(_columns.parked_at)
    )
    return list(await conn.scalars(query))


async def count_since(conn: AsyncConnection, since: datetime) -> int:
    """How many records were parked after `since`, without replays. The guard asks for this."""
    counted: int = await conn.scalar(_COUNT_SINCE, {"since": since})
    return counted


async def count_unfinished(conn: AsyncConnection) -> Mapping[str, int]:
    """How many letters are in one of the `UNFINISHED` states, by code."""
    counted = await conn.execute(_COUNT_UNFINISHED)
    return {row[0]: row[1] for row in counted}


# The worker's changes: park a letter

_INSERT = text("""
    INSERT INTO dead_letters (
        id, original_topic, original_partition, original_offset, original_timestamp, job_id, year,
        provider_type, data_entry_type_id, modules, code, stage, exception_class, message, attempts,
        first_failed_at, parked_at, consumer_group, service_version, replay_count, state, replay_of
    ) VALUES (
        :id, :original_topic, :original_partition, :original_offset, :original_timestamp, :job_id,
        :year, :provider_type, :data_entry_type_id, :modules, :code, :stage, :exception_class,
        :message, :attempts, :first_failed_at, :parked_at, :consumer_group, :service_version,
        :replay_count, :state,
        (SELECT id FROM dead_letters WHERE id = :replay_of AND original_topic = :original_topic)
    ) ON CONFLICT (id) DO NOTHING
""")

# `open` and `quarantined` are here because the operator's process may have been killed after it
# sent the message and before it marked the letter as sent. Its claim was then taken back.
_FAIL_AGAIN = text_with_unfinished("""
    UPDATE dead_letters
    SET state = 'failed', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE id = :replay_of AND original_topic = :original_topic
      AND state IN :unfinished
""")

_NOTE_POSITION = text("""
    UPDATE dead_letters SET dlq_partition = :partition, dlq_offset = :offset WHERE id = :id
""")


async def insert_letter(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Insert a parked record's letter; returns False if the record has a letter already.

    `row` has a value for every column that the INSERT names, except `state`. If the letter is a
    replay, the letter before it becomes `failed`.
    """
    state = LetterState.QUARANTINED if row["replay_count"] >= QUARANTINE_AFTER else LetterState.OPEN
    inserted = await conn.execute(_INSERT, row | {"state": state.value})
    if inserted.rowcount == 0:
        return False
    if row["replay_of"] is not None:
        predecessor = {"replay_of": row["replay_of"], "original_topic": row["original_topic"]}
        reason = f"parked again as {row['id']}: {row['code']}"
        await conn.execute(_FAIL_AGAIN, predecessor | {"reason": reason})
    return True


async def note_position(
    conn: AsyncConnection, letter_id: UUID, *, partition: int, offset: int
) -> None:
    """Note where the record lies in the dead-letter topic."""
    await conn.execute(_NOTE_POSITION, {"id": letter_id, "partition": partition, "offset": offset})


# The operator's changes: claim a letter, send it, take its claim back, discard it

# A letter whose message could not be read when it was parked has no job id, type or year. A newer
# version of the service may be able to read it: then they are filled in.
_CLAIM = text("""
    UPDATE dead_letters
    SET state = 'claimed', state_at = now(), state_by = :by, state_reason = :reason,
        edited_as = :edited_as, job_id = coalesce(job_id, :job_id),
        data_entry_type_id = coalesce(data_entry_type_id, :type_id), year = coalesce(year, :year),
        modules = coalesce(modules, CAST(:modules AS bigint[]))
    WHERE id = :id AND state = :state AND state_at = :state_at
      AND state IN ('open', 'quarantined', 'sent')
    RETURNING id
""")

_MARK_SENT = text("""
    UPDATE dead_letters SET state = 'sent', state_at = now()
    WHERE id = :id AND state = 'claimed' AND state_by = :by AND state_reason = :reason
""")

# If the job was begun after the claim, the claim's message was sent. The job has not ended yet, or
# its end would have settled the letter.
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
    UPDATE dead_letters
    SET state = 'discarded', state_at = now(), state_by = :by, state_reason = :reason
    WHERE id = :id AND state = :state AND state_at = :state_at
      AND state IN ('open', 'quarantined', 'sent')
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
    """Claim a letter for sending; returns False if it has changed since it was read.

    Of two operators at the same time, only one gets True. `job` is the letter's message as this
    version reads it, None if it cannot; `edited_as` is the job id of an edited copy.
    """
    read_as: dict[str, Any] = dict.fromkeys(("job_id", "type_id", "year", "modules"))
    if job is not None:
        read_as |= {"job_id": job.job_id, "type_id": job.data_entry_type_id, "year": job.year}
        if job.carbon_report_module_id is not None:
            read_as["modules"] = [job.carbon_report_module_id]
    claim = {"by": by, "reason": reason, "edited_as": edited_as}
    claimed = await conn.execute(_CLAIM, _as_it_was_read(letter) | read_as | claim)
    return claimed.rowcount == 1


async def mark_sent(conn: AsyncConnection, letter_id: UUID, *, by: str, reason: str) -> None:
    """Note that the broker has the message. A letter whose job has ended already stays as it is."""
    await conn.execute(_MARK_SENT, {"id": letter_id, "by": by, "reason": reason})


async def take_back_claims(
    conn: AsyncConnection, *, after: timedelta, by: str
) -> Mapping[UUID, LetterState]:
    """End claims older than `after`, whose operator's process was killed.

    Returns the letters' new states. A letter is `sent` if its job was begun since the claim, else
    it is as it was before the claim.
    """
    given = {"after": after, "by": by, "quarantine_after": QUARANTINE_AFTER}
    return {row.id: LetterState(row.state) for row in await conn.execute(_TAKE_BACK, given)}


async def discard_letters(
    conn: AsyncConnection, letters: Collection[Letter], *, by: str, reason: str
) -> list[UUID]:
    """Discard the letters that have not changed since they were read. Returns their ids."""
    discarded = []
    for letter in letters:
        rows = await conn.execute(_DISCARD, _as_it_was_read(letter) | {"by": by, "reason": reason})
        discarded += [row.id for row in rows]
    return discarded


def _as_it_was_read(letter: Letter) -> dict[str, Any]:
    return {"id": letter.id, "state": letter.state.value, "state_at": letter.state_at}
