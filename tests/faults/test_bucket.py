"""The same fetching and writing against a real S3 protocol, with multipart uploads and percent-encoded keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import FileGone, StoreRefuses
from service.prepare.store import Store
from tests.support.files import CSV, claim, fetched
from tests.support.s3 import make_bucket, s3_server, s3_settings


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        make_bucket(endpoint, "uploads")
        yield endpoint


@pytest.fixture(params=["s3://uploads", "s3://uploads/pre%20fix/ü"])
def store(request: pytest.FixtureRequest, endpoint: str) -> Store:
    return Store.of(s3_settings(endpoint, request.param))


@pytest.mark.parametrize("name", ["a.csv", "2025/Geräte für Zürich.csv", "a#b?c%41+d&e=f.csv", "%2e%2e/a.csv"])
async def test_what_was_written_is_fetched_again(name: str, store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CSV)
    url = store.under_root(name)
    await store.write(url, tmp_path / "source")
    assert await fetched(claim(url), store, tmp_path) == CSV


async def test_a_file_of_several_parts_is_stored_whole(store: Store, tmp_path: Path) -> None:
    data = CSV * (12 * 2**20 // len(CSV))
    (tmp_path / "source").write_bytes(data)
    url = store.beside(store.resolve(store.under_root("2025/a b.csv")), ".8123.rejected.csv")
    await store.write(url, tmp_path / "source")
    assert await fetched(claim(url, data), store, tmp_path) == data


async def test_a_missing_object_is_gone(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileGone):
        await fetched(claim(store.under_root("none.csv")), store, tmp_path)


async def test_a_missing_bucket_concerns_every_job(endpoint: str, tmp_path: Path) -> None:
    store = Store.of(s3_settings(endpoint, "s3://no-such-bucket"))
    with pytest.raises(StoreRefuses):
        await fetched(claim(store.under_root("a.csv")), store, tmp_path)
    (tmp_path / "source").write_bytes(CSV)
    with pytest.raises(StoreRefuses):
        await store.write(store.under_root("a.csv"), tmp_path / "source")
