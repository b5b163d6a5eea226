"""Uploads for many units: they replace exactly the rows of the last upload of the same kind."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from service.domain.provider_types import ProviderType
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    EXTERNAL,
    Jobs,
    bad_purchase,
    codes,
    purchase,
    purchases,
    remaining,
)
from tests.support.university import (
    BIOLOGY,
    LIBRARY,
    PHYSICS,
    UNKNOWN,
    UNREPORTED,
    USER_MANUAL,
    University,
)

every_kind = pytest.mark.parametrize("kind", [CSV_PER_YEAR, API_PER_YEAR, EXTERNAL])
SOURCE = CSV_PER_YEAR.source


@every_kind
async def test_all_that_the_same_kind_of_upload_put_there_before_goes(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    source = kind.source
    doomed = {
        "of an older job": university.entry(PHYSICS, source, created_by_id=1),
        "of a higher job id than this job's, which wrote no head": university.entry(
            PHYSICS, source, created_by_id=99
        ),
        "of nobody": university.entry(PHYSICS, source),
        "without year and unit": university.entry(PHYSICS, source, year_and_unit=False),
        "with a status": replace(university.entry(PHYSICS, source), status=2),
    }
    ids = dict(zip(doomed, await university.put(*doomed.values()), strict=True))
    await jobs.run(kind, purchases(PHYSICS), job_id=7)
    left = await university.entries()
    assert [name for name, id_ in ids.items() if id_ in left] == []
    assert [entry.created_by_id for entry in left.values()] == [7]


@every_kind
async def test_every_other_row_stays_as_it_was(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    bystanders = university.bystanders(kind.source)
    ids = dict(zip(bystanders, await university.put(*bystanders.values()), strict=True))
    before = await university.entries()
    await jobs.run(kind, purchases(PHYSICS), job_id=7)
    after = await university.entries()
    assert [name for name, id_ in ids.items() if id_ not in after] == []
    assert {id_: after[id_] for id_ in before} == before
    assert {id_: after[id_].written for id_ in before} == {
        id_: entry.written for id_, entry in before.items()
    }
    assert len(after) == len(before) + 1


@every_kind
async def test_every_row_is_tagged_with_its_year_unit_source_and_job(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    rows = [purchase(PHYSICS, " A "), purchase(BIOLOGY, "B", quantity="3", supplier="")]
    await jobs.run(kind, rows, job_id=7, submitted_by=77)
    common: dict[str, Any] = {
        "total_spent_amount": 12.5,
        "currency": "chf",
        "purchase_institutional_code": "411",
    }
    assert list((await university.entries()).values()) == [
        university.entry(PHYSICS, kind.source, created_by_id=7, name="A", **common),
        university.entry(BIOLOGY, kind.source, created_by_id=7, name="B", quantity=3.0, **common),
    ]


@every_kind
async def test_the_event_says_what_became_of_the_rows_of_every_source(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    source = kind.source
    await university.put(
        *[university.entry(PHYSICS, source)] * 2,
        university.entry(BIOLOGY, source),
        university.entry(LIBRARY, source),
        *[university.entry(PHYSICS, USER_MANUAL)] * 3,
        university.entry(BIOLOGY, None),
        university.entry(LIBRARY, None),
        university.entry(PHYSICS, USER_MANUAL, 64),
    )
    event = await jobs.run(
        kind, [purchase(PHYSICS), bad_purchase(PHYSICS), *purchases(BIOLOGY, BIOLOGY)], job_id=7
    )
    (error,) = event.pop("row_errors")
    assert event.pop("started_at") <= event.pop("finished_at")
    assert event.pop("reject_file").endswith(
        "7.csv" if kind is not CSV_PER_YEAR else ".csv.7.rejected.csv"
    )
    assert event == {
        "schema_version": 1,
        "job_id": 7,
        "provider_type": kind.value,
        "outcome": "partial",
        "year": 2025,
        "data_entry_type": "other_purchases",
        "rows": {"total": 4, "processed": 3, "skipped": 1},
        "reason": None,
        "ignored_columns": [],
        "sources": [
            {"source": source.name, "deleted": 3, "inserted": 3, "remaining": 3},
            {"source": "USER_MANUAL", "deleted": 0, "inserted": 0, "remaining": 3},
            {"source": None, "deleted": 0, "inserted": 0, "remaining": 1},
        ],
        "factors": None,
        "affected_modules": sorted([university.module(PHYSICS), university.module(BIOLOGY)]),
        "superseded_by": None,
        "attempts": 1,
    }
    assert error["row"] == 2
    assert error["column"] == "total_spent_amount"
    assert error["code"] == "decimal_comma"
    assert '"12,5"' in error["message"]


async def test_the_counts_of_an_event_agree_with_the_table(
    university: University, jobs: Jobs
) -> None:
    await university.put(*university.bystanders(SOURCE).values())
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, PHYSICS, BIOLOGY))
    counted = Counter(
        entry.source
        for entry in (await university.entries()).values()
        if entry.module in event["affected_modules"] and entry.type_id == 66
    )
    assert remaining(event) == {
        "CSV_MODULE_PER_YEAR": counted[1],
        "USER_MANUAL": counted[0],
        "CSV_MODULE_UNIT_SPECIFIC": counted[2],
        "API_MODULE_PER_YEAR": counted[3],
        "API_MODULE_UNIT_SPECIFIC": counted[4],
        "EXTERNAL_INTEGRATION": counted[5],
        "9": counted[9],
        None: counted[None],
    }


async def test_the_same_file_under_a_new_id_leaves_the_same_rows(
    university: University, jobs: Jobs
) -> None:
    rows = purchases(PHYSICS, PHYSICS, BIOLOGY)
    await jobs.run(CSV_PER_YEAR, rows)
    before = [replace(entry, created_by_id=None) for entry in (await university.entries()).values()]
    event = await jobs.run(CSV_PER_YEAR, rows)
    after = [replace(entry, created_by_id=None) for entry in (await university.entries()).values()]
    assert after == before
    assert event["sources"] == [
        {"source": "CSV_MODULE_PER_YEAR", "deleted": 3, "inserted": 3, "remaining": 3}
    ]


async def test_a_unit_without_a_row_in_the_file_keeps_its_rows(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "old"), purchase(BIOLOGY, "old")])
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "new")])
    assert await university.names(PHYSICS, SOURCE) == ["new"]
    assert await university.names(BIOLOGY, SOURCE) == ["old"]


async def test_a_unit_with_invalid_rows_alone_keeps_its_rows(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "old"), purchase(BIOLOGY, "old")])
    event = await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "new"), bad_purchase(BIOLOGY, "new")])
    assert event["outcome"] == "partial"
    assert event["affected_modules"] == [university.module(PHYSICS)]
    assert await university.names(PHYSICS, SOURCE) == ["new"]
    assert await university.names(BIOLOGY, SOURCE) == ["old"]


async def test_valid_rows_replace_even_where_others_of_the_unit_are_invalid(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "old"), purchase(PHYSICS, "old")])
    await jobs.run(CSV_PER_YEAR, [bad_purchase(PHYSICS, "bad"), purchase(PHYSICS, "new")])
    assert await university.names(PHYSICS, SOURCE) == ["new"]


@every_kind
async def test_an_upload_without_a_valid_row_changes_nothing(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    await jobs.run(kind, purchases(PHYSICS, BIOLOGY), job_id=1)
    before, heads = await university.entries(), await university.heads()
    event = await jobs.run(kind, [bad_purchase(PHYSICS), purchase(UNKNOWN)], job_id=2)
    assert event["outcome"] == "rejected"
    assert event["reason"]["code"] == "no_valid_row"
    assert event["rows"] == {"total": 2, "processed": 0, "skipped": 2}
    assert event["sources"] == []
    assert event["affected_modules"] == []
    assert await university.entries() == before
    assert await university.heads() == heads


async def test_one_invalid_row_rejects_a_job_that_allows_none(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS))
    before = await university.entries()
    rows = [purchase(PHYSICS), bad_purchase(BIOLOGY), purchase(BIOLOGY), purchase(UNKNOWN)]
    event = await jobs.run(CSV_PER_YEAR, rows, on_row_error="reject")
    assert event["outcome"] == "rejected"
    assert event["reason"]["code"] == "invalid_row"
    assert event["rows"] == {"total": 4, "processed": 0, "skipped": 2}
    assert codes(event) == [
        (2, "total_spent_amount", "decimal_comma"),
        (4, "unit_institutional_id", "unknown_unit"),
    ]
    assert len(jobs.rejects(event)) == 3
    assert await university.entries() == before


async def test_a_job_that_allows_no_invalid_row_succeeds_without_one(
    university: University, jobs: Jobs
) -> None:
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), on_row_error="reject")
    assert event["outcome"] == "succeeded"
    assert len(await university.scope(PHYSICS, SOURCE)) == 1


async def test_a_row_of_an_unknown_unit_is_an_error_that_names_it(jobs: Jobs) -> None:
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, UNKNOWN))
    assert codes(event) == [(2, "unit_institutional_id", "unknown_unit")]
    assert f'"{UNKNOWN}"' in event["row_errors"][0]["message"]


async def test_a_simulators_report_receives_no_row(university: University, jobs: Jobs) -> None:
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, UNREPORTED))
    assert codes(event) == [(2, "unit_institutional_id", "unit_without_report")]
    assert [entry.module for entry in (await university.entries()).values()] == [
        university.module(PHYSICS)
    ]


async def test_the_year_of_the_job_decides_which_report_receives_its_rows(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, UNREPORTED), year=2024)
    assert [(entry.module, entry.year) for entry in (await university.entries()).values()] == [
        (university.module(PHYSICS, year=2024), 2024),
        (university.module(UNREPORTED, year=2024), 2024),
    ]


async def test_zero_overrides_the_computed_value_and_an_empty_cell_does_not(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, kg_co2eq=cell) for cell in ("0", "", "7.5")])
    stored = [
        entry.data.get("__kg_co2eq_override__") for entry in await university.scope(PHYSICS, SOURCE)
    ]
    assert stored == [0, None, 7.5]
    assert all("kg_co2eq" not in entry.data for entry in await university.scope(PHYSICS, SOURCE))


async def test_a_type_is_given_by_its_number_as_well_as_by_its_name(
    university: University, jobs: Jobs
) -> None:
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), data_entry_type=64)
    assert event["data_entry_type"] == "services"
    assert len(await university.scope(PHYSICS, SOURCE, 64)) == 1


async def test_an_api_job_may_name_a_file_instead_of_carrying_rows(
    university: University, jobs: Jobs
) -> None:
    claim = jobs.file("unit_institutional_id,fte\nphysics,2.5\n")
    event = await jobs.run(API_PER_YEAR, file=claim, data_entry_type="student")
    assert event["outcome"] == "succeeded"
    (row,) = await university.scope(PHYSICS, API_PER_YEAR.source, 2)
    assert row.data == {"fte": 2.5}


async def test_the_key_of_the_event_is_the_scope_in_words(jobs: Jobs) -> None:
    record = await jobs.deliver(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, purchases(PHYSICS)))
    assert record.key == b"2025:66"
