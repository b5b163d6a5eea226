"""Uploads for one unit: their rows are added to its module, and no row is deleted."""

from typing import Any

import pytest

from service.domain.provider_types import DataEntrySource, ProviderType
from tests.support.jobs import (
    API_UNIT,
    CSV_PER_YEAR,
    CSV_UNIT,
    Event,
    Jobs,
    bad_purchase,
    codes,
    purchase,
    purchases,
)
from tests.support.university import BIOLOGY, PHYSICS, UNKNOWN, University

every_kind = pytest.mark.parametrize("kind", [CSV_UNIT, API_UNIT])


@every_kind
async def test_every_row_that_was_there_stays_as_it_was(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    source = kind.source
    there = {
        **university.bystanders(source),
        "of the same kind of upload": university.entry(PHYSICS, source, created_by_id=3),
        "of the same source, without year and unit": university.entry(
            PHYSICS, source, year_and_unit=False
        ),
    }
    ids = dict(zip(there, await university.put(*there.values()), strict=True))
    before = await university.entries()
    await jobs.run(kind, purchases(None), carbon_report_module_id=university.module(PHYSICS))
    after = await university.entries()
    assert [name for name, id_ in ids.items() if id_ not in after] == []
    assert {id_: after[id_] for id_ in before} == before
    assert len(after) == len(before) + 1


@every_kind
async def test_every_row_is_tagged_with_the_modules_year_and_unit(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    module = university.module(BIOLOGY)
    await jobs.run(kind, [purchase(None, "A")], job_id=7, carbon_report_module_id=module)
    common: dict[str, Any] = {
        "total_spent_amount": 12.5,
        "currency": "chf",
        "purchase_institutional_code": "411",
    }
    expected = university.entry(BIOLOGY, kind.source, created_by_id=7, name="A", **common)
    assert list((await university.entries()).values()) == [expected]


@every_kind
async def test_the_event_counts_every_source_of_the_module(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    source = kind.source
    await university.put(
        *[university.entry(PHYSICS, source)] * 2,
        *[university.entry(PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR)] * 3,
        university.entry(PHYSICS, None),
        university.entry(BIOLOGY, None),
    )
    module = university.module(PHYSICS)
    event = await jobs.run(
        kind, [purchase(None), bad_purchase(None)], carbon_report_module_id=module
    )
    assert event["outcome"] == "partial"
    assert event["provider_type"] == kind.value
    assert event["rows"] == {"total": 2, "processed": 1, "skipped": 1}
    assert codes(event) == [(2, "total_spent_amount", "decimal_comma")]
    assert event["affected_modules"] == [module]
    assert event["sources"] == [
        {"source": source.name, "deleted": 0, "inserted": 1, "remaining": 3},
        {"source": "CSV_MODULE_PER_YEAR", "deleted": 0, "inserted": 0, "remaining": 3},
        {"source": None, "deleted": 0, "inserted": 0, "remaining": 1},
    ]


@every_kind
async def test_jobs_are_applied_in_any_order_and_write_no_head(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    module = university.module(PHYSICS)
    for job_id in (5, 9, 7):
        event = await jobs.run(
            kind, [purchase(None, f"{job_id}")], job_id=job_id, carbon_report_module_id=module
        )
        assert event["outcome"] == "succeeded"
    assert await university.names(PHYSICS, kind.source) == ["5", "9", "7"]
    assert await university.heads() == {}


@every_kind
async def test_what_it_is_based_on_does_not_matter(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    module = university.module(PHYSICS)
    await jobs.run(kind, purchases(None), job_id=5, carbon_report_module_id=module)
    event = await jobs.run(
        kind, purchases(None), job_id=9, based_on=2, carbon_report_module_id=module
    )
    assert event["outcome"] == "succeeded"


@every_kind
async def test_a_unit_column_is_ignored(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    rows = purchases(BIOLOGY, UNKNOWN, "")
    event = await jobs.run(kind, rows, carbon_report_module_id=university.module(PHYSICS))
    assert event["outcome"] == "succeeded"
    assert [entry.unit_id for entry in await university.scope(PHYSICS, kind.source)] == [
        university.units[PHYSICS]
    ] * 3
    assert all(
        "unit_institutional_id" not in entry.data for entry in (await university.entries()).values()
    )


@every_kind
async def test_a_per_year_upload_leaves_its_rows_alone(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    await jobs.run(
        kind, [purchase(None, "ours")], carbon_report_module_id=university.module(PHYSICS)
    )
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year")
    assert await university.names(PHYSICS, kind.source) == ["ours"]


@every_kind
async def test_an_upload_without_a_valid_row_changes_nothing(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    event = await jobs.run(
        kind, [bad_purchase(None)], carbon_report_module_id=university.module(PHYSICS)
    )
    assert_rejected(event, "no_valid_row")
    assert event["rows"] == {"total": 1, "processed": 0, "skipped": 1}
    assert await university.entries() == {}


async def test_one_invalid_row_rejects_a_job_that_allows_none(
    university: University, jobs: Jobs
) -> None:
    rows = [purchase(None), bad_purchase(None)]
    event = await jobs.run(
        API_UNIT, rows, carbon_report_module_id=university.module(PHYSICS), on_row_error="reject"
    )
    assert_rejected(event, "invalid_row")
    assert await university.entries() == {}


@every_kind
async def test_a_job_for_an_unknown_module_is_rejected(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    event = await jobs.run(kind, purchases(None), carbon_report_module_id=987654)
    assert_rejected(event, "unknown_module", "987654")
    assert await university.entries() == {}


@every_kind
async def test_a_job_for_a_module_of_another_year_is_rejected(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    event = await jobs.run(
        kind, purchases(None), carbon_report_module_id=university.module(PHYSICS, year=2024)
    )
    assert_rejected(event, "wrong_year", "2024", "2025")
    assert await university.entries() == {}


@every_kind
async def test_a_job_for_a_module_of_another_type_is_rejected(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    event = await jobs.run(
        kind, purchases(None), carbon_report_module_id=university.module(PHYSICS, 20)
    )
    assert_rejected(event, "wrong_module_type", "professional travel", "purchase")
    assert await university.entries() == {}


async def test_the_key_of_the_event_is_the_module(university: University, jobs: Jobs) -> None:
    module = university.module(PHYSICS)
    message = jobs.message(CSV_UNIT, purchases(None), carbon_report_module_id=module)
    assert (await jobs.deliver(CSV_UNIT, message)).key == str(module).encode()


def assert_rejected(event: Event, code: str, *parts: str) -> None:
    assert event["outcome"] == "rejected"
    assert event["reason"]["code"] == code
    assert [words for words in parts if words not in event["reason"]["message"]] == []
    assert (event["sources"], event["affected_modules"], event["superseded_by"]) == ([], [], None)
