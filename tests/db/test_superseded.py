"""Jobs out of order: a job that meets a newer one in any of its scopes changes nothing."""

import pytest

from service.domain.provider_types import ProviderType
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    EXTERNAL,
    FACTORS,
    Jobs,
    bad_purchase,
    purchase,
    purchases,
)
from tests.support.university import BIOLOGY, LIBRARY, PHYSICS, University

every_kind = pytest.mark.parametrize("kind", [CSV_PER_YEAR, API_PER_YEAR, EXTERNAL])
SOURCE = CSV_PER_YEAR.source
FUEL = [{"name": "gas", "unit": "kWh", "ef_kg_co2eq_per_unit": "1"}]


@every_kind
async def test_an_older_job_changes_nothing_and_names_the_newer(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    await jobs.run(kind, [purchase(PHYSICS, "newer")], job_id=9)
    before, heads = await university.entries(), await university.heads()
    event = await jobs.run(kind, [purchase(PHYSICS, "older"), bad_purchase(PHYSICS)], job_id=8)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 9)
    assert event["rows"] == {"total": 2, "processed": 0, "skipped": 1}
    assert (event["sources"], event["affected_modules"]) == ([], [])
    assert await university.entries() == before
    assert await university.heads() == heads


async def test_one_newer_scope_among_several_is_enough(university: University, jobs: Jobs) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(BIOLOGY, "newest")], job_id=20)
    await jobs.run(CSV_PER_YEAR, [purchase(LIBRARY, "newer")], job_id=15)
    before, heads = await university.entries(), await university.heads()
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY, LIBRARY), job_id=10)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 20)
    assert await university.entries() == before
    assert await university.heads() == heads


async def test_jobs_of_another_scope_supersede_nobody(university: University, jobs: Jobs) -> None:
    await jobs.run(API_PER_YEAR, purchases(PHYSICS), job_id=90)
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=91, data_entry_type="services")
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=92, year=2024)
    await jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=93)
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=8)
    assert event["outcome"] == "succeeded"
    assert await university.heads() == {
        (university.module(PHYSICS), 66, 3): 90,
        (university.module(PHYSICS), 64, 1): 91,
        (university.module(PHYSICS, year=2024), 66, 1): 92,
        (university.module(BIOLOGY), 66, 1): 93,
        (university.module(PHYSICS), 66, 1): 8,
    }


async def test_a_rejected_job_supersedes_nobody(jobs: Jobs) -> None:
    await jobs.run(CSV_PER_YEAR, [bad_purchase(PHYSICS)], job_id=9)
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=8)
    assert event["outcome"] == "succeeded"


async def test_a_superseded_job_supersedes_nobody(university: University, jobs: Jobs) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=9)
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY), job_id=8)
    event = await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "oldest")], job_id=7)
    assert event["outcome"] == "succeeded"
    assert await university.names(PHYSICS, SOURCE) == ["oldest"]


@pytest.mark.parametrize(
    ("based_on", "outcome"), [(5, "succeeded"), (6, "succeeded"), (4, "superseded")]
)
async def test_an_edited_job_applies_only_where_nothing_newer_than_its_base_is(
    university: University, jobs: Jobs, based_on: int, outcome: str
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "base")], job_id=5)
    event = await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "edited")], job_id=9, based_on=based_on)
    assert event["outcome"] == outcome
    assert await university.names(PHYSICS, SOURCE) == [
        "edited" if outcome == "succeeded" else "base"
    ]


async def test_an_edited_job_names_the_job_that_came_between(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=3)
    await jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=5)
    before = await university.entries()
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY, LIBRARY), job_id=9, based_on=3)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 5)
    assert await university.entries() == before


async def test_a_base_does_not_help_an_older_job(jobs: Jobs) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=9)
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=8, based_on=10)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 9)


async def test_an_edited_factors_job_follows_the_same_rule(jobs: Jobs) -> None:
    await jobs.run(FACTORS, FUEL, job_id=5, data_entry_type="energy_combustion")
    fenced = await jobs.run(
        FACTORS, FUEL, job_id=8, based_on=4, data_entry_type="energy_combustion"
    )
    applied = await jobs.run(
        FACTORS, FUEL, job_id=9, based_on=5, data_entry_type="energy_combustion"
    )
    assert (fenced["outcome"], fenced["superseded_by"]) == ("superseded", 5)
    assert applied["outcome"] == "succeeded"
