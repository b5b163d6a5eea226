"""From options and a file to the message of a job."""

import gzip
import os
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from service.contract.messages import MAX_MESSAGE_BYTES
from service.domain.model import OnRowError, ReplaceScope
from service.domain.provider_types import ProviderType
from service.files.backends import READ_BYTES
from service.files.local_file import LOCAL_FILE_URL, claim_check_of, local_store
from service.jobs.request import BadRequest, UploadRequest
from tests.support.files import claim as claim_of
from tests.support.files import fetched

API = ProviderType.API_MODULE_PER_YEAR
FILE = {"file": {"url": "file:///srv/a.csv", "size": 1, "sha256": "0" * 64}}
ROWS = [{"name": "Pipettes", "total_spent_amount": 12.5, "note": None}]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "purchases.csv"
    path.write_text("name\n")
    return path


def request_of(
    path: Path, provider: ProviderType | None = None, module: int | None = None, **fields
) -> UploadRequest:
    return UploadRequest.of(path, "other_purchases", 2025, provider, module, **fields)


def rows_of(path: Path, content: bytes) -> dict:
    path.write_bytes(content)
    return request_of(path, API).rows()


def test_an_upload_is_per_year_unless_it_names_a_module(csv: Path) -> None:
    assert request_of(csv).provider_type is ProviderType.CSV_MODULE_PER_YEAR
    assert request_of(csv, module=7).provider_type is ProviderType.CSV_MODULE_UNIT_SPECIFIC
    assert (
        request_of(csv, ProviderType.API_MODULE_UNIT_SPECIFIC, 7).provider_type.value
        == "api-module-unit-specific"
    )


@pytest.mark.parametrize("type_", ["other_purchases", "66"])
def test_the_key_is_the_scope_with_the_number_of_the_type(type_: str, csv: Path) -> None:
    request = UploadRequest.of(csv, type_, 2025, None, None)
    assert request.job(request.message(8123, FILE)).key == "2025:66"


def test_the_key_of_a_unit_specific_upload_is_its_module(csv: Path) -> None:
    request = request_of(csv, module=4711)
    assert request.job(request.message(8123, FILE)).key == "4711"


def test_everything_that_was_asked_for_is_in_the_job(csv: Path) -> None:
    request = request_of(
        csv,
        replace_scope=ReplaceScope.YEAR,
        on_row_error=OnRowError.REJECT,
        submitted_by=17,
        based_on=8000,
    )
    job = request.job(request.message(8123, FILE))
    assert (job.job_id, job.year, job.data_entry_type_id) == (8123, 2025, 66)
    assert (job.replace_scope, job.on_row_error) == (ReplaceScope.YEAR, OnRowError.REJECT)
    assert (job.submitted_by, job.based_on) == (17, 8000)
    assert job.file is not None
    assert job.file.url == "file:///srv/a.csv"


def test_what_was_not_asked_for_is_left_to_the_service(csv: Path) -> None:
    message = orjson.loads(request_of(csv).message(8123, FILE))
    assert message.keys() == {"job_id", "year", "data_entry_type", "file", "submitted_at"}


def test_json_rows_travel_inside_the_message(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    content = rows_of(path, orjson.dumps(ROWS))
    request = request_of(path, API)
    assert request.job(request.message(8123, content)).rows == tuple(ROWS)


@pytest.mark.parametrize("provider", [ProviderType.CSV_MODULE_PER_YEAR, ProviderType.FACTORS])
def test_only_some_kinds_of_upload_take_json(provider: ProviderType, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b"[]")
    with pytest.raises(BadRequest, match="save the rows as CSV"):
        UploadRequest.of(path, "plane", 2025, provider, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{", "line 1"),
        (b"{}", "list of objects"),
        (b"[1]", "list of objects"),
        (b"[[]]", "list of objects"),
    ],
)
def test_json_that_is_no_list_of_objects_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadRequest, match=message):
        rows_of(tmp_path / "rows.json", content)


def test_json_above_a_mebibyte_belongs_in_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    with pytest.raises(BadRequest, match="save them as CSV"):
        rows_of(path, b"[]" + b" " * MAX_MESSAGE_BYTES)
    just_fits = orjson.dumps([{"name": "x" * (MAX_MESSAGE_BYTES - 20)}])
    content = rows_of(path, just_fits)
    with pytest.raises(BadRequest, match="save them as CSV"):
        request_of(path, API).message(8123, content)


def test_a_claim_check_is_of_the_bytes_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.GZ"
    data = gzip.compress(b"name\n")
    path.write_bytes(data)
    assert claim_check_of(path, "file:///srv/a.csv.GZ") == {
        "url": "file:///srv/a.csv.GZ",
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
        "content_encoding": "gzip",
    }


@pytest.mark.parametrize(
    ("name", "encoding"), [("a.csv.zst", "zstd"), ("a.csv", None), ("gz", None)]
)
def test_the_end_of_a_name_says_how_a_file_is_compressed(
    name: str, encoding: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"")
    assert claim_check_of(tmp_path / name, LOCAL_FILE_URL).get("content_encoding") == encoding


@pytest.mark.parametrize(
    "name", ["a b.csv", "été.csv", 'a"b\\c.csv', "50%.csv", "a?b#c.csv", b"\xff.csv"]
)
async def test_a_local_file_is_read_whatever_its_name_is(name: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    data = b"name\n" + b"x" * 2 * READ_BYTES
    path.write_bytes(data)
    assert await fetched(claim_of(LOCAL_FILE_URL, data), local_store(path), tmp_path) == data
