"""Fetching and writing over the real S3 protocol: multipart uploads, percent-encoded keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import FileGone, StoreRefuses
from service.files.store import FileStore
from tests.support.files import CSV, claim, fetched
from tests.support.s3 import make_bucket, s3_server, s3_settings


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        make_bucket(endpoint, "uploads")
        yield endpoint


@pytest.fixture(params=["s3://uploads", "s3://uploads/pre%20fix/ü"])
def store(request: pytest.FixtureRequest, endpoint: str) -> FileStore:
    return FileStore.of(s3_settings(endpoint, request.param))


@pytest.mark.parametrize(
    "name", ["a.csv", "2025/Geräte für Zürich.csv", "a#b?c%41+d&e=f.csv", "%2e%2e/a.csv"]
)
async def test_what_was_written_is_fetched_again(
    name: str, store: FileStore, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(CSV)
    url = store.url_under_root(name)
    await store.write(url, tmp_path / "source")
    assert await fetched(claim(url), store, tmp_path) == CSV


async def test_a_file_of_several_parts_is_stored_whole(store: FileStore, tmp_path: Path) -> None:
    data = CSV * (12 * 2**20 // len(CSV))
    (tmp_path / "source").write_bytes(data)
    url = store.sibling_url(
        store.resolve(store.url_under_root("2025/a b.csv")), ".8123.rejected.csv"
    )
    await store.write(url, tmp_path / "source")
    assert await fetched(claim(url, data), store, tmp_path) == data


async def test_a_missing_object_is_gone(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(FileGone):
        await fetched(claim(store.url_under_root("none.csv")), store, tmp_path)


async def test_a_missing_bucket_concerns_every_job(endpoint: str, tmp_path: Path) -> None:
    store = FileStore.of(s3_settings(endpoint, "s3://no-such-bucket"))
    with pytest.raises(StoreRefuses):
        await fetched(claim(store.url_under_root("a.csv")), store, tmp_path)
    (tmp_path / "source").write_bytes(CSV)
    with pytest.raises(StoreRefuses):
        await store.write(store.url_under_root("a.csv"), tmp_path / "source")
