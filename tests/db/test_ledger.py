"""The ledger: one end and one event for every job, however often it is delivered."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.db.engine import create_engine
from service.domain.errors import FileGone, JobIdConflict, JobIdTooLarge
from service.domain.provider_types import ProviderType
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    CSV_UNIT,
    FACTORS,
    Jobs,
    bad_purchase,
    event_of,
    ledger,
    purchases,
)
from tests.support.university import BIOLOGY, PHYSICS, University

SOURCE = CSV_PER_YEAR.source
FUEL = [{"name": "gas", "unit": "kWh", "ef_kg_co2eq_per_unit": "1"}]


@pytest.mark.parametrize(
    ("kind", "rows", "fields"),
    [
        (CSV_PER_YEAR, purchases(PHYSICS), {}),
        (CSV_PER_YEAR, [*purchases(PHYSICS), bad_purchase(PHYSICS)], {}),
        (CSV_PER_YEAR, [bad_purchase(PHYSICS)], {}),
        (CSV_PER_YEAR, purchases(BIOLOGY), {}),
        (CSV_UNIT, purchases(None), {"carbon_report_module_id": 987654}),
        (FACTORS, FUEL, {"data_entry_type": "energy_combustion"}),
    ],
    ids=["succeeded", "partial", "no valid row", "superseded", "refused", "factors"],
)
async def test_a_redelivered_job_is_answered_with_its_first_event_byte_for_byte(
    university: University,
    jobs: Jobs,
    kind: ProviderType,
    rows: list[dict[str, str]],
    fields: dict[str, object],
) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(BIOLOGY), job_id=50)
    message = jobs.message(kind, rows, job_id=20, **fields)
    first = await jobs.deliver(kind, message)
    before = await university.entries()
    assert await jobs.deliver(kind, message) == first
    assert jobs.published[-2:] == [first, first]
    assert await university.entries() == before


async def test_a_redelivered_job_does_not_undo_a_newer_one(
    university: University, jobs: Jobs
) -> None:
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)
    await jobs.deliver(CSV_PER_YEAR, message)
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, PHYSICS), job_id=8)
    await jobs.deliver(CSV_PER_YEAR, message)
    assert [entry.created_by_id for entry in (await university.entries()).values()] == [8, 8]


async def test_a_redelivered_job_needs_its_file_no_more(jobs: Jobs) -> None:
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS))
    first = await jobs.deliver(CSV_PER_YEAR, message)
    for file in jobs.root.iterdir():
        file.unlink()
    assert await jobs.deliver(CSV_PER_YEAR, message) == first


async def test_an_appended_job_is_appended_once(university: University, jobs: Jobs) -> None:
    message = jobs.message(
        CSV_UNIT, purchases(None), carbon_report_module_id=university.module(PHYSICS)
    )
    for _ in range(3):
        await jobs.deliver(CSV_UNIT, message)
    assert len(await university.entries()) == 1


async def test_two_deliveries_at_once_have_one_effect_and_one_event(
    university: University, jobs: Jobs
) -> None:
    module = university.module(PHYSICS)
    for _ in range(10):
        message = jobs.message(CSV_UNIT, purchases(None), carbon_report_module_id=module)
        first, second, third = await jobs.deliver_at_once(*[(CSV_UNIT, message)] * 3)
        assert first == second == third
    assert len(await university.entries()) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"year": 2024},
        {"data_entry_type": "services"},
        {"on_row_error": "reject"},
        {"replace_scope": "year"},
    ],
    ids=str,
)
async def test_the_same_id_with_other_content_is_a_conflict_and_the_first_result_stays(
    university: University, jobs: Jobs, change: dict[str, object]
) -> None:
    content = purchases(PHYSICS)
    first = await jobs.deliver(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, content, job_id=7))
    before, line = await university.entries(), await ledger(university.engine)
    with pytest.raises(JobIdConflict, match="Job id 7"):
        await jobs.run(CSV_PER_YEAR, content, job_id=7, **change)
    assert (await university.entries(), await ledger(university.engine)) == (before, line)
    assert await jobs.deliver(CSV_PER_YEAR, jobs.message(CSV_PER_YEAR, content, job_id=7)) == first
    assert jobs.published == [first, first]


async def test_other_bytes_in_the_file_are_a_conflict(jobs: Jobs) -> None:
    await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)
    with pytest.raises(JobIdConflict):
        await jobs.run(CSV_PER_YEAR, purchases(PHYSICS, PHYSICS), job_id=7)


async def test_another_kind_of_upload_is_a_conflict(jobs: Jobs) -> None:
    await jobs.run(API_PER_YEAR, purchases(PHYSICS), job_id=7)
    with pytest.raises(JobIdConflict):
        await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)


async def test_the_same_job_in_other_words_is_no_conflict(jobs: Jobs) -> None:
    rows = purchases(PHYSICS)
    first = await jobs.deliver(API_PER_YEAR, jobs.message(API_PER_YEAR, rows, job_id=7))
    spelt_out = {
        "data_entry_type": 66,
        "replace_scope": "affected",
        "on_row_error": "skip",
        "schema_version": 1,
    }
    later = {"submitted_at": "2026-03-18T14:00:00Z", "unheard_of": True}
    again = jobs.message(API_PER_YEAR, rows, job_id=7, **spelt_out, **later)
    assert await jobs.deliver(API_PER_YEAR, again) == first


async def test_attempts_survive_a_rollback(
    university: University, jobs: Jobs, shared_database: str
) -> None:
    (old,) = await university.put(university.entry(PHYSICS, SOURCE))
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)
    impatient = create_engine(shared_database, lock_timeout=0.1)
    async with university.engine.begin() as blocker:
        await blocker.execute(
            text("SELECT FROM data_entries WHERE id = :id FOR UPDATE"), {"id": old}
        )
        for _ in range(2):
            with pytest.raises(DBAPIError, match="lock timeout"):
                await Jobs(impatient, jobs.root).deliver(CSV_PER_YEAR, message)
    await impatient.dispose()
    assert list(await university.entries()) == [old]
    assert await university.heads() == {}
    assert await ledger(university.engine) == {7: (None, 2, False)}
    event = event_of(await jobs.deliver(CSV_PER_YEAR, message))
    assert (event["outcome"], event["attempts"]) == ("succeeded", 3)
    assert await ledger(university.engine) == {7: ("succeeded", 3, True)}


async def test_a_job_whose_file_is_gone_stays_open(university: University, jobs: Jobs) -> None:
    message = jobs.message(CSV_PER_YEAR, purchases(PHYSICS), job_id=7)
    (file,) = jobs.root.iterdir()
    hidden = file.rename(file.with_suffix(".away"))
    with pytest.raises(FileGone):
        await jobs.deliver(CSV_PER_YEAR, message)
    assert await ledger(university.engine) == {7: (None, 1, False)}
    hidden.rename(file)
    assert event_of(await jobs.deliver(CSV_PER_YEAR, message))["attempts"] == 2


async def test_a_job_id_that_the_hosts_column_cannot_hold_is_refused(
    database: str, jobs: Jobs
) -> None:
    engine = create_engine(database)
    university = await University.seed(engine)
    await university.execute("ALTER TABLE data_entries ALTER created_by_id TYPE integer")
    here = Jobs(engine, jobs.root)
    with pytest.raises(JobIdTooLarge, match="2147483648"):
        await here.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=2**31)
    assert await university.entries() == {}
    assert (await here.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=2**31 - 1))[
        "outcome"
    ] == "succeeded"
    await engine.dispose()


async def test_the_largest_job_id_is_written_as_it_is(university: University, jobs: Jobs) -> None:
    event = await jobs.run(CSV_PER_YEAR, purchases(PHYSICS), job_id=2**53 - 1)
    assert event["job_id"] == 2**53 - 1
    assert [entry.created_by_id for entry in (await university.entries()).values()] == [2**53 - 1]
