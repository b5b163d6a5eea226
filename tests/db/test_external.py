"""Synchronisations with other systems: per-year uploads that replace the rows of the last one."""

from typing import Any

import pytest

from service.domain.errors import SchemaViolation
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    EXTERNAL,
    Jobs,
    codes,
    csv_of,
    purchase,
    purchases,
)
from tests.support.university import BIOLOGY, PHYSICS, University

SOURCE = EXTERNAL.source


async def test_a_second_synchronisation_does_not_double_its_rows(
    university: University, jobs: Jobs
) -> None:
    rows = purchases(PHYSICS, PHYSICS, BIOLOGY)
    await jobs.run(EXTERNAL, rows)
    event = await jobs.run(EXTERNAL, rows)
    assert event["sources"] == [
        {"source": "EXTERNAL_INTEGRATION", "deleted": 3, "inserted": 3, "remaining": 3}
    ]
    assert len(await university.entries()) == 3


async def test_uploads_and_synchronisations_live_side_by_side(
    university: University, jobs: Jobs
) -> None:
    for kind in (CSV_PER_YEAR, API_PER_YEAR, EXTERNAL, CSV_PER_YEAR, API_PER_YEAR, EXTERNAL):
        await jobs.run(kind, [purchase(PHYSICS, kind.value)])
    for kind in (CSV_PER_YEAR, API_PER_YEAR, EXTERNAL):
        assert await university.names(PHYSICS, kind.source) == [kind.value]


async def test_it_may_name_a_file(university: University, jobs: Jobs) -> None:
    event = await jobs.run(EXTERNAL, file=jobs.file(csv_of(purchases(PHYSICS, BIOLOGY))))
    assert event["outcome"] == "succeeded"
    assert len(await university.entries()) == 2


async def test_a_row_without_its_unit_is_an_error(university: University, jobs: Jobs) -> None:
    rows = [purchase(PHYSICS), purchase(None), purchase(PHYSICS, unit_institutional_id=None)]
    event = await jobs.run(EXTERNAL, rows)
    assert codes(event) == [
        (2, "unit_institutional_id", "required"),
        (3, "unit_institutional_id", "required"),
    ]
    assert len(await university.scope(PHYSICS, SOURCE)) == 1


async def test_a_module_that_the_message_names_is_ignored(
    university: University, jobs: Jobs
) -> None:
    module = university.module(BIOLOGY)
    await jobs.run(EXTERNAL, purchases(PHYSICS), carbon_report_module_id=module)
    assert [entry.module for entry in (await university.entries()).values()] == [
        university.module(PHYSICS)
    ]


@pytest.mark.parametrize("both", [True, False])
async def test_it_carries_rows_or_a_file_and_never_both_or_neither(jobs: Jobs, both: bool) -> None:
    fields: dict[str, Any] = {"file": jobs.file("x"), "rows": [{}]} if both else {}
    with pytest.raises(SchemaViolation, match="exactly one of `rows` and `file`"):
        await jobs.run(EXTERNAL, **fields)
