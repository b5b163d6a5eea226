"""Row errors: what the event says of them, and the reject file that holds the rows as they were."""

import pytest

from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    Event,
    Jobs,
    bad_purchase,
    codes,
    purchase,
)
from tests.support.university import PHYSICS, UNKNOWN

HEADER = "unit_institutional_id,fte,note"


async def run(jobs: Jobs, content: str, **fields: object) -> Event:
    return await jobs.run(CSV_PER_YEAR, content, **({"data_entry_type": "student"} | fields))


async def test_an_error_quotes_40_characters_of_a_cell_at_most(jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER}\nphysics,1,\nphysics,{'z' * 41},\nphysics,{'y' * 40},\n")
    long, short = (error["message"] for error in event["row_errors"])
    assert "z" * 39 in long
    assert "z" * 41 not in long
    assert "y" * 40 in short


async def test_the_reject_file_holds_the_bad_rows_as_they_were(jobs: Jobs) -> None:
    content = (
        "note,unit_institutional_id,colour,fte\n"
        " ok ,physics,red,1\n"
        '" a, ""b"" ",physics,,"0,5",surplus\n'
        f"é,{UNKNOWN}\n"
    )
    event = await run(jobs, content, job_id=7)
    header, comma, unknown = jobs.rejects(event)
    assert header == [
        "row",
        "column",
        "code",
        "message",
        "note",
        "unit_institutional_id",
        "colour",
        "fte",
    ]
    assert comma[:3] + comma[4:] == [
        "2",
        "fte",
        "decimal_comma",
        ' a, "b" ',
        "physics",
        "",
        "0,5",
        "surplus",
    ]
    assert unknown[:3] + unknown[4:] == ["3", "unit_institutional_id", "unknown_unit", "é", UNKNOWN]
    assert [comma[3], unknown[3]] == [error["message"] for error in event["row_errors"]]


async def test_the_reject_file_lies_beside_the_input(jobs: Jobs) -> None:
    (jobs.root / "2025").mkdir()
    claim = jobs.file(f"{HEADER}\nphysics,x,\n", "2025/my students.csv")
    event = await run(jobs, "", file=claim, job_id=7)
    assert event["reject_file"] == f"{claim['url']}.7.rejected.csv"
    assert (jobs.root / "2025" / "my students.csv.7.rejected.csv").is_file()


async def test_the_reject_file_of_inline_rows_lies_below_the_root(jobs: Jobs) -> None:
    rows = [purchase(PHYSICS), bad_purchase(PHYSICS)]
    event = await jobs.run(API_PER_YEAR, rows, job_id=7)
    assert event["reject_file"] == f"{jobs.root.as_uri()}/rejected/7.csv"
    header, row = jobs.rejects(event)
    assert dict(zip(header, row, strict=True)).items() >= rows[1].items()


async def test_a_job_without_a_bad_row_leaves_no_reject_file(jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER}\nphysics,1,\n")
    assert event["reject_file"] is None
    assert [path.name for path in jobs.root.iterdir() if "rejected" in path.name] == []


@pytest.mark.parametrize("bad", [99, 100, 101, 1500])
async def test_the_first_100_errors_are_listed_and_all_are_counted(jobs: Jobs, bad: int) -> None:
    event = await run(jobs, f"{HEADER}\nphysics,1,\n" + "physics,x,\n" * bad)
    assert event["rows"] == {"total": bad + 1, "processed": 1, "skipped": bad}
    assert [row for row, _, _ in codes(event)] == list(range(2, min(bad, 100) + 2))
    assert [row[0] for row in jobs.rejects(event)[1:]] == [str(row) for row in range(2, bad + 2)]


async def test_every_job_has_a_reject_file_of_its_own(jobs: Jobs) -> None:
    claim = jobs.file(f"{HEADER}\nphysics,x,\n")
    await run(jobs, "", file=claim, job_id=7)
    await run(jobs, "", file=claim, job_id=8)
    assert {path.name for path in jobs.root.glob("*.rejected.csv")} == {
        "upload.csv.7.rejected.csv",
        "upload.csv.8.rejected.csv",
    }
