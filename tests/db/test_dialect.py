"""The CSV dialect and inline rows, from the bytes of an upload to what is stored."""

import gzip
from typing import Any

import pytest
import zstandard

from tests.support.jobs import API_PER_YEAR, CSV_PER_YEAR, FACTORS, Event, Jobs, codes, csv_of
from tests.support.university import PHYSICS, University

STUDENT = 2
HEADER = "unit_institutional_id,fte,note"
SOURCE = CSV_PER_YEAR.source
CELL_LIMIT = 128 * 1024


async def run(jobs: Jobs, content: str | bytes, **fields: object) -> Event:
    return await jobs.run(CSV_PER_YEAR, content, **({"data_entry_type": "student"} | fields))


async def stored(university: University) -> list[dict[str, object]]:
    """The data of the rows that were written, in their order."""
    return [dict(entry.data) for entry in await university.scope(PHYSICS, SOURCE, STUDENT)]


READS_AS_TWO_ROWS = {
    "plain": f"{HEADER}\nphysics,1,x\nphysics,2,\n",
    "no newline at the end": f"{HEADER}\nphysics,1,x\nphysics,2,",
    "CRLF": f"{HEADER}\r\nphysics,1,x\r\nphysics,2,\r\n",
    "CR alone": f"{HEADER}\rphysics,1,x\rphysics,2,\r",
    "newlines of all kinds": f"{HEADER}\r\nphysics,1,x\nphysics,2,\r",
    "byte order mark": f"\ufeff{HEADER}\nphysics,1,x\nphysics,2,\n",
    "byte order mark before a quote": (
        '\ufeff"unit_institutional_id",fte,note\nphysics,1,x\nphysics,2,\n'
    ),
    "columns in another order": "note,fte,unit_institutional_id\nx,1,physics\n,2,physics\n",
    "columns that nobody knows": (
        "colour,unit_institutional_id,,fte,note,\nred,physics,?,1,x,\n,physics,,2,,!\n"
    ),
    "an unknown column twice": (
        "colour,unit_institutional_id,colour,fte,note\n1,physics,2,1,x\n1,physics,2,2,\n"
    ),
    "blanks around names and cells": (
        "unit_institutional_id , fte,note\t\n physics ,\t1, x \n physics, 2 ,  \n"
    ),
    "no-break spaces around cells": f"{HEADER}\nphysics\u00a0,1,\u00a0x\u00a0\nphysics,2\u00a0,\n",
    "surplus cells": f"{HEADER}\nphysics,1,x,more,and more\nphysics,2,,more\n",
    "a short row": f"{HEADER}\nphysics,1,x\nphysics,2\n",
    "blank lines": f"\n{HEADER}\n\nphysics,1,x\n  \n,,\n\t, ,\nphysics,2,\n\n\n",
    "quoted cells": '"unit_institutional_id","fte","note"\n"physics","1","x"\n"physics","2",""\n',
}


@pytest.mark.parametrize("text", READS_AS_TWO_ROWS.values(), ids=READS_AS_TWO_ROWS)
async def test_a_file_reads_as_the_same_two_rows_however_it_was_written(
    university: University, jobs: Jobs, text: str
) -> None:
    event = await run(jobs, text)
    assert await stored(university) == [{"fte": 1.0, "note": "x"}, {"fte": 2.0}]
    assert event["rows"] == {"total": 2, "processed": 2, "skipped": 0}


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)]
)
async def test_a_compressed_file_reads_the_same(
    university: University, jobs: Jobs, encoding: str, pack: object
) -> None:
    data = pack(f"{HEADER}\nphysics,1,x\n".encode())  # type: ignore[operator] # an object to mypy, a function here
    event = await run(jobs, "", file=jobs.file(data, "packed", content_encoding=encoding))
    assert event["outcome"] == "succeeded"
    assert await stored(university) == [{"fte": 1.0, "note": "x"}]


async def test_a_column_that_the_type_does_not_know_is_told(
    university: University, jobs: Jobs
) -> None:
    event = await run(
        jobs, "colour,unit_institutional_id,Note,,fte,colour\nred,physics,x,?,1,blue\n"
    )
    assert event["outcome"] == "succeeded"
    assert event["ignored_columns"] == ["colour", "Note"]
    assert await stored(university) == [{"fte": 1.0}]


async def test_a_key_of_inline_rows_that_the_type_does_not_know_is_told(jobs: Jobs) -> None:
    rows = [{"unit_institutional_id": "physics", "fte": 1, "fte_": 2}]
    event = await jobs.run(API_PER_YEAR, rows, data_entry_type="student")
    assert event["ignored_columns"] == ["fte_"]


