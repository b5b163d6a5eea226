"""`uploads check`: it says what the job would do, and changes nothing itself."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.db.engine import read_only_database
from service.domain.provider_types import DataEntrySource
from service.settings import DatabaseSettings
from tests.support.command import Ran, run, uploads
from tests.support.factors import STUDENT, Factor, put_factor
from tests.support.files import listing
from tests.support.jobs import (
    API_PER_YEAR,
    CSV_PER_YEAR,
    CSV_UNIT,
    EXTERNAL,
    FACTORS,
    Content,
    Event,
    Jobs,
    bad_purchase,
    csv_of,
    member,
    purchase,
    purchases,
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

FORETOLD = (
    "outcome",
    "provider_type",
    "year",
    "data_entry_type",
    "rows",
    "row_errors",
    "reason",
    "ignored_columns",
)
CHANGES = ("sources", "factors", "affected_modules")
EXIT_CODES = {"succeeded": 0, "partial": 3, "rejected": 4}

FACTOR_FILE = """headcount_category,headcount_class,headcount_subclass,unit,\
number_of_unit_per_fte,ef_kg_co2eq_per_unit
kept,a,,kg,1,1
new,a,,kg,1,1
new,b,,kg,1,1
bad,a,,kg,"1,5",1
kept,a,,kg,2,2
"""


@pytest.fixture
async def inhabited(university: University) -> University:
    """The university with rows of every source, of purchases and of members, and with factors."""
    await university.put(
        *(
            university.entry(unit, source)
            for unit in (PHYSICS, BIOLOGY, LIBRARY)
            for source in (*DataEntrySource, None)
        ),
        university.entry(PHYSICS, USER_MANUAL, 1, user_institutional_id=" 2 "),
        university.entry(
            PHYSICS, DataEntrySource.CSV_MODULE_PER_YEAR, 1, user_institutional_id="3"
        ),
    )
    for category in ("kept", "old", "bad"):
        for subclass in ({}, {"headcount_subclass": None}):
            identity = {"headcount_category": category, "headcount_class": "a"} | subclass
            await put_factor(university.engine, Factor(identity, {"unit": "t"}))
    return university


def on_disk(content: Content, path: Path) -> Path:
    """The content as a person has it: rows as CSV or JSON, by the path's suffix."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, "utf-8")
    elif path.suffix == ".json":
        path.write_bytes(orjson.dumps(content))
    else:
        path.write_text(csv_of(content), "utf-8")
    return path


async def check(database: str, path: Path, fields: dict[str, Any], *more: str | Path) -> Ran:
    """Run the command for the job that these fields make."""
    given = {"data_entry_type": "other_purchases", "year": 2025} | fields
    names = {"data_entry_type": "type", "carbon_report_module_id": "module"}
    options = [
        f"--{names.get(name, name).replace('_', '-')}={value}" for name, value in given.items()
    ]
    return await uploads("check", path, *options, *more, UPLOADS_DATABASE__URL=database)


