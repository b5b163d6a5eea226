"""A per-year upload that is a complete export: units without a row in it lose their rows."""

import pytest

from service.domain.provider_types import ProviderType
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    EXTERNAL,
    Jobs,
    bad_purchase,
    member,
    purchase,
    purchases,
)
from tests.support.university import (
    BIOLOGY,
    LIBRARY,
    PHYSICS,
    UNITS,
    UNREPORTED,
    USER_MANUAL,
    University,
)

every_kind = pytest.mark.parametrize("kind", [CSV_PER_YEAR, API_PER_YEAR, EXTERNAL])
SOURCE = CSV_PER_YEAR.source


@every_kind
async def test_units_without_a_row_lose_theirs(
    university: University, jobs: Jobs, kind: ProviderType
) -> None:
    await jobs.run(kind, purchases(PHYSICS, BIOLOGY, BIOLOGY))
    event = await jobs.run(kind, [purchase(PHYSICS, "new")], replace_scope="year")
    assert [entry.data["name"] for entry in (await university.entries()).values()] == ["new"]
    assert event["sources"] == [
        {"source": kind.source.name, "deleted": 3, "inserted": 1, "remaining": 1}
    ]
    assert event["outcome"] == "succeeded"


async def test_such_rows_are_found_through_their_module(university: University, jobs: Jobs) -> None:
    await university.put(
        university.entry(BIOLOGY, SOURCE, year_and_unit=False),
        university.entry(LIBRARY, SOURCE, year_and_unit=False),
    )
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year")
    assert {entry.module for entry in (await university.entries()).values()} == {
        university.module(PHYSICS)
    }


async def test_all_but_that_source_type_and_year_stays(university: University, jobs: Jobs) -> None:
    of_other_units = {"of another unit", "of another unit, without year and unit"}
    bystanders = {
        name: row
        for name, row in university.bystanders(SOURCE).items()
        if name not in of_other_units
    }
    bystanders |= {
        "of another unit and source": university.entry(BIOLOGY, USER_MANUAL),
        "of another unit, of source NULL": university.entry(BIOLOGY, None),
        "of another unit and type": university.entry(BIOLOGY, SOURCE, 64),
        "of another unit's other year": university.entry(BIOLOGY, SOURCE, year=2024),
        "of another unit's simulator": university.entry(BIOLOGY, SOURCE, kind="simulator"),
    }
    ids = dict(zip(bystanders, await university.put(*bystanders.values()), strict=True))
    before = await university.entries()
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year")
    after = await university.entries()
    assert [name for name, id_ in ids.items() if id_ not in after] == []
    assert {id_: after[id_] for id_ in before} == before


async def test_the_event_covers_the_modules_that_were_emptied_and_no_others(
    university: University, jobs: Jobs
) -> None:
    await university.put(
        university.entry(BIOLOGY, SOURCE),
        *[university.entry(unit, USER_MANUAL) for unit in (BIOLOGY, LIBRARY)],
    )
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year")
    assert event["affected_modules"] == sorted(
        [university.module(PHYSICS), university.module(BIOLOGY)]
    )
    assert event["sources"] == [
        {"source": "CSV_MODULE_PER_YEAR", "deleted": 1, "inserted": 1, "remaining": 1},
        {"source": "USER_MANUAL", "deleted": 0, "inserted": 0, "remaining": 1},
    ]


async def test_every_calculator_module_of_the_year_gets_the_head(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year", job_id=7)
    assert await university.heads() == {(university.module(unit), 66, SOURCE): 7 for unit in UNITS}


async def test_an_older_job_for_a_unit_without_rows_is_superseded(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year", job_id=7)
    event = await jobs.run(CSV_PER_YEAR, purchases(LIBRARY), job_id=6)
    assert event["outcome"] == "superseded"
    assert event["superseded_by"] == 7
    assert await university.scope(LIBRARY, SOURCE) == []


async def test_a_newer_job_of_any_unit_supersedes_it_whole(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(PHYSICS, "old"), purchase(BIOLOGY, "old")], job_id=5)
    await jobs.run(CSV_PER_YEAR, [purchase(LIBRARY, "newer")], job_id=7)
    before, heads = await university.entries(), await university.heads()
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), replace_scope="year", job_id=6)
    assert (event["outcome"], event["superseded_by"]) == ("superseded", 7)
    assert await university.entries() == before
    assert await university.heads() == heads


@pytest.mark.parametrize("rows", [[], [bad_purchase(PHYSICS)], [purchase(UNREPORTED)]])
async def test_a_file_without_a_valid_row_never_wipes_the_year(
    university: University, jobs: Jobs, rows: list[dict[str, str]]
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, BIOLOGY), job_id=1)
    before, heads = await university.entries(), await university.heads()
    event = await jobs.run(
        CSV_PER_YEAR, rows or ",".join(purchase(PHYSICS)), replace_scope="year", job_id=2
    )
    assert event["outcome"] == "rejected"
    assert await university.entries() == before
    assert await university.heads() == heads


async def test_a_unit_with_invalid_rows_alone_keeps_its_rows(
    university: University, jobs: Jobs
) -> None:
    await jobs.run(CSV_PER_YEAR, [purchase(unit, "old") for unit in UNITS])
    rows = [purchase(PHYSICS, "new"), bad_purchase(BIOLOGY, "bad")]
    event = await jobs.run(CSV_PER_YEAR, rows, replace_scope="year")
    assert event["outcome"] == "partial"
    assert await university.names(PHYSICS, SOURCE) == ["new"]
    assert await university.names(BIOLOGY, SOURCE) == ["old"]
    assert await university.names(LIBRARY, SOURCE) == []


async def test_members_of_emptied_modules_go_too(university: University, jobs: Jobs) -> None:
    await jobs.run(
        CSV_PER_YEAR, [member(PHYSICS, "1"), member(BIOLOGY, "2")], data_entry_type="member"
    )
    rows = [member(PHYSICS, "2")]
    event = await jobs.run(CSV_PER_YEAR, rows, data_entry_type="member", replace_scope="year")
    assert event["outcome"] == "succeeded"
    assert [
        entry.data["user_institutional_id"] for entry in (await university.entries()).values()
    ] == ["2"]
