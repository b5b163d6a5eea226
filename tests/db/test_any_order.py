"""Any jobs in any order: after each, rows, heads and event equal those of a simple model."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from service.domain.errors import JobIdConflict
from service.domain.provider_types import ProviderType
from tests.support.any_jobs import Again, Clash, Step, Submitted, Typed, stories
from tests.support.factors import Factor as StoredFactor
from tests.support.factors import put_factor, stored_factors
from tests.support.jobs import Event, Jobs, codes, event_of
from tests.support.model import Conflict, Model
from tests.support.model_rows import MEMBER, STUDENT
from tests.support.model_types import EventSummary, Factor, ModelJob, Module, Row
from tests.support.university import BIOLOGY, PHYSICS, Entry, University

if TYPE_CHECKING:
    from service.domain.model import Record

EXAMPLES = int(os.environ.get("EXAMPLES") or 100)
NO_MODULE = 987654

Ids = dict[str, set[int]]
"""The ids of equal rows, and of factors of one identity."""


class Twins:
    """The service and the model; both take the same steps."""

    def __init__(self, university: University, jobs: Jobs) -> None:
        self.university = university
        self.jobs = jobs
        self.uploads: list[ModelJob] = []
        self.first: dict[int, Record] = {}
        places = university.modules.items()
        self.model = Model(
            [Module(id_, place[0], university.units[place[0]], *place[1:]) for place, id_ in places]
        )

    async def start(self) -> None:
        """Rows and factors that were there before the first job."""
        await self.university.clear()
        for unit, type_id in ((PHYSICS, MEMBER), (BIOLOGY, STUDENT)):
            entry = partial(self.university.entry, unit, type_id=type_id, year_and_unit=False)
            await self.put(*(entry(source, user_institutional_id="1") for source in (1, 3, 5)))
        await self.put(*self.university.bystanders(1).values())
        identity = {"headcount_category": "food", "headcount_class": "vegan"}
        for classification in (
            identity,
            identity | {"headcount_subclass": None},
            {"headcount_category": "air"},
        ):
            await put_factor(self.university.engine, StoredFactor(classification, {}))
            self.model.factors.append(Factor(STUDENT, 2025, classification, {}, None))

    async def put(self, *entries: Entry) -> None:
        await self.university.put(*entries)
        self.model.rows += map(row_of, entries)

    async def take(self, step: Step) -> None:
        match step:
            case Typed(unit, type_id, source, user):
                await self.put(
                    self.university.entry(unit, source, type_id, user_institutional_id=user)
                )
            case Again(which) if self.uploads:
                await self.deliver(self.uploads[which % len(self.uploads)])
            case Clash(which) if self.uploads:
                earlier = self.uploads[which % len(self.uploads)]
                await self.deliver(
                    replace(
                        earlier,
                        on_row_error="skip" if earlier.on_row_error == "reject" else "reject",
                    )
                )
            case Submitted(upload, named):
                module = (
                    NO_MODULE
                    if named is None
                    else self.university.module(named[0], named[2], year=named[1])
                )
                self.uploads.append(replace(upload, module=module) if upload.appends else upload)
                await self.deliver(self.uploads[-1])

    async def deliver(self, upload: ModelJob) -> None:
        kind, message = ProviderType(upload.provider_type), self.message(upload)
        try:
            told = self.model.take(upload)
        except Conflict:
            with pytest.raises(JobIdConflict):
                await self.jobs.deliver(kind, message)
            return
        record = await self.jobs.deliver(kind, message)
        assert told_by(event_of(record)) == told
        assert self.first.setdefault(upload.job_id, record) == record == self.jobs.published[-1]

    def message(self, upload: ModelJob) -> bytes:
        optional = {"carbon_report_module_id": upload.module, "based_on": upload.based_on}
        return self.jobs.message(
            ProviderType(upload.provider_type),
            upload.rows,
            job_id=upload.job_id,
            year=upload.year,
            data_entry_type=upload.type_id,
            replace_scope=upload.replace_scope,
            on_row_error=upload.on_row_error,
            **{name: value for name, value in optional.items() if value is not None},
        )

    async def compare(self) -> Ids:
        """Find the tables as the model has them; the ids of what they hold."""
        entries = await self.university.entries()
        assert different(map(row_of, entries.values()), self.model.rows) == {}
        assert {entry.status for entry in entries.values()} <= {None}
        assert await self.university.heads() == self.model.heads
        factors = {
            id_: factor_of(stored)
            for id_, stored in (await stored_factors(self.university.engine)).items()
        }
        assert different(factors.values(), self.model.factors) == {}
        assert await self.factor_heads() == self.model.factor_heads
        return ids_of(entries, factors)

    async def factor_heads(self) -> dict[tuple[int, int], int]:
        async with self.university.engine.connect() as conn:
            found = await conn.execute(
                text("SELECT data_entry_type_id, year, job_id FROM factor_heads")
            )
            return {(type_id, year): job_id for type_id, year, job_id in found}


def told_by(event: Event) -> EventSummary:
    assert (event["reject_file"] is not None) == bool(event["row_errors"])
    assert event["rows"]["skipped"] == len(event["row_errors"])
    assert event["attempts"] == 1
    return EventSummary(
        event["outcome"],
        event["reason"] and event["reason"]["code"],
        event["rows"]["total"],
        event["rows"]["processed"],
        tuple(codes(event)),
        tuple(event["affected_modules"]),
        {
            line["source"]: (line["deleted"], line["inserted"], line["remaining"])
            for line in event["sources"]
        },
        event["factors"],
        event["superseded_by"],
    )


def row_of(entry: Entry) -> Row:
    tags = entry.year, entry.unit_id, entry.created_by_id
    return Row(entry.module, entry.type_id, entry.source, dict(entry.data), *tags)


def factor_of(stored: StoredFactor) -> Factor:
    content = dict(stored.classification), dict(stored.values)
    return Factor(stored.type_id, stored.year, *content, stored.last_seen_job_id)


def key(row: Row | Factor) -> str:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode()


def different(found: Iterable[Row | Factor], expected: Iterable[Row | Factor]) -> dict[str, int]:
    """How often each row was found too many times; a negative number is too few."""
    counted = Counter(map(key, found))
    counted.subtract(map(key, expected))
    return {row: count for row, count in counted.items() if count}


def ids_of(entries: Mapping[int, Entry], factors: Mapping[int, Factor]) -> Ids:
    ids = defaultdict(set)
    for id_, entry in entries.items():
        ids[key(row_of(entry))].add(id_)
    for id_, factor in factors.items():
        ids[f"{factor.type_id} {factor.year} {sorted(factor.identity)}"].add(id_)
    return ids


def assert_kept(before: Ids, after: Ids) -> None:
    """Rows that were there before and are still there have kept their ids.

    Of rows with equal content, some were added or some were deleted, never both.
    """
    both = before.keys() & after.keys()
    assert {
        what for what in both if not (before[what] <= after[what] or after[what] <= before[what])
    } == set()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=stories())
async def test_after_every_step_the_service_and_the_model_agree(
    university: University, jobs: Jobs, story: list[Step]
) -> None:
    twins = Twins(university, jobs)
    await twins.start()
    before = await twins.compare()
    for step in story:
        await twins.take(step)
        after = await twins.compare()
        assert_kept(before, after)
        before = after
