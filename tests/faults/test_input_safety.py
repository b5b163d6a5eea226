"""A hostile file can only fail its own job: memory stays bounded, and no secret is told."""

import asyncio
import gzip
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import FileGone, TooLarge, UrlRefused
from service.files.store import FileStore
from service.settings import StorageSettings
from tests.support import http_source as web
from tests.support.files import CSV, claim, error_of, fetched, listing, local_store
from tests.support.s3 import s3_settings

SECRET = "planted-secret"


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    spools = tmp_path / "spools"
    spools.mkdir()
    return spools


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.csv"])
async def test_a_symbolic_link_out_of_the_root_is_refused(
    target: str, tmp_path: Path, spools: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.csv").write_bytes(CSV)
    (root / "link.csv").symlink_to(target)
    store = local_store(root)
    assert isinstance(
        await error_of(claim(store.url_under_root("link.csv")), store, spools), UrlRefused
    )


async def test_a_linked_folder_out_of_the_root_is_neither_read_nor_written(
    tmp_path: Path, spools: Path
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "a.csv").write_bytes(CSV)
    (root / "folder").symlink_to(outside)
    store = local_store(root)
    assert isinstance(
        await error_of(claim(store.url_under_root("folder/a.csv")), store, spools), UrlRefused
    )
    with pytest.raises(UrlRefused):
        await store.write(store.url_under_root("folder/b.csv"), outside / "a.csv")
    assert listing(outside) == ["a.csv"]


async def test_links_within_the_root_and_a_linked_root_are_fine(
    tmp_path: Path, spools: Path
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.csv").write_bytes(CSV)
    (real / "link.csv").symlink_to("a.csv")
    root = tmp_path / "root"
    root.symlink_to(real)
    store = local_store(root)
    assert await fetched(claim(store.url_under_root("link.csv")), store, spools) == CSV


async def test_a_link_to_itself_is_a_file_that_is_gone(tmp_path: Path, spools: Path) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    store = local_store(tmp_path)
    assert isinstance(
        await error_of(claim(store.url_under_root("loop.csv")), store, spools), FileGone
    )


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
async def test_a_secret_in_a_refused_url_is_never_repeated(
    url: str, tmp_path: Path, spools: Path
) -> None:
    store = FileStore.of(
        StorageSettings(root=f"file://{tmp_path}", https_hosts=("files.example.org",))
    )
    error = await error_of(claim(url), store, spools)
    assert isinstance(error, UrlRefused)
    assert SECRET not in "".join(traceback.format_exception(error))


async def test_the_stores_own_secret_is_in_no_error(tmp_path: Path, spools: Path) -> None:
    with web.http_source() as endpoint:
        for code in (400, 403, 404, 503):
            endpoint.add(f"/uploads/{code}.csv", web.status(code))
        store = FileStore.of(s3_settings(endpoint.base, "s3://uploads", timeout=1.0))
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
from service.domain.errors import TooLarge
from tests.support.files import claim, fetched, local_store

root = Path(sys.argv[1])
store = local_store(root)
data = (root / "a.csv").read_bytes()
file = claim(store.url_under_root("a.csv"), data, content_encoding=sys.argv[2])

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
    namespace: dict[str, Any] = {}
    exec(BOMBS[encoding], namespace)
    (tmp_path / "a.csv").write_bytes(b"".join(namespace["bomb"]()))
    here = Path(__file__).parents[2]
    command = (sys.executable, "-c", FETCH, str(tmp_path), encoding)
    done = subprocess.run(
        command, cwd=here, check=True, capture_output=True, text=True, timeout=120
    )
    grown_kib = int(done.stdout)
    assert grown_kib < 64 * 1024
    assert listing(tmp_path) == ["a.csv"]


async def test_a_bomb_is_refused_by_its_ratio_before_it_fills_the_disk(
    tmp_path: Path, spools: Path
) -> None:
    stored = gzip.compress(bytes(50 * 2**20))
    (tmp_path / "a.csv").write_bytes(stored)
    store = local_store(tmp_path)
    file = claim(store.url_under_root("a.csv"), stored, content_encoding="gzip")
    error = await error_of(file, store, spools)
    assert isinstance(error, TooLarge)
    assert str(200 * len(stored)) in error.message


async def test_the_event_loop_goes_on_while_a_large_file_is_unpacked(
    tmp_path: Path, spools: Path
) -> None:
    data = b"Pipette,Supplier,12.5,chf\n" * 4_000_000  # 100 MiB that come in a single chunk
    stored = gzip.compress(data)
    assert len(stored) < 2**20
    (tmp_path / "a.csv").write_bytes(stored)
    store = local_store(tmp_path)
    file = claim(store.url_under_root("a.csv"), stored, content_encoding="gzip")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert len(await fetched(file, store, spools, compression_ratio=1e4)) == len(data)
    ticking.cancel()
    assert ticks > 10  # on the loop itself, unpacking would be a single step