FILES: dict[str, tuple[Any, Content, dict[str, Any]]] = {
    "all valid": (CSV_PER_YEAR, purchases(PHYSICS, PHYSICS, BIOLOGY), {}),
    "some invalid": (
        CSV_PER_YEAR,
        [*purchases(PHYSICS), bad_purchase(BIOLOGY), *purchases(UNKNOWN, UNREPORTED)],
        {},
    ),
    "a complete export": (
        CSV_PER_YEAR,
        [*purchases(PHYSICS), bad_purchase(BIOLOGY)],
        {"replace_scope": "year"},
    ),
    "none may be invalid": (
        CSV_PER_YEAR,
        [*purchases(PHYSICS), bad_purchase(PHYSICS)],
        {"on_row_error": "reject"},
    ),
    "none valid": (CSV_PER_YEAR, [bad_purchase(PHYSICS)] * 150, {}),
    "appended": (CSV_UNIT, purchases(None, None), {"carbon_report_module_id": PHYSICS}),
    "no such module": (CSV_UNIT, purchases(None), {"carbon_report_module_id": 7}),
    "the module of another year": (
        CSV_UNIT,
        purchases(None),
        {"carbon_report_module_id": PHYSICS, "year": 2024},
    ),
    "rows of a program": (
        API_PER_YEAR,
        [purchase(PHYSICS, quantity=2), purchase(PHYSICS, quantity=[])],
        {},
    ),
    "a file of a program": (API_PER_YEAR, csv_of(purchases(LIBRARY)), {}),
    "a synchronisation": (EXTERNAL, purchases(PHYSICS), {}),
    "members that are there already": (
        CSV_PER_YEAR,
        [member(PHYSICS, id_) for id_ in ("1", "2", "3", "1")],
        {"data_entry_type": "member"},
    ),
    "factors": (FACTORS, FACTOR_FILE, {"data_entry_type": STUDENT}),
    "a column too few": (CSV_PER_YEAR, "name\nPipettes\n", {}),
    "another separator": (CSV_PER_YEAR, csv_of(purchases(PHYSICS)).replace(",", ";"), {}),
    "another encoding": (CSV_PER_YEAR, csv_of([purchase(PHYSICS, "Gerät")]).encode("cp1252"), {}),
    "a header alone": (CSV_PER_YEAR, csv_of(purchases(PHYSICS)).splitlines()[0], {}),
    "nothing at all": (CSV_PER_YEAR, b"", {}),
    "an unclosed quote": (CSV_PER_YEAR, csv_of(purchases(PHYSICS)) + 'x,"', {}),
}


@pytest.mark.parametrize("file", FILES)
async def test_it_foretells_the_event_of_the_job(
    file: str, inhabited: University, shared_database: str, jobs: Jobs, tmp_path: Path
) -> None:
    provider_type, content, fields = FILES[file]
    if fields.get("carbon_report_module_id") == PHYSICS:
        fields = fields | {"carbon_report_module_id": inhabited.module(PHYSICS)}
    inline = provider_type in {API_PER_YEAR, EXTERNAL} and isinstance(content, list)
    path = on_disk(content, tmp_path / f"any name.{'json' if inline else 'csv'}")

    ran = await check(shared_database, path, {"provider": provider_type.value} | fields, "--json")
    event: Event = await jobs.run(provider_type, content, **fields)

    assert ran.exit_code == EXIT_CODES[event["outcome"]], ran.err
    assert {name: ran.json[name] for name in (*FORETOLD, *CHANGES)} == {
        name: event[name] for name in (*FORETOLD, *CHANGES)
    }


@pytest.mark.parametrize("file", ["a complete export", "factors", "some invalid", "none valid"])
async def test_it_writes_nothing(
    file: str, inhabited: University, shared_database: str, tmp_path: Path
) -> None:
    provider_type, content, fields = FILES[file]
    path = on_disk(content, tmp_path / "a.csv")
    before = await everything(inhabited)
    reading = f"{shared_database}?default_transaction_read_only=on"
    ran = await check(reading, path, {"provider": provider_type.value} | fields, "--json")
    assert ran.exit_code in EXIT_CODES.values()
    assert await everything(inhabited) == before
    assert listing(tmp_path) == ["a.csv"]


async def everything(university: University) -> tuple[Any, ...]:
    """Everything that a job could change."""
    async with university.engine.connect() as conn:
        jobs = await conn.scalar(text("SELECT count(*) FROM upload_jobs"))
        heads = await conn.scalar(text("SELECT count(*) FROM scope_heads"))
        last_id = await conn.scalar(text("SELECT last_value FROM upload_job_id_seq"))
        factors = (await conn.execute(text("SELECT * FROM factors ORDER BY id"))).all()
    return jobs, heads, last_id, factors, await university.entries()


