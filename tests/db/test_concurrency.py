"""Jobs at the same time.

A scope never holds the rows of two jobs, and never an older job's after a newer job's.
"""

import os
import random
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import pytest

from service.domain.provider_types import ProviderType
from tests.support.jobs import API_PER_YEAR, CSV_PER_YEAR, CSV_UNIT, EXTERNAL, Event, Jobs, purchase
from tests.support.university import PHYSICS, UNITS, University

SOURCE = CSV_PER_YEAR.source
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
"""A new seed in every run, unless one is given. A failure shows it."""


@dataclass(frozen=True)
class Asked:
    """A job of a random round."""

    job_id: int
    units: tuple[str, ...]
    whole_year: bool

    @property
    def touches(self) -> frozenset[str]:
        return frozenset(UNITS if self.whole_year else self.units)

    def message(self, jobs: Jobs, kind: ProviderType) -> tuple[ProviderType, bytes]:
        rows = [purchase(unit, f"{self.job_id}") for unit in self.units for _ in range(2)]
        scope = "year" if self.whole_year else "affected"
        return kind, jobs.message(kind, rows, job_id=self.job_id, replace_scope=scope)


async def jobs_by_unit(university: University, kind: ProviderType) -> dict[str, set[int | None]]:
    """The jobs whose rows each unit holds."""
    names = {university.module(unit): unit for unit in UNITS}
    found: dict[str, set[int | None]] = defaultdict(set)
    for entry in (await university.entries()).values():
        assert entry.source == kind.source
        found[names[entry.module]].add(entry.created_by_id)
    return found


async def test_two_jobs_at_once_on_one_scope_leave_the_newer_ones_rows(
    university: University, jobs: Jobs
) -> None:
    for round_ in range(200):
        older, newer = 2 * round_ + 1, 2 * round_ + 2
        both = [
            Asked(job_id, (PHYSICS,), whole_year=False).message(jobs, CSV_PER_YEAR)
            for job_id in (older, newer)
        ]
        events = {
            event["job_id"]: event for event in await jobs.run_at_once(*both[:: (-1) ** round_])
        }
        rows = await university.scope(PHYSICS, SOURCE)
        assert [row.created_by_id for row in rows] == [newer, newer], f"round {round_}"
        assert events[newer]["outcome"] == "succeeded"
        assert events[newer]["sources"][0]["remaining"] == 2
        assert_explained(events[older], newer)


def assert_explained(event: Event, newer: int) -> None:
    """The older job was applied first, or it ended superseded by the newer one."""
    first = event["outcome"] == "succeeded" and event["sources"][0]["remaining"] == 2
    assert first or (event["outcome"], event["superseded_by"]) == ("superseded", newer)


@pytest.mark.parametrize("kind", [CSV_PER_YEAR, API_PER_YEAR])
async def test_jobs_over_overlapping_units_at_once_never_mix(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    chance = random.Random(SEED)
    for round_ in range(40):
        ids = range(10 * round_ + 1, 10 * round_ + 1 + chance.randint(2, 4))
        asked = [some_job(chance, job_id) for job_id in chance.sample(ids, len(ids))]
        before = await jobs_by_unit(university, kind)
        events = await jobs.run_at_once(*(job.message(jobs, kind) for job in asked))
        applied = [
            job for job, event in zip(asked, events, strict=True) if event["outcome"] == "succeeded"
        ]
        assert await jobs_by_unit(university, kind) == expected(before, applied), (
            f"SEED={SEED}, {asked}"
        )
        for job, event in zip(asked, events, strict=True):
            if job not in applied:
                newer = {
                    other.job_id
                    for other in applied
                    if other.job_id > job.job_id and other.touches & job.touches
                }
                assert (event["outcome"], event["superseded_by"] in newer) == ("superseded", True)


def some_job(chance: random.Random, job_id: int) -> Asked:
    units = chance.sample(UNITS, chance.randint(1, len(UNITS)))
    return Asked(job_id, tuple(units), whole_year=chance.random() < 0.3)


def expected(
    before: dict[str, set[int | None]], applied: list[Asked]
) -> dict[str, set[int | None]]:
    """The jobs whose rows each unit must hold: the highest applied job that touches the unit."""
    after = dict(before)
    for job in sorted(applied, key=lambda job: job.job_id):
        for unit in job.touches:
            after.pop(unit, None)
        after |= {unit: {job.job_id} for unit in job.units}
    return after


async def test_jobs_of_different_sources_do_not_disturb_each_other(
    university: University, jobs: Jobs
) -> None:
    module = university.module(PHYSICS)
    kinds = (CSV_PER_YEAR, API_PER_YEAR, EXTERNAL)
    for _ in range(20):
        appended = jobs.message(CSV_UNIT, [purchase(None)], carbon_report_module_id=module)
        replacing = [(kind, jobs.message(kind, [purchase(PHYSICS)])) for kind in kinds]
        events = await jobs.run_at_once(*replacing, (CSV_UNIT, appended))
        assert {event["outcome"] for event in events} == {"succeeded"}
    scopes = await university.scopes()
    assert [len(scopes[module, 66, kind.source]) for kind in (*kinds, CSV_UNIT)] == [1, 1, 1, 20]


async def test_jobs_over_the_same_units_in_opposite_order_meet_no_deadlock(
    university: University, jobs: Jobs
) -> None:
    """In a deadlock, PostgreSQL would end one of the jobs with an error."""
    asked = partial(jobs.message, CSV_PER_YEAR)
    for _ in range(30):
        rows = [purchase(unit) for unit in UNITS]
        messages = [
            (CSV_PER_YEAR, asked(rows)),
            (CSV_PER_YEAR, asked(rows[::-1])),
            (CSV_PER_YEAR, asked(rows[1:])),
        ]
        events = await jobs.run_at_once(*messages)
        assert {event["outcome"] for event in events} <= {"succeeded", "superseded"}
    assert {len(rows) for rows in (await university.scopes()).values()} == {1}
