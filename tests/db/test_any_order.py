"""Any jobs in any order: after each, rows, heads and event are those of a plain model of the rules."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from service.domain import ProviderType, Record
from service.errors import JobIdConflict
from tests.support.any_jobs import STEPS, Again, Step, Submitted, Typed
from tests.support.factors import Factor as StoredFactor
from tests.support.factors import put_factor, stored_factors
from tests.support.jobs import Event, Jobs, codes, event_of
from tests.support.model import Conflict, Model
from tests.support.model_rows import MEMBER, STUDENT
from tests.support.model_types import Factor, Module, Row, Told, Upload
from tests.support.university import BIOLOGY, PHYSICS, Entry, University

NO_MODULE = 987654


class Twins:
    """The service and the model, which are told the same."""

    def __init__(self, university: University, jobs: Jobs) -> None:
        self.university = university
        self.jobs = jobs
        self.uploads: list[Upload] = []
        self.first: dict[int, Record] = {}
        places = university.modules.items()
        self.model = Model([Module(id_, place[0], university.units[place[0]], *place[1:]) for place, id_ in places])

    async def start(self) -> None:
        """Rows and factors that were there before the first job."""
        await self.university.clear()
        old = {"year_and_unit": False, "user_institutional_id": "1"}
        for source in (1, 3, 5):
            await self.put(self.university.entry(PHYSICS, source, MEMBER, **old))
            await self.put(self.university.entry(BIOLOGY, source, STUDENT, year_and_unit=False, fte=1))
        await self.put(*self.university.bystanders(1).values())
        identity = {"headcount_category": "food", "headcount_class": "vegan"}
        for classification in (identity, identity | {"headcount_subclass": None}, {"headcount_category": "air"}):
            await put_factor(self.university.engine, StoredFactor(classification, {}))
            self.model.factors.append(Factor(STUDENT, 2025, classification, {}, None))

    async def put(self, *entries: Entry) -> None:
        await self.university.put(*entries)
        self.model.rows += map(row_of, entries)

    async def take(self, step: Step) -> None:
        match step:
            case Typed(unit, type_id, source, user):
                await self.put(self.university.entry(unit, source, type_id, user_institutional_id=user))
            case Again(which) if self.uploads:
                await self.deliver(self.uploads[which % len(self.uploads)])
            case Submitted(upload, place):
                module = NO_MODULE if place is None else self.university.module(place[0], place[2], year=place[1])
                self.uploads.append(replace(upload, module=module) if upload.appends else upload)
                await self.deliver(self.uploads[-1])

    async def deliver(self, upload: Upload) -> None:
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

    def message(self, upload: Upload) -> bytes:
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

    async def compare(self) -> None:
        """Find the tables as the model has them."""
        stored = (await self.university.entries()).values()
        assert different(map(row_of, stored), self.model.rows) == {}
        assert {entry.status for entry in stored} <= {None}
        assert await self.university.heads() == self.model.heads
        factors = [factor_of(stored) for stored in (await stored_factors(self.university.engine)).values()]
        assert different(factors, self.model.factors) == {}
        assert await self.factor_heads() == self.model.factor_heads

    async def factor_heads(self) -> dict[tuple[int, int], int]:
        async with self.university.engine.connect() as conn:
            found = await conn.execute(text("SELECT data_entry_type_id, year, job_id FROM factor_heads"))
            return {(type_id, year): job_id for type_id, year, job_id in found}

    async def ids(self) -> dict[str, set[int]]:
        """What must not change of a row that stays: its id; factors are the same by their identity alone."""
        ids = defaultdict(set)
        for id_, entry in (await self.university.entries()).items():
            ids[f"entry {key(row_of(entry))}"].add(id_)
        for id_, factor in (await stored_factors(self.university.engine)).items():
            ids[f"factor {factor.type_id} {factor.year} {sorted(factor_of(factor).identity)}"].add(id_)
        return ids


def told_by(event: Event) -> Told:
    assert (event["reject_file"] is not None) == bool(event["row_errors"])
    assert event["rows"]["skipped"] == len(event["row_errors"])
    assert event["attempts"] == 1
    return Told(
        event["outcome"],
        event["reason"] and event["reason"]["code"],
        event["rows"]["total"],
        event["rows"]["processed"],
        tuple(codes(event)),
        tuple(event["affected_modules"]),
        {line["source"]: (line["deleted"], line["inserted"], line["remaining"]) for line in event["sources"]},
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
    """What was found too often, or too seldom where the number is negative."""
    counted = Counter(map(key, found))
    counted.subtract(map(key, expected))
    return {row: count for row, count in counted.items() if count}


@settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_after_every_step_the_service_and_the_model_agree(
    university: University, jobs: Jobs, steps: list[Step]
) -> None:
    twins = Twins(university, jobs)
    await twins.start()
    for step in steps:
        before = await twins.ids()
        await twins.take(step)
        await twins.compare()
        after = await twins.ids()
        assert {what: ids for what, ids in after.items() if what in before and not stayed(before[what], ids)} == {}


def stayed(before: set[int], after: set[int]) -> bool:
    """Whether none but new rows have new ids."""
    return after <= before or before <= after
