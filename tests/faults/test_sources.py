"""Sources of files that redirect, stall, break off or refuse: each fails its own job only."""

import asyncio
import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import (
    FileGone,
    StoreAway,
    StoreRefuses,
    UploadError,
    UrlRefused,
    WrongSize,
)
from service.files.fetch import fetch_file
from service.files.https import HttpsHosts
from service.files.store import FileStore
from service.settings import LimitSettings
from tests.support import http_source as web
from tests.support.files import CSV, NOW, claim, error_of, fetched, listing, local_store
from tests.support.http_source import HttpSource
from tests.support.s3 import s3_settings


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def host(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSource]:
    """An https host that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with web.http_source(web.serving(pem)) as source:
        yield source


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    spools = tmp_path / "spools"
    spools.mkdir()
    return spools


def store_for(host: HttpSource, root: Path, timeout: float = 20.0) -> FileStore:
    """A store that may read from this host, although the host has a private address."""
    return local_store(root, HttpsHosts((), private=(host.host,), timeout=timeout), timeout)


async def test_a_file_is_read_from_an_allowed_https_host(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    data = CSV * 100_000
    url = host.add("/Ger%C3%A4t%201.csv", web.serves(data))
    assert await fetched(claim(url, data), store_for(host, tmp_path), spools) == data
    assert host.requests == ["/Ger%C3%A4t%201.csv"]


async def test_an_encoded_body_is_spooled_as_the_claim_says(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    stored = gzip.compress(CSV)
    url = host.add("/a.csv.gz", web.serves(stored))
    assert (
        await fetched(
            claim(url, stored, content_encoding="gzip"), store_for(host, tmp_path), spools
        )
        == CSV
    )


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_never_followed(
    code: int, host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    with web.http_source() as inside:
        target = inside.add("/secret.csv", web.serves(CSV))
        url = host.add("/a.csv", web.status(code, Location=target))
        error = await error_of(claim(url), store_for(host, tmp_path), spools)
        assert isinstance(error, UrlRefused)
        assert "redirects" in error.message
        assert inside.requests == []


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.1.2.3", "169.254.1.1"]
)
async def test_a_host_at_a_private_address_is_not_connected_to(
    name: str, host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    address = f"{name}:{host.host.rpartition(':')[2]}"
    host.add("/a.csv", web.serves(CSV))
    store = local_store(tmp_path, HttpsHosts((address,), timeout=5.0))
    error = await error_of(claim(f"https://{address}/a.csv"), store, spools)
    assert isinstance(error, UrlRefused)
    assert "private address" in error.message
    assert host.requests == []


async def test_a_host_with_anothers_certificate_is_not_read(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    address = host.host.replace("localhost", "127.0.0.1")
    host.add("/a.csv", web.serves(CSV))
    store = local_store(tmp_path, HttpsHosts((), private=(address,), timeout=5.0))
    assert isinstance(await error_of(claim(f"https://{address}/a.csv"), store, spools), StoreAway)
    assert host.requests == []


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (204, UrlRefused),
        (401, UrlRefused),
        (403, UrlRefused),
        (404, FileGone),
        (410, FileGone),
        (429, StoreAway),
        (500, StoreAway),
        (503, StoreAway),
    ],
)
async def test_an_https_hosts_answer_never_stops_the_service(
    code: int, error_type: type[UploadError], host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    error = await error_of(
        claim(host.add("/a.csv", web.status(code))), store_for(host, tmp_path), spools
    )
    assert isinstance(error, error_type)


async def test_a_source_without_end_is_left_at_the_stated_size(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    url = host.add("/a.csv", web.never_ends)
    error = await error_of(claim(url, size=3 * 2**20), store_for(host, tmp_path), spools)
    assert isinstance(error, WrongSize)


@pytest.mark.parametrize("answer", [web.stalls, web.breaks_off])
async def test_a_source_that_stops_halfway_is_away(
    answer: Any, host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    data = bytes(2**20)
    url = host.add("/a.csv", answer(data))
    began = time.monotonic()
    assert isinstance(
        await error_of(claim(url, data), store_for(host, tmp_path, timeout=0.5), spools), StoreAway
    )
    assert time.monotonic() - began < 5


async def test_a_source_that_trickles_is_away(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    url = host.add("/a.csv", web.trickles)
    began = time.monotonic()
    error = await error_of(claim(url, size=2**20), store_for(host, tmp_path, timeout=0.5), spools)
    assert isinstance(error, StoreAway)
    assert "less than 1 MiB in 0.5 seconds" in error.message
    assert time.monotonic() - began < 5


async def test_a_cancelled_fetch_leaves_no_spool(
    host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    data = bytes(8 * 2**20)
    url = host.add("/a.csv", web.stalls(data))
    began = asyncio.Event()

    async def fetching() -> None:
        fetched = fetch_file(
            claim(url, data),
            store_for(host, tmp_path),
            LimitSettings(),
            directory=spools,
            now=NOW,
            on_bytes=lambda _: began.set(),
        )
        async with fetched:
            pytest.fail("the file never comes whole")

    task = asyncio.create_task(fetching())
    await asyncio.wait_for(began.wait(), 10)
    assert len(listing(spools)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert listing(spools) == []


@pytest.mark.parametrize(
    ("code", "error_type"),
    [(403, StoreRefuses), (401, StoreRefuses), (404, FileGone), (400, StoreAway)],
)
async def test_an_object_stores_answer_is_told_by_its_kind(
    code: int, error_type: type[UploadError], tmp_path: Path, spools: Path
) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", web.status(code))
        store = FileStore.of(s3_settings(endpoint.base, "s3://uploads"))
        assert isinstance(await error_of(claim("s3://uploads/a.csv"), store, spools), error_type)


@pytest.mark.parametrize(
    "answer", [web.status(503), web.stalls(bytes(2**20)), web.breaks_off(bytes(2**20))]
)
async def test_an_object_store_in_trouble_is_away(answer: Any, spools: Path) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", answer)
        store = FileStore.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
        began = time.monotonic()
        assert isinstance(
            await error_of(claim("s3://uploads/a.csv", bytes(2**20)), store, spools), StoreAway
        )
        assert time.monotonic() - began < 10


async def test_an_object_store_that_takes_a_file_and_never_answers_is_away(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(40 * 2**20))
    with web.http_source() as endpoint:
        endpoint.add("/uploads/rejected/8123.csv", web.stalls(CSV))
        store = FileStore.of(s3_settings(endpoint.base, "s3://uploads", timeout=0.5))
        began = time.monotonic()
        with pytest.raises(StoreAway):
            await store.write(store.url_under_root("rejected/8123.csv"), tmp_path / "source")
        assert time.monotonic() - began < 10


async def test_an_object_stores_trouble_is_named_in_few_words(spools: Path) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", web.status(503))
        store = FileStore.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
        error = await error_of(claim("s3://uploads/a.csv"), store, spools)
        assert error.detail == (
            "s3://uploads/a.csv: Server returned non-2xx status code: 503 Service Unavailable."
        )


async def test_an_object_store_that_is_not_there_is_away(spools: Path) -> None:
    store = FileStore.of(s3_settings("http://127.0.0.1:1", "s3://uploads", timeout=1.0))
    assert isinstance(await error_of(claim("s3://uploads/a.csv"), store, spools), StoreAway)