async def test_a_rejected_upload_tells_its_ignored_columns_too(jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER},{'x' * 50}\nphysics,many,,\n")
    assert event["outcome"] == "rejected"
    assert event["ignored_columns"] == ["x" * 39 + "…"]


async def test_of_very_many_ignored_columns_the_first_hundred_are_told(jobs: Jobs) -> None:
    row = {"unit_institutional_id": "physics", "fte": 1} | {f"key {n}": n for n in range(300)}
    event = await jobs.run(API_PER_YEAR, [row], data_entry_type="student")
    assert event["ignored_columns"] == [f"key {n}" for n in range(100)]


async def test_quotes_commas_newlines_and_accents_are_kept(
    university: University, jobs: Jobs
) -> None:
    notes = [
        'say "hi"',
        "a, b",
        "two\nlines",
        "two\r\nlines",
        "Zoë — 東京 🧪",
        'inch 5"',
        "x" * 1000,
    ]
    await run(
        jobs,
        csv_of([{"unit_institutional_id": PHYSICS, "fte": "1", "note": note} for note in notes]),
    )
    assert [row["note"] for row in await stored(university)] == notes


async def test_blank_lines_count_for_nothing_in_the_numbers_of_rows(jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER}\n\nphysics,1,\n\n,,\nphysics,x,\n\nphysics,y,\n")
    assert [row for row, _, _ in codes(event)] == [2, 3]
    assert event["rows"] == {"total": 3, "processed": 1, "skipped": 2}


async def test_a_short_row_lacks_its_last_values(jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER}\nphysics,1\nphysics\n")
    assert codes(event) == [(2, "fte", "required")]


@pytest.mark.parametrize(
    "header",
    ["unit_institutional_id,FTE", "Unit_institutional_id,fte", "unit institutional id,fte"],
)
async def test_names_of_columns_are_exact(jobs: Jobs, header: str) -> None:
    event = await run(jobs, f"{header}\nphysics,1\n")
    assert (event["outcome"], event["reason"]["code"]) == ("rejected", "missing_column")


REFUSED: dict[str, tuple[str | bytes, str, tuple[str, ...]]] = {
    "size 0": (b"", "empty_file", ()),
    "a byte order mark alone": (b"\xef\xbb\xbf", "no_rows", ()),
    "blank lines alone": ("\n \n,,\n", "no_rows", ()),
    "a header alone": (f"{HEADER}\n", "no_rows", ()),
    "a header and blank lines": (f"{HEADER}\n\n,,\n", "no_rows", ()),
    "a column missing": ("unit_institutional_id,note\nphysics,x\n", "missing_column", ("`fte`",)),
    "two columns missing": ("note\nx\n", "missing_column", ("`unit_institutional_id`", "`fte`")),
    "a column twice": (
        "unit_institutional_id,fte,fte\nphysics,1,2\n",
        "repeated_column",
        ("`fte`",),
    ),
    "semicolons": ("unit_institutional_id;fte;note\nphysics;1;x\n", "wrong_separator", ("';'",)),
    "tabs": ("unit_institutional_id\tfte\tnote\nphysics\t1\tx\n", "wrong_separator", ("a tab",)),
    "semicolons and quotes": (
        '"unit_institutional_id";"fte"\n"physics";"1"\n',
        "wrong_separator",
        ("';'",),
    ),
    "Windows-1252": (
        f"{HEADER}\nphysics,1,caf".encode() + b"\xe9\n",
        "not_utf8",
        ("0xE9", "offset 44", "Windows-1252"),
    ),
    "Windows-1252 behind a byte order mark": (
        b"\xef\xbb\xbf" + f"{HEADER}\nphysics,1,".encode() + b"\x93x\x94\n",
        "not_utf8",
        ("offset 44", "0x93"),
    ),
    "a character cut in half": (
        f"{HEADER}\nphysics,1,é\nphysics,1,".encode() + b"\xc3",
        "not_utf8",
        ("offset 54",),
    ),
    "UTF-16": (f"{HEADER}\nphysics,1,x\n".encode("utf-16"), "not_utf8", ("offset 0", "UTF-16")),
    "an unclosed quote": (
        f'{HEADER}\nphysics,1,x\nphysics,1,"open\n',
        "malformed_csv",
        ("quote", "data row 1"),
    ),
    "an unclosed quote in the header": (
        '"unit_institutional_id,fte\nphysics,1\n',
        "malformed_csv",
        ("quote",),
    ),
    "text behind a closing quote": (
        f'{HEADER}\nphysics,1,"a" b\n',
        "malformed_csv",
        ("closing quote",),
    ),
    "a cell beyond 128 KiB": (
        f"{HEADER}\nphysics,1,{'x' * (CELL_LIMIT + 1)}\n",
        "malformed_csv",
        ("128 KiB",),
    ),
    "such a cell in an unknown column": (
        f"{HEADER},more\nphysics,1,x,{'x' * (CELL_LIMIT + 1)}\n",
        "malformed_csv",
        ("128 KiB",),
    ),
}


