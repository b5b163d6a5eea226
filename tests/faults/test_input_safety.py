"""What a hostile or broken source can do: nothing but fail its own job, with bounded memory and in bounded time."""

import asyncio
import gzip
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.domain import FileRef
from service.errors import FileGone, StoreAway, StoreRefuses, TooLarge, UploadError, UrlRefused, WrongSize
from service.prepare.fetch import fetch
from service.prepare.https import HttpsHosts
from service.prepare.store import Store
from service.settings import LimitSettings, StorageSettings
from tests.support import http_source as web
from tests.support.files import CSV, NOW, claim, fetched, listing, local_store
from tests.support.http_source import HttpSource
from tests.support.s3 import s3_settings

SECRET = "planted-secret"


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


def store_for(host: HttpSource, root: Path, timeout: float = 20.0) -> Store:
    """A store that may read from this host, although it is at a private address."""
    return local_store(root, HttpsHosts((), private=(host.host,), timeout=timeout), timeout)


async def error_of(file: FileRef, store: Store, spools: Path, **limits: Any) -> UploadError:
    """What fetching this raises; no spool may be left behind."""
    with pytest.raises(UploadError) as caught:
        await fetched(file, store, spools, **limits)
    assert listing(spools) == []
    return caught.value


async def test_a_file_is_read_from_an_allowed_https_host(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    data = CSV * 100_000
    url = host.add("/Ger%C3%A4t%201.csv", web.serves(data))
    assert await fetched(claim(url, data), store_for(host, tmp_path), spools) == data
    assert host.requests == ["/Ger%C3%A4t%201.csv"]


async def test_an_encoded_body_is_spooled_as_the_claim_says(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    stored = gzip.compress(CSV)
    url = host.add("/a.csv.gz", web.serves(stored))
    assert await fetched(claim(url, stored, content_encoding="gzip"), store_for(host, tmp_path), spools) == CSV


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


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.1.2.3", "169.254.1.1"])
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


async def test_a_host_with_anothers_certificate_is_not_read(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    address = host.host.replace("localhost", "127.0.0.1")
    host.add("/a.csv", web.serves(CSV))
    store = local_store(tmp_path, HttpsHosts((), private=(address,), timeout=5.0))
    assert isinstance(await error_of(claim(f"https://{address}/a.csv"), store, spools), StoreAway)
    assert host.requests == []


@pytest.mark.parametrize(
    ("code", "kind"),
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
    code: int, kind: type[UploadError], host: HttpSource, tmp_path: Path, spools: Path
) -> None:
    error = await error_of(claim(host.add("/a.csv", web.status(code))), store_for(host, tmp_path), spools)
    assert isinstance(error, kind)


async def test_a_source_without_end_is_left_at_the_stated_size(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    url = host.add("/a.csv", web.never_ends)
    error = await error_of(claim(url, size=3 * 2**20), store_for(host, tmp_path), spools)
    assert isinstance(error, WrongSize)


@pytest.mark.parametrize("answer", [web.stalls, web.breaks_off])
async def test_a_source_that_stops_halfway_is_away(answer: Any, host: HttpSource, tmp_path: Path, spools: Path) -> None:
    data = bytes(2**20)
    url = host.add("/a.csv", answer(data))
    began = time.monotonic()
    assert isinstance(await error_of(claim(url, data), store_for(host, tmp_path, timeout=0.5), spools), StoreAway)
    assert time.monotonic() - began < 5


async def test_a_source_that_trickles_is_away(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    url = host.add("/a.csv", web.trickles)
    began = time.monotonic()
    error = await error_of(claim(url, size=2**20), store_for(host, tmp_path, timeout=0.5), spools)
    assert isinstance(error, StoreAway)
    assert "less than 1 MiB in 0.5 seconds" in error.message
    assert time.monotonic() - began < 5


async def test_a_cancelled_fetch_leaves_no_spool(host: HttpSource, tmp_path: Path, spools: Path) -> None:
    data = bytes(8 * 2**20)
    url = host.add("/a.csv", web.stalls(data))
    began = asyncio.Event()

    async def fetching() -> None:
        fetched = fetch(
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
    ("code", "kind"), [(403, StoreRefuses), (401, StoreRefuses), (404, FileGone), (400, StoreAway)]
)
async def test_an_object_stores_answer_is_told_by_its_kind(
    code: int, kind: type[UploadError], tmp_path: Path, spools: Path
) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", web.status(code))
        store = Store.of(s3_settings(endpoint.base, "s3://uploads"))
        assert isinstance(await error_of(claim("s3://uploads/a.csv"), store, spools), kind)


@pytest.mark.parametrize("answer", [web.status(503), web.stalls(bytes(2**20)), web.breaks_off(bytes(2**20))])
async def test_an_object_store_in_trouble_is_away(answer: Any, spools: Path) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", answer)
        store = Store.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
        began = time.monotonic()
        assert isinstance(await error_of(claim("s3://uploads/a.csv", bytes(2**20)), store, spools), StoreAway)
        assert time.monotonic() - began < 10


async def test_an_object_store_that_takes_a_file_and_never_answers_is_away(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(40 * 2**20))
    with web.http_source() as endpoint:
        endpoint.add("/uploads/rejected/8123.csv", web.stalls(CSV))
        store = Store.of(s3_settings(endpoint.base, "s3://uploads", timeout=0.5))
        began = time.monotonic()
        with pytest.raises(StoreAway):
            await store.write(store.under_root("rejected/8123.csv"), tmp_path / "source")
        assert time.monotonic() - began < 10


async def test_an_object_stores_trouble_is_named_in_few_words(spools: Path) -> None:
    with web.http_source() as endpoint:
        endpoint.add("/uploads/a.csv", web.status(503))
        store = Store.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
        error = await error_of(claim("s3://uploads/a.csv"), store, spools)
        assert error.detail == ("s3://uploads/a.csv: Server returned non-2xx status code: 503 Service Unavailable.")


async def test_an_object_store_that_is_not_there_is_away(spools: Path) -> None:
    store = Store.of(s3_settings("http://127.0.0.1:1", "s3://uploads", timeout=1.0))
    assert isinstance(await error_of(claim("s3://uploads/a.csv"), store, spools), StoreAway)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.csv"])
async def test_a_symbolic_link_out_of_the_root_is_refused(target: str, tmp_path: Path, spools: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.csv").write_bytes(CSV)
    (root / "link.csv").symlink_to(target)
    store = local_store(root)
    assert isinstance(await error_of(claim(store.under_root("link.csv")), store, spools), UrlRefused)


async def test_a_linked_folder_out_of_the_root_is_neither_read_nor_written(tmp_path: Path, spools: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "a.csv").write_bytes(CSV)
    (root / "folder").symlink_to(outside)
    store = local_store(root)
    assert isinstance(await error_of(claim(store.under_root("folder/a.csv")), store, spools), UrlRefused)
    with pytest.raises(UrlRefused):
        await store.write(store.under_root("folder/b.csv"), outside / "a.csv")
    assert listing(outside) == ["a.csv"]


async def test_links_within_the_root_and_a_linked_root_are_fine(tmp_path: Path, spools: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.csv").write_bytes(CSV)
    (real / "link.csv").symlink_to("a.csv")
    root = tmp_path / "root"
    root.symlink_to(real)
    store = local_store(root)
    assert await fetched(claim(store.under_root("link.csv")), store, spools) == CSV


async def test_a_link_to_itself_is_a_file_that_is_gone(tmp_path: Path, spools: Path) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    store = local_store(tmp_path)
    assert isinstance(await error_of(claim(store.under_root("loop.csv")), store, spools), FileGone)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@uploads/a.csv",
        f"https://user:{SECRET}@files.example.org/a.csv",
        f"https://user:{SECRET}@[/a.csv",
        f"https://user:pa/{SECRET}@files.example.org/a.csv",
        f"https://files.example.org/a.csv?X-Amz-Signature={SECRET}",
        f"file:///root/a.csv?token={SECRET}",
        f"file:///root/a.csv#{SECRET}",
        f"file:///root/a.csv\n?{SECRET}",
        f"file://{SECRET}@/root/a.csv",
        f"{SECRET}:a.csv",
        f"postgresql://user:{SECRET}@db/uploads",
    ],
)
async def test_a_secret_in_a_refused_url_is_never_repeated(url: str, tmp_path: Path, spools: Path) -> None:
    store = Store.of(StorageSettings(root=f"file://{tmp_path}", https_hosts=("files.example.org",)))
    error = await error_of(claim(url), store, spools)
    assert isinstance(error, UrlRefused)
    assert SECRET not in "".join(traceback.format_exception(error))


async def test_the_stores_own_secret_is_in_no_error(tmp_path: Path, spools: Path) -> None:
    with web.http_source() as endpoint:
        for code in (400, 403, 404, 503):
            endpoint.add(f"/uploads/{code}.csv", web.status(code))
        store = Store.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
        for code in (400, 403, 404, 503):
            error = await error_of(claim(f"s3://uploads/{code}.csv"), store, spools)
            assert "planted" not in "".join(traceback.format_exception(error))


BOMBS = {
    "gzip": "import zlib; c = zlib.compressobj(9, wbits=31)\n"
    "def bomb():\n    for _ in range(1024): yield c.compress(bytes(2**20))\n    yield c.flush()",
    "zstd": "import zstandard; c = zstandard.ZstdCompressor(19).compressobj()\n"
    "def bomb():\n    for _ in range(1024): yield c.compress(bytes(2**20))\n    yield c.flush()",
}
FETCH = """
import asyncio, resource, sys
from pathlib import Path
from service.errors import TooLarge
from tests.support.files import claim, fetched, local_store

root = Path(sys.argv[1])
store = local_store(root)
data = (root / "a.csv").read_bytes()
file = claim(store.under_root("a.csv"), data, content_encoding=sys.argv[2])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
try:
    asyncio.run(fetched(file, store, root, decompressed_bytes=2**29, compression_ratio=1e6))
except TooLarge:
    print(peak() - before)
"""


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_decompression_bomb_is_refused_in_bounded_memory(encoding: str, tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    exec(BOMBS[encoding], made)
    (tmp_path / "a.csv").write_bytes(b"".join(made["bomb"]()))
    here = Path(__file__).parents[2]
    command = (sys.executable, "-c", FETCH, str(tmp_path), encoding)
    done = subprocess.run(command, cwd=here, check=True, capture_output=True, text=True, timeout=120)
    grown_kib = int(done.stdout)
    assert grown_kib < 64 * 1024
    assert listing(tmp_path) == ["a.csv"]


async def test_a_bomb_is_refused_by_its_ratio_before_it_fills_the_disk(tmp_path: Path, spools: Path) -> None:
    stored = gzip.compress(bytes(50 * 2**20))
    (tmp_path / "a.csv").write_bytes(stored)
    store = local_store(tmp_path)
    file = claim(store.under_root("a.csv"), stored, content_encoding="gzip")
    error = await error_of(file, store, spools)
    assert isinstance(error, TooLarge)
    assert str(200 * len(stored)) in error.message


async def test_the_event_loop_goes_on_while_a_large_file_is_unpacked(tmp_path: Path, spools: Path) -> None:
    data = b"Pipette,Supplier,12.5,chf\n" * 4_000_000  # 100 MiB that come in a single chunk
    stored = gzip.compress(data)
    assert len(stored) < 2**20
    (tmp_path / "a.csv").write_bytes(stored)
    store = local_store(tmp_path)
    file = claim(store.under_root("a.csv"), stored, content_encoding="gzip")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert len(await fetched(file, store, spools, compression_ratio=1e4)) == len(data)
    ticking.cancel()
    assert ticks > 10  # on the loop itself it would all be one turn
