"""Whose rows are a job's own: an id of a person may be the id of a job."""

import pytest

from tests.support.jobs import CSV_PER_YEAR, CSV_UNIT, Jobs, codes, member
from tests.support.university import PHYSICS, USER_MANUAL, University

MEMBER = 1


@pytest.mark.parametrize("provider_type", [CSV_PER_YEAR, CSV_UNIT])
async def test_an_entry_typed_in_by_a_user_with_the_id_of_the_job_is_not_the_jobs_own(
    provider_type, university: University, jobs: Jobs
) -> None:
    await university.put(
        university.entry(PHYSICS, USER_MANUAL, MEMBER, created_by_id=1, user_institutional_id="2")
    )
    module = (
        {"carbon_report_module_id": university.module(PHYSICS, MEMBER)}
        if provider_type is CSV_UNIT
        else {}
    )
    row = member(None if module else PHYSICS, "2")
    event = await jobs.run(provider_type, [row], job_id=1, data_entry_type="member", **module)
    assert (event["outcome"], codes(event)) == (
        "rejected",
        [(1, "user_institutional_id", "duplicate")],
    )