@pytest.mark.parametrize(("content", "code", "parts"), REFUSED.values(), ids=REFUSED)
async def test_such_a_file_is_refused_whole(
    university: University, jobs: Jobs, content: str | bytes, code: str, parts: tuple[str, ...]
) -> None:
    await run(jobs, f"{HEADER}\nphysics,9,old\n")
    before, heads = await university.entries(), await university.heads()
    event = await run(jobs, content)
    assert (event["outcome"], event["reason"]["code"]) == ("rejected", code)
    assert [words for words in parts if words not in event["reason"]["message"]] == []
    assert event["rows"]["processed"] == 0
    assert (await university.entries(), await university.heads()) == (before, heads)


async def test_a_cell_of_128_kib_is_read(university: University, jobs: Jobs) -> None:
    await run(jobs, f"{HEADER}\nphysics,1,{'x' * CELL_LIMIT}\n")
    assert [row["note"] for row in await stored(university)] == ["x" * CELL_LIMIT]


async def test_a_fault_late_in_a_file_takes_back_the_rows_before_it(
    university: University, jobs: Jobs
) -> None:
    event = await run(
        jobs, f"{HEADER}\n" + "physics,1,\n" * 3000 + "physics,bad,\n" + 'physics,1,"open\n'
    )
    assert event["reason"]["code"] == "malformed_csv"
    assert "data row 3001" in event["reason"]["message"]
    assert event["rows"] == {"total": 3001, "processed": 0, "skipped": 1}
    assert await stored(university) == []


async def test_a_required_column_is_asked_of_factors_too(jobs: Jobs) -> None:
    event = await jobs.run(FACTORS, "country_code\nCH\n", data_entry_type="train")
    assert event["reason"]["code"] == "missing_column"
    assert "`ef_kg_co2eq_per_km`" in event["reason"]["message"]


async def test_a_decimal_comma_is_never_another_number(university: University, jobs: Jobs) -> None:
    event = await run(jobs, f'{HEADER}\nphysics,"0,5",\nphysics,"1,000",\nphysics,0.5,\n')
    assert codes(event) == [(1, "fte", "decimal_comma"), (2, "fte", "decimal_comma")]
    assert "0.5" in event["row_errors"][0]["message"]
    assert await stored(university) == [{"fte": 0.5}]


INLINE_VALUES = {
    "text": ("2.5", 2.5),
    "a number": (2.5, 2.5),
    "a whole number": (2, 2.0),
    "text with blanks": (" 2.5 ", 2.5),
    "an exponent": (25e-1, 2.5),
    "null": (None, "required"),
    "an empty text": ("", "required"),
    "true": (True, "nested_value"),
    "a list": ([2.5], "nested_value"),
    "an object": ({"fte": 2.5}, "nested_value"),
    "a negative number": (-1, "out_of_bounds"),
    "a decimal comma": ("2,5", "decimal_comma"),
}


@pytest.mark.parametrize(("given", "expected"), INLINE_VALUES.values(), ids=INLINE_VALUES)
async def test_an_inline_value(
    university: University, jobs: Jobs, given: Any, expected: object
) -> None:
    rows = [{"unit_institutional_id": PHYSICS, "fte": fte} for fte in (1, given)]
    event = await jobs.run(API_PER_YEAR, rows, data_entry_type="student")
    values = [
        entry.data["fte"] for entry in await university.scope(PHYSICS, API_PER_YEAR.source, STUDENT)
    ]
    assert [1.0, expected] == values + [code for _, _, code in codes(event)]


async def test_inline_rows_may_have_different_keys(university: University, jobs: Jobs) -> None:
    unit = {"unit_institutional_id": PHYSICS}
    rows: list[dict[str, Any]] = [{"fte": 1} | unit, unit, {}, {"fte": 2}]
    event = await jobs.run(API_PER_YEAR, rows, data_entry_type="student")
    assert codes(event) == [(2, "fte", "required"), (3, "unit_institutional_id", "required")]
    assert event["rows"]["total"] == 3


async def test_a_job_without_inline_rows_is_rejected(jobs: Jobs) -> None:
    event = await jobs.run(API_PER_YEAR, rows=[])
    assert (event["outcome"], event["reason"]["code"]) == ("rejected", "no_rows")


async def test_a_nul_character_is_an_error_of_its_row(university: University, jobs: Jobs) -> None:
    event = await run(jobs, f"{HEADER}\nphysics,1,a\0b\nphysics,2,ok\n")
    assert codes(event) == [(1, "note", "nul_character")]
    assert await stored(university) == [{"fte": 2.0, "note": "ok"}]
