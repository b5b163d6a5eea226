"""Factors: after a job the scope holds exactly the file, and what stayed kept its id."""

from dataclasses import replace
from functools import partial

import pytest

from tests.support.factors import STUDENT, Factor, food, of_food, put_factor, stored_factors
from tests.support.jobs import FACTORS, Event, Jobs, Row, codes
from tests.support.university import University


async def upload(jobs: Jobs, *rows: Row, **fields: object) -> Event:
    return await jobs.run(FACTORS, rows, **({"data_entry_type": "student"} | fields))


async def test_the_scope_holds_exactly_the_file(university: University, jobs: Jobs) -> None:
    await upload(jobs, food("vegan"), food("beef", "lunch"), job_id=7)
    await upload(jobs, food("beef", "lunch", ef="3"), food("fish"), job_id=8)
    assert list((await stored_factors(university.engine)).values()) == [
        of_food("beef", "lunch", ef=3.0, last_seen_job_id=8),
        of_food("fish", last_seen_job_id=8),
    ]


async def test_the_event_counts_what_came_stayed_and_went(jobs: Jobs) -> None:
    await upload(jobs, food("vegan"), food("beef"), food("fish"))
    event = await upload(
        jobs, food("beef", ef="3"), food("fish"), food("tofu"), food("", ef="1"), job_id=8
    )
    assert event["outcome"] == "partial"
    assert event["factors"] == {"inserted": 1, "updated": 2, "deleted": 1, "remaining": 3}
    assert event["rows"] == {"total": 4, "processed": 3, "skipped": 1}
    assert (event["provider_type"], event["data_entry_type"]) == ("factors", "student")
    assert (event["sources"], event["affected_modules"], event["superseded_by"]) == ([], [], None)


async def test_the_same_identity_keeps_its_id(university: University, jobs: Jobs) -> None:
    await upload(jobs, food("vegan"), food("beef", "lunch"))
    before = await stored_factors(university.engine)
    await upload(jobs, food("beef", "lunch", ef="3"), food("vegan", ef="2"), food("fish"))
    after = await stored_factors(university.engine)
    assert {id_: after[id_].classification for id_ in before} == {
        id_: f.classification for id_, f in before.items()
    }
    assert [after[id_].values["ef_kg_co2eq_per_unit"] for id_ in before] == [2, 3]


async def test_the_same_file_again_changes_no_id(university: University, jobs: Jobs) -> None:
    await upload(jobs, food("vegan"), food("beef"))
    before = await stored_factors(university.engine)
    event = await upload(jobs, food("vegan"), food("beef"), job_id=9)
    assert event["factors"] == {"inserted": 0, "updated": 2, "deleted": 0, "remaining": 2}
    expected = {id_: replace(factor, last_seen_job_id=9) for id_, factor in before.items()}
    assert await stored_factors(university.engine) == expected


async def test_an_absent_part_of_an_identity_is_left_out_and_equals_null(
    university: University, jobs: Jobs
) -> None:
    old = of_food("vegan", ef=9.0)
    nulled = replace(old, classification={**old.classification, "headcount_subclass": None})
    id_ = await put_factor(university.engine, nulled)
    event = await upload(jobs, food("vegan"), job_id=7)
    assert await stored_factors(university.engine) == {id_: of_food("vegan", last_seen_job_id=7)}
    assert event["factors"] == {"inserted": 0, "updated": 1, "deleted": 0, "remaining": 1}


async def test_of_two_old_rows_that_differ_in_null_alone_the_plain_one_stays(
    university: University, jobs: Jobs
) -> None:
    plain = of_food("vegan")
    nulled = replace(plain, classification={**plain.classification, "headcount_subclass": None})
    await put_factor(university.engine, nulled)
    id_ = await put_factor(university.engine, plain)
    event = await upload(jobs, food("vegan"), job_id=7)
    assert await stored_factors(university.engine) == {id_: replace(plain, last_seen_job_id=7)}
    assert event["factors"] == {"inserted": 0, "updated": 1, "deleted": 1, "remaining": 1}


async def test_the_other_one_goes_even_where_the_file_repeats_the_identity(
    university: University, jobs: Jobs
) -> None:
    plain = of_food("vegan")
    nulled = replace(plain, classification={**plain.classification, "headcount_subclass": None})
    await put_factor(university.engine, nulled)
    id_ = await put_factor(university.engine, plain)
    await upload(jobs, food("vegan"), food("vegan", ef="2"), job_id=7)
    assert await stored_factors(university.engine) == {id_: replace(plain, last_seen_job_id=7)}


async def test_the_order_of_columns_makes_no_second_identity(
    university: University, jobs: Jobs
) -> None:
    row = food("beef", "lunch")
    await upload(jobs, row)
    before = await stored_factors(university.engine)
    await upload(jobs, dict(reversed(row.items())), job_id=9)
    assert list(await stored_factors(university.engine)) == list(before)
    event = await upload(jobs, row, food("beef", " lunch "))
    assert codes(event) == [(2, "headcount_category", "duplicate")]


async def test_of_the_same_identity_twice_the_first_row_counts(
    university: University, jobs: Jobs
) -> None:
    event = await upload(
        jobs, food("vegan", ef="1"), food("vegan", ef="2"), food("vegan", "lunch"), job_id=7
    )
    assert codes(event) == [(2, "headcount_category", "duplicate")]
    assert list((await stored_factors(university.engine)).values()) == [
        of_food("vegan", ef=1.0, last_seen_job_id=7),
        of_food("vegan", "lunch", last_seen_job_id=7),
    ]