async def test_its_transactions_are_read_only(shared_database: str) -> None:
    settings = DatabaseSettings(url=SecretStr(shared_database))
    async with read_only_database(settings) as engine, engine.connect() as conn:
        assert await conn.scalar(text("SHOW transaction_read_only")) == "on"


async def test_all_bad_rows_are_written_where_they_are_wanted(
    inhabited: University, shared_database: str, jobs: Jobs, tmp_path: Path
) -> None:
    rows = [*purchases(PHYSICS), *[bad_purchase(PHYSICS)] * 150]
    path, rejects = on_disk(rows, tmp_path / "a.csv"), tmp_path / "bad rows.csv"
    ran = await check(shared_database, path, {}, "--json", "--rejects", rejects)
    event = await jobs.run(CSV_PER_YEAR, rows)
    assert ran.json["reject_file"] == str(rejects)
    assert list(csv.reader(io.StringIO(rejects.read_text("utf-8"), newline=""))) == jobs.rejects(
        event
    )


async def test_without_a_bad_row_there_is_no_file_of_them(
    inhabited: University, shared_database: str, tmp_path: Path
) -> None:
    path, rejects = on_disk(purchases(PHYSICS), tmp_path / "a.csv"), tmp_path / "bad.csv"
    ran = await check(shared_database, path, {}, "--json", "--rejects", rejects)
    assert ran.json["reject_file"] is None
    assert not rejects.exists()


async def test_where_bad_rows_cannot_be_written_it_says_so(
    inhabited: University, shared_database: str, tmp_path: Path
) -> None:
    path = on_disk([bad_purchase(PHYSICS)], tmp_path / "a.csv")
    ran = await check(
        shared_database, path, {}, "--rejects", tmp_path / "no such directory" / "bad.csv"
    )
    assert ran.exit_code == 2
    assert "--rejects" in ran.err


async def test_people_get_tables(
    inhabited: University, shared_database: str, tmp_path: Path
) -> None:
    path = on_disk([*purchases(PHYSICS), bad_purchase(PHYSICS)], tmp_path / "purchases.csv")
    ran = await check(shared_database, path, {})
    assert ran.exit_code == 3
    lines = ran.out.splitlines()
    assert lines[0] == "purchases.csv would be partial"
    assert lines[1] == "2 rows, 1 taken over, 1 invalid"
    assert lines[2] == f"1 affected module: {inhabited.module(PHYSICS)}"
    assert lines[4].split() == ["CSV_MODULE_PER_YEAR", "1", "1", "1"]
    assert any("total_spent_amount" in line for line in lines)


async def test_a_compressed_file_is_read(
    inhabited: University, shared_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(csv_of(purchases(PHYSICS)).encode()))
    assert (await check(shared_database, path, {}, "--json")).json["rows"]["processed"] == 1


@pytest.mark.parametrize("option", ["--json", "--on-row-error=skip"])
async def test_a_file_that_would_be_parked_is_told_so(
    option: str, shared_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"name\n")
    ran = await check(shared_database, path, {}, option)
    assert ran.exit_code == 6
    assert "bad_content_encoding" in ran.out


def test_a_database_that_does_not_answer_is_told_in_a_line(tmp_path: Path) -> None:
    path = on_disk(purchases(PHYSICS), tmp_path / "a.csv")
    away = "postgresql://u:s3cret@127.0.0.1:1/carbon"
    ran = run("check", path, "--type=66", "--year=2025", UPLOADS_DATABASE__URL=away)
    assert ran.exit_code == 1
    assert ran.err.count("\n") == 1
    assert "UPLOADS_DATABASE__URL" in ran.err
    assert "s3cret" not in ran.err


async def test_a_database_without_the_tables_is_told_in_a_line(
    empty_database: str, tmp_path: Path
) -> None:
    path = on_disk(purchases(PHYSICS), tmp_path / "a.csv")
    ran = await check(empty_database, path, {})
    assert ran.exit_code == 1
    assert ran.err.count("\n") == 1
    assert "`uploads migrate`" in ran.err
