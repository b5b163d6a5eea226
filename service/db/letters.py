"""Dead letters as operators see them: chosen by a filter, or counted by code."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.tables import dead_letters
from service.domain import UNIT_SPECIFIC, LetterState, Position, ProviderType

ScopeKey = tuple[int, int] | int
"""A job's scope as its key names it: year and type, or a module."""

_row = dead_letters.c


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
        return any((self.ids, self.codes, self.topics, self.provider_types, self.scopes, self.jobs)) or bool(
            self.older_than or self.newer_than
        )

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.ids:
            yield sa.or_(*(sa.cast(_row.id, sa.Text).startswith(given, autoescape=True) for given in self.ids))
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
    of_the_year = _row.provider_type.not_in(UNIT_SPECIFIC)
    return sa.and_(_row.year == year, _row.data_entry_type_id == type_id, of_the_year)


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one code: how many in each state, and when the first and the last were parked."""

    code: str
    count: int
    states: Mapping[str, int]
    oldest: datetime
    newest: datetime


async def find(conn: AsyncConnection, chosen: Filter) -> list[Letter]:
    """The letters that are meant, in the order in which they were parked."""
    query = sa.select(dead_letters).where(*chosen.conditions()).order_by(_row.parked_at, _row.original_offset, _row.id)
    return [Letter.of(row) for row in await conn.execute(query.limit(chosen.limit))]


async def group(conn: AsyncConnection, chosen: Filter) -> list[Group]:
    """The letters that are meant by code, the most frequent first."""
    counted = sa.select(
        _row.code, _row.state, sa.func.count(), sa.func.min(_row.parked_at), sa.func.max(_row.parked_at)
    )
    rows = (await conn.execute(counted.where(*chosen.conditions()).group_by(_row.code, _row.state))).all()
    groups = [_group(code, [row for row in rows if row.code == code]) for code in {row.code for row in rows}]
    return sorted(groups, key=lambda group: (-group.count, group.code))


def _group(code: str, rows: Sequence[Any]) -> Group:
    states = {state: count for _, state, count, _, _ in rows}
    oldest, newest = min(row[3] for row in rows), max(row[4] for row in rows)
    return Group(code, sum(states.values()), dict(sorted(states.items())), oldest, newest)


async def states_of(conn: AsyncConnection, ids: Collection[UUID]) -> Mapping[UUID, LetterState]:
    """Where letters stand now."""
    rows = await conn.execute(sa.select(_row.id, _row.state).where(_row.id.in_(ids)))
    return {letter_id: LetterState(state) for letter_id, state in rows}


async def successors(conn: AsyncConnection, letter_id: UUID) -> list[UUID]:
    """The letters that a letter came back as, the first one first."""
    query = sa.select(_row.id).where(_row.replay_of == letter_id).order_by(_row.parked_at)
    return list(await conn.scalars(query))
