"""Members: one entry for each person and module, whatever source the other entry has."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import text

from service.domain.provider_types import DataEntrySource
from tests.support.jobs import API_UNIT, CSV_PER_YEAR, CSV_UNIT, Event, Jobs, codes
from tests.support.jobs import member as a_member
from tests.support.university import BIOLOGY, PHYSICS, USER_MANUAL, University
from tests.support.until import until

MEMBER = 1
SOURCE = CSV_PER_YEAR.source
OTHERS = [source for source in (*DataEntrySource, None) if source is not SOURCE]
DUPLICATE = [(1, "user_institutional_id", "duplicate")]


async def run(jobs: Jobs, *users: str, unit: str = PHYSICS, **fields: object) -> Event:
    rows = [a_member(unit, user) for user in users]
    return await jobs.run(CSV_PER_YEAR, rows, data_entry_type="member", **fields)


async def append(jobs: Jobs, university: University, *users: str) -> Event:
    rows = [a_member(None, user) for user in users]
    module = university.module(PHYSICS, MEMBER)
    return await jobs.run(CSV_UNIT, rows, data_entry_type="member", carbon_report_module_id=module)


async def users(university: University, unit: str = PHYSICS) -> list[str]:
    """The ids that the entries of a unit hold, of all sources."""
    module = university.module(unit, MEMBER)
    entries = (await university.entries()).values()
    return sorted(
        str(entry.data["user_institutional_id"]) for entry in entries if entry.module == module
    )


async def test_a_person_twice_in_a_file_is_an_error_of_the_second_row(
    university: University, jobs: Jobs
) -> None:
    event = await run(jobs, "1", "2", " 1 ")
    assert event["outcome"] == "partial"
    assert codes(event) == [(3, "user_institutional_id", "duplicate")]
    assert await users(university) == ["1", "2"]


async def test_a_person_may_be_in_two_units(university: University, jobs: Jobs) -> None:
    rows = [a_member(PHYSICS, "1"), a_member(BIOLOGY, "1")]
    event = await jobs.run(CSV_PER_YEAR, rows, data_entry_type="member")
    assert event["outcome"] == "succeeded"
    assert await users(university, PHYSICS) == await users(university, BIOLOGY) == ["1"]


async def test_a_row_that_is_invalid_otherwise_takes_no_id(
    university: University, jobs: Jobs
) -> None:
    rows = [a_member(PHYSICS, "1", fte="2"), a_member(PHYSICS, "1")]
    event = await jobs.run(CSV_PER_YEAR, rows, data_entry_type="member")
    assert codes(event) == [(1, "fte", "out_of_bounds")]
    assert await users(university) == ["1"]


@pytest.mark.parametrize("source", OTHERS)
async def test_an_id_that_an_entry_of_another_source_holds_is_taken(
    university: University, jobs: Jobs, source: DataEntrySource | None
) -> None:
    await university.put(university.entry(PHYSICS, source, MEMBER, user_institutional_id="1"))
    event = await run(jobs, "1", "2")
    assert codes(event) == DUPLICATE
    assert await users(university) == ["1", "2"]


@pytest.mark.parametrize("stored", [" 2 ", "2", 2])
async def test_stored_ids_are_compared_trimmed_and_as_text(
    university: University, jobs: Jobs, stored: object
) -> None:
    await university.put(university.entry(PHYSICS, None, MEMBER, user_institutional_id=stored))
    event = await run(jobs, "2")
    assert codes(event) == DUPLICATE


async def test_an_id_that_only_replaced_rows_hold_is_free(
    university: University, jobs: Jobs
) -> None:
    await run(jobs, "1", "2")
    event = await run(jobs, "2", "3")
    assert event["outcome"] == "succeeded"
    assert await users(university) == ["2", "3"]


async def test_an_id_in_another_unit_year_or_type_is_free(
    university: University, jobs: Jobs
) -> None:
    await university.put(
        university.entry(BIOLOGY, USER_MANUAL, MEMBER, user_institutional_id="1"),
        university.entry(PHYSICS, USER_MANUAL, MEMBER, year=2024, user_institutional_id="1"),
        university.entry(PHYSICS, USER_MANUAL, MEMBER, kind="simulator", user_institutional_id="1"),
        university.entry(PHYSICS, USER_MANUAL, 2, user_institutional_id="1"),
    )
    assert (await run(jobs, "1"))["outcome"] == "succeeded"


async def test_an_upload_that_appends_meets_its_own_source_too(
    university: University, jobs: Jobs
) -> None:
    await append(jobs, university, "1")
    event = await append(jobs, university, "1", "2")
    assert event["outcome"] == "partial"
    assert codes(event) == DUPLICATE
    assert await users(university) == ["1", "2"]


async def test_people_whom_all_others_hold_leave_nothing_to_do(
    university: University, jobs: Jobs
) -> None:
    await append(jobs, university, "1")
    event = await run(jobs, "1")
    assert (event["outcome"], event["reason"]["code"]) == ("rejected", "no_valid_row")


async def test_two_sources_at_once_never_both_get_in(university: University, jobs: Jobs) -> None:
    module = university.module(PHYSICS, MEMBER)
    asked = partial(jobs.message, data_entry_type="member")
    for _ in range(30):
        events = await jobs.run_at_once(
            (CSV_PER_YEAR, asked(CSV_PER_YEAR, [a_member(PHYSICS, "1"), a_member(PHYSICS, "2")])),
            (
                API_UNIT,
                asked(
                    API_UNIT,
                    [a_member(None, "1"), a_member(None, "3")],
                    carbon_report_module_id=module,
                ),
            ),
            (
                CSV_UNIT,
                asked(
                    CSV_UNIT,
                    [a_member(None, "1"), a_member(None, "4")],
                    carbon_report_module_id=module,
                ),
            ),
        )
        assert await users(university) == ["1", "2", "3", "4"]
        assert sorted(event["outcome"] for event in events) == ["partial", "partial", "succeeded"]
        await university.clear()


async def test_people_may_type_while_an_upload_is_at_work(
    university: University, jobs: Jobs
) -> None:
    (old,) = await university.put(
        university.entry(PHYSICS, SOURCE, MEMBER, user_institutional_id="1")
    )
    async with university.engine.begin() as blocker:
        await blocker.execute(
            text("SELECT FROM data_entries WHERE id = :id FOR UPDATE"), {"id": old}
        )
        upload = asyncio.create_task(run(jobs, "2"))
        await until(
            partial(is_waiting, university),
            within=10,
            what="the upload waits to delete the old row",
        )
        async with asyncio.timeout(5):
            await university.put(
                university.entry(PHYSICS, USER_MANUAL, MEMBER, user_institutional_id="3")
            )
    assert (await upload)["outcome"] == "succeeded"
    assert await users(university) == ["2", "3"]


async def is_waiting(university: University) -> bool:
    """Whether a statement of this database waits for a lock."""
    async with university.engine.connect() as conn:
        query = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
        return bool(await conn.scalar(text(query)))