async def test_an_identity_that_only_an_invalid_row_names_keeps_its_old_row(
    university: University, jobs: Jobs
) -> None:
    await upload(jobs, food("vegan"), food("beef", "lunch"), food("fish"), job_id=7)
    before = await stored_factors(university.engine)
    event = await upload(jobs, food("vegan", ef="2"), food("beef", "lunch", ef="-1"), job_id=8)
    after = await stored_factors(university.engine)
    vegan, beef, _ = before
    assert after == {vegan: of_food("vegan", ef=2.0, last_seen_job_id=8), beef: before[beef]}
    assert event["factors"] == {"inserted": 0, "updated": 1, "deleted": 1, "remaining": 2}


async def test_an_invalid_row_keeps_an_old_one_that_has_null_for_the_absent_part(
    university: University, jobs: Jobs
) -> None:
    old = of_food("beef")
    nulled = replace(old, classification={**old.classification, "headcount_subclass": None})
    id_ = await put_factor(university.engine, nulled)
    await upload(jobs, food("vegan"), food("beef", ef="many"))
    assert (await stored_factors(university.engine))[id_] == nulled


async def test_an_identity_with_a_valid_row_too_is_the_valid_rows(
    university: University, jobs: Jobs
) -> None:
    await upload(jobs, food("vegan"), job_id=7)
    event = await upload(
        jobs, food("vegan", ef="x"), food("vegan", ef="2"), food("vegan", ef="y"), job_id=8
    )
    assert event["factors"] == {"inserted": 0, "updated": 1, "deleted": 0, "remaining": 1}
    (stored,) = (await stored_factors(university.engine)).values()
    assert stored == of_food("vegan", ef=2.0, last_seen_job_id=8)


async def test_other_types_and_years_stay_as_they_were(university: University, jobs: Jobs) -> None:
    others = [of_food("vegan", year=2024), of_food("vegan", type_id=1), of_food("fish", type_id=1)]
    ids = [await put_factor(university.engine, factor) for factor in others]
    before = await stored_factors(university.engine)
    await upload(jobs, food("vegan"), food("tofu"))
    after = await stored_factors(university.engine)
    assert {id_: after[id_] for id_ in ids} == before


@pytest.mark.parametrize("rows", [[], [food("vegan", ef="-1")], [food("")]])
async def test_a_file_without_a_valid_row_changes_nothing(
    university: University, jobs: Jobs, rows: list[Row]
) -> None:
    await upload(jobs, food("vegan"), food("fish"))
    before = await stored_factors(university.engine)
    event = await jobs.run(FACTORS, rows or ",".join(food("")) + "\n", data_entry_type="student")
    assert event["outcome"] == "rejected"
    assert event["factors"] is None
    assert await stored_factors(university.engine) == before


async def test_an_older_job_changes_nothing(university: University, jobs: Jobs) -> None:
    await upload(jobs, food("vegan"), job_id=9)
    before = await stored_factors(university.engine)
    event = await upload(jobs, food("fish"), job_id=8)
    assert (event["outcome"], event["superseded_by"], event["factors"]) == ("superseded", 9, None)
    assert await stored_factors(university.engine) == before


async def test_a_rejected_factors_job_supersedes_nobody(jobs: Jobs) -> None:
    await upload(jobs, food("vegan", ef="x"), job_id=9)
    assert (await upload(jobs, food("fish"), job_id=8))["outcome"] == "succeeded"


async def test_two_jobs_at_once_leave_the_newer_ones_factors(
    university: University, jobs: Jobs
) -> None:
    message = partial(jobs.message, FACTORS, data_entry_type="student")
    for round_ in range(30):
        older, newer = 2 * round_ + 1, 2 * round_ + 2
        both = [
            (FACTORS, message([food("beef", ef="1"), food("vegan", ef="1")], job_id=older)),
            (FACTORS, message([food("beef", ef="2"), food("fish", ef="2")], job_id=newer)),
        ]
        events = await jobs.run_at_once(*both[:: (-1) ** round_])
        stored = (await stored_factors(university.engine)).values()
        assert {factor.last_seen_job_id for factor in stored} == {newer}
        assert {factor.classification["headcount_class"] for factor in stored} == {"beef", "fish"}
        assert {event["outcome"] for event in events} <= {"succeeded", "superseded"}


async def test_entries_are_none_of_a_factors_jobs_business(
    university: University, jobs: Jobs
) -> None:
    await university.put(university.entry("physics", None, STUDENT, fte=1))
    before = await university.entries()
    await upload(jobs, food("vegan"))
    assert await university.entries() == before
    assert await university.heads() == {}


async def test_text_and_number_columns_are_stored_as_such(
    university: University, jobs: Jobs
) -> None:
    row = {
        "building_name": "BC",
        "room_type": "office",
        "energy_type": "thermal",
        "conversion_factor": "",
    }
    areas = {
        f"{use}_kwh_per_square_meter": "1"
        for use in ("heating", "cooling", "ventilation", "lighting")
    }
    await upload(
        jobs, row | areas | {"ef_kg_co2eq_per_kwh": "4e-2"}, data_entry_type="building", job_id=7
    )
    identity = {"building_name": "BC", "room_type": "office", "energy_type": "thermal"}
    values = dict.fromkeys(areas, 1.0) | {"ef_kg_co2eq_per_kwh": 0.04}
    expected = Factor(identity, values, type_id=30, last_seen_job_id=7)
    assert list((await stored_factors(university.engine)).values()) == [expected]
